"""Runs: built from a recipe, trained, validated, saved and resumed."""
