"""Generated small tables, which `tables-prior` learns from."""
