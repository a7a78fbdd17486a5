"""What a user would do without metacli, one file for each kind of data."""
