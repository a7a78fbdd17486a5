"""Verbs on a folder of tasks or of models: what they share, and each on a folder of models."""
