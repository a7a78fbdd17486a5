"""Results as a person reads them, where several commands show the same."""
