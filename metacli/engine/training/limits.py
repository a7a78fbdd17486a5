"""Numbers beyond which a word on the command line is a slip. No torch here."""

MOST_SEEDS = 1000  # runs of one command, each a folder
