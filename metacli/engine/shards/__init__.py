"""Work that is divided over machines which do not know of each other, and put together again."""
