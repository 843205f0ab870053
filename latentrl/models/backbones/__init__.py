"""Pairs of encoder and decoder networks."""
