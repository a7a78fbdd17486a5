"""Recipes: YAML to validated models. No torch here."""
