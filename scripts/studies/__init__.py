"""Speed of this machine, and studies of the autoencoders, the latents and the bonuses."""

from scripts.studies import autoencoders, novelty, representation, sparse_rewards
from scripts.studies.core import STUDIES

__all__ = ["STUDIES", "autoencoders", "novelty", "representation", "sparse_rewards"]
