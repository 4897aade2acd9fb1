"""Which verdicts of a study survive the conventions of its field."""
