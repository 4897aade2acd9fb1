"""Controlled, repeatable benchmarks of similarities and regularizers for learned medical image registration."""

__version__ = "0.1.0"
