"""Readers of files: folders, tables, and what others publish."""
