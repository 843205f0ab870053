"""Packages that bring environments of their own; each is imported when one of its ids is asked
for.
"""

from __future__ import annotations

import importlib

import gymnasium as gym

PACKAGES = {"MiniGrid-": ("minigrid", "minigrid"), "ALE/": ("ale_py", "atari")}
"""How ids begin: the package that registers them, and the extra that installs it."""


def register_package(env_id: str) -> None:
    """Register the ids of the package that ``env_id`` belongs to, in this process.

    Raises:
        ValueError: the package is not installed.
    """
    for beginning, (package, extra) in PACKAGES.items():
        if env_id.startswith(beginning):
            try:
                gym.register_envs(importlib.import_module(package))
            except ModuleNotFoundError as error:
                if error.name != package:
                    raise
                raise ValueError(
                    f"{env_id} needs the package {package}: pip install 'latentrl[{extra}]'"
                ) from error
