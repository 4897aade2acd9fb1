"""One training, from the first weights to a checkpoint."""
