"""Lists that are part of metacli: which files a data set has, and how classes are divided."""
