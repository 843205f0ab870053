"""Family of ViZDoom (Kempka et al. 2016, arXiv:1605.02097), on the Gymnasium ids of its package."""

from __future__ import annotations

from typing import Any

import gymnasium as gym

from envs.families import EnvDefaults, EnvFamily, register_family
from envs.wrappers import PickObservation


def screen(env: gym.Env[Any, Any]) -> gym.Env[Any, Any]:
    """Return ``env`` with the screen as its observation, ``(240, 320, 3)`` uint8."""
    # The other keys (game variables, depth, labels, audio) differ between scenarios. The terminal
    # observation is black: the engine has no screen after the end of an episode.
    return PickObservation(env, "screen")


register_family(
    EnvFamily(
        "vizdoom",
        prefixes=("Vizdoom",),
        # The package's own frame skip is 1; the paper's experiments skip at least 4 frames. The
        # engine draws no skipped frame. EnvPool's ViZDoom has rewards of its own and no discrete
        # actions, and steps no faster.
        defaults=EnvDefaults(frame_skip=4, native_frame_skip="frame_skip"),
        package="vizdoom.gymnasium_wrapper",  # the import of vizdoom alone registers no id
        install="vizdoom",
        observe=screen,
    )
)
