"""A model and a user's examples become an adapted model."""
