"""The command line: verbs by topic."""
