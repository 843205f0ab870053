"""Recipes: pretrain an encoder, train an SB3 agent on its latents, evaluate the agent."""

import os

# OpenMP reads it when torch loads. Threads that wait for work would spin on cores that another
# process needs.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
