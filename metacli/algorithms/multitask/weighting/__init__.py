"""T losses -> one scalar to differentiate: one backward pass."""
