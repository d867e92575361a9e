"""Tern & Kettle, a small shop for coffee things: what `make run` shows the first time."""
