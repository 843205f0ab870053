"""Images, figures and TensorBoard."""
