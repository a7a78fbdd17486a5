"""One episode as plain files that a user could have made."""
