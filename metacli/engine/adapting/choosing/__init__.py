"""Which source and which head suit a user's examples best."""
