"""Many related tasks, each with rows of its own, as one padded batch."""
