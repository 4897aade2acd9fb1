"""The search for lambda: rounds of trials, and the choice."""
