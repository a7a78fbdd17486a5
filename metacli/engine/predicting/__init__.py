"""Predictions for new rows."""
