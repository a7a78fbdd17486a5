"""Tables and texts: one reader, what columns mean, and numbers made of cells."""
