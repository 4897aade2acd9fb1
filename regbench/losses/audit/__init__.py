"""A certificate for any similarity or regularizer: what it sees, what it does not, and where it breaks."""
