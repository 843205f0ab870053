"""The scaled novelty bonus of an agent."""

from __future__ import annotations

from typing import Any

from gymnasium import spaces

from latentrl.novelty import NormalizedBonus, make_bonus
from latentrl.types import Encoder

DEFAULT_WEIGHT = 0.005
DEFAULT_NOVELTY = "adaptive"
"""Bonus of ``--novelty`` without a name, and of ``AUTO``."""
AUTO = "auto"
"""Value of ``--novelty`` that removes the bonus again where rewards are not sparse."""


def make_novelty(
    name: str,
    weight: float | None,
    encoder: Encoder,
    action_space: spaces.Space[Any],
    gamma: float,
    seed: int,
) -> NormalizedBonus:
    """Return the bonus called ``name``, scaled.

    Args:
        name: one of ``latentrl.novelty.BONUSES``.
        weight: of the normalised bonus in the reward; None takes ``DEFAULT_WEIGHT``.
        encoder: the agent's.
        action_space: of the environment.
        gamma: the agent's discount factor.
        seed: of the run.

    Raises:
        ValueError: the name is unknown, the weight negative, or the bonus does not suit encoder or
            actions.
    """
    bonus = make_bonus(name, encoder, action_space, seed)
    return NormalizedBonus(bonus, DEFAULT_WEIGHT if weight is None else weight, gamma)
