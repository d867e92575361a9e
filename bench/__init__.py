"""How fast and how small: each figure beside a floor measured in the same run."""
