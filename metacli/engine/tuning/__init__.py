"""Search over the settings of a recipe, on validation data alone."""
