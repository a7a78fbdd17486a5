"""The network of `tables-prior`, which reads a whole table."""
