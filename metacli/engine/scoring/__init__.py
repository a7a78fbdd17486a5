"""Scores with intervals, and what they are compared with."""
