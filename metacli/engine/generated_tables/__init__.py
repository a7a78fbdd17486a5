"""Meta-training of the network of `tables-prior` on generated tables, and how it is measured."""
