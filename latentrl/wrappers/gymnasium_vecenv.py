"""A Gymnasium vector environment as an SB3 ``VecEnv``."""

from latentrl.wrappers.sb3 import CLOSE_TIMEOUT, GymnasiumVecEnv

__all__ = ["CLOSE_TIMEOUT", "GymnasiumVecEnv"]
