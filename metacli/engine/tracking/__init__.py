"""Training shown by another program: one adapter a program, behind the events of a run."""
