"""Studies of what latents carry."""
