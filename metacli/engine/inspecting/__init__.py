"""What a path is, and every problem in it."""
