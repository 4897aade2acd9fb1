"""The tables of a study as CSV, Markdown, LaTeX and HTML."""
