"""Family of Procgen, which is in EnvPool alone."""

from __future__ import annotations

from envs.envpool import EnvPoolVectorEnv, refuse_unknown
from envs.families import EnvDefaults, EnvFamily, EnvPoolSupport, register_family

GAMES = (
    *("Bigfish", "Bossfight", "Caveflyer", "Chaser", "Climber", "Coinrun", "Dodgeball", "Fruitbot"),
    *("Heist", "Jumper", "Leaper", "Maze", "Miner", "Ninja", "Plunder", "Starpilot"),
)
"""The 16 games of Cobbe et al. 2020, arXiv:1912.01588."""
MODES = ("Easy", "Hard", "Extreme", "Memory", "Exploration")
"""Distributions of levels; no game has all of them."""


class ProcgenVectorEnv(EnvPoolVectorEnv):
    """EnvPool's Procgen with ``(64, 64, 3)`` uint8 images and 15 discrete actions."""

    # EnvPool's default is channels-first, which the preprocessing of images refuses.
    options = {"channel_first": False}


register_family(
    EnvFamily(
        "procgen",
        prefixes=tuple(f"{game}{mode}-" for game in GAMES for mode in MODES),
        defaults=EnvDefaults(size=None),
        envpool=EnvPoolSupport(ProcgenVectorEnv, refuse_unknown),
        envpool_only=True,
    )
)
