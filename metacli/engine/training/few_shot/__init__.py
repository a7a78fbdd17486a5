"""Runs of `meta-train`: learners, episodes, and what they are compared with."""
