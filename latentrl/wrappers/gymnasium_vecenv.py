"""A Gymnasium vector environment as an SB3 ``VecEnv``."""

from latentrl.wrappers.sb3 import GymnasiumVecEnv

__all__ = ["GymnasiumVecEnv"]
