"""Paths, locks, and the one writer of files."""
