"""What is saved as a model, and opening it again."""
