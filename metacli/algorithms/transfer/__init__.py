"""One file for each way to carry a source's network to a new task."""
