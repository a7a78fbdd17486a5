"""Recordings as images: read, resampled to one rate, and shown as log-mel spectrograms."""
