"""Files and tensors become episodes and batches."""
