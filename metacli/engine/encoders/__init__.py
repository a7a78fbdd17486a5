"""Pretrained encoders that are installed with metacli: their weights and their features."""
