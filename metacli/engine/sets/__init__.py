"""Training, evaluating and adapting learners of sets of tasks."""
