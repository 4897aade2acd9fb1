"""What is to be done: the config, and what follows from it for each job. Imports neither torch nor pandas."""
