"""Sources that read tables as a whole."""
