"""Sparse rewards: agents with and without a bonus, over tasks and seeds."""

from scripts.studies.sparse_rewards.subject import SparseRewards

__all__ = ["SparseRewards"]
