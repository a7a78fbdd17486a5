"""The data sets that metacli knows by name, one file each, and their registry."""
