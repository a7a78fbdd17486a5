"""The verbs, one plain function and one file each."""
