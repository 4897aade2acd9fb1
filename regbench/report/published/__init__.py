"""Published studies: a folder of a few megabytes from which every number of its tables can be derived again."""
