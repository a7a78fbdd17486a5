"""Models that are solved and not trained."""
