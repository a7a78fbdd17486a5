"""The one door for a user's own files."""
