"""Training many tasks together: how their losses are weighted, and how their gradients are
balanced."""
