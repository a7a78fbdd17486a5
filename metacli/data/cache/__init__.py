"""Downloads, archives, and the folders that keep what was read from them."""
