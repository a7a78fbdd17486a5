"""Dense tasks: training, models and scores of networks that answer for every pixel."""
