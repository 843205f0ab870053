"""The training loop, checkpoints and health metrics."""
