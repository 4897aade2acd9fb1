"""What goes into a paper: tables and figures, the same bytes each time."""
