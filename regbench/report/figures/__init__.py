"""The figures of a study as SVG and PNG, each with the CSV behind it."""
