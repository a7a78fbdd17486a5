"""Pools of classes and sets of regression tasks, and the episodes drawn from them."""
