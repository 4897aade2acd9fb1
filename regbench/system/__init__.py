"""The machine and its files: errors, atomic writes, locks, devices, provenance."""
