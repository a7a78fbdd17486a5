"""T gradients of the shared parameters -> one direction: T backward passes."""
