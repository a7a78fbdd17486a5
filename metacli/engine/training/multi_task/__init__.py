"""Runs of `multitask`: many tasks together, each alone, and what decides between the two."""
