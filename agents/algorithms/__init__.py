"""The algorithms and their hyperparameters."""
