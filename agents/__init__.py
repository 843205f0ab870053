"""Recipes: pretrain an encoder, train an SB3 agent on its latents, evaluate the agent."""
