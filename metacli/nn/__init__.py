"""Networks. They know nothing of tasks, episodes or training."""
