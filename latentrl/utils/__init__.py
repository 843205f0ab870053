"""Registries, atomic files, progress bars, signals, workers."""
