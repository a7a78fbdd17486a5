"""Sets of tasks: multi-task problems as the unit of meta-learning."""
