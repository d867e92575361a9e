"""The whole product under fire, and a checker that knows afterwards whether anything was lost."""
