"""Images, figures, and callbacks for TensorBoard."""
