"""Recipes: pretrain an encoder, train an SB3 agent in its codes, evaluate it."""
