"""Uses of a trained model's latents: generation, search, anomalies, restoration, metrics."""
