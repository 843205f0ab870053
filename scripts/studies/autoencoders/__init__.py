"""Studies of the autoencoders."""
