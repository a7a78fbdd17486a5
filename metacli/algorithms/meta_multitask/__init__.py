"""Meta multi-task learners: how to learn a set of tasks at once, one file each."""
