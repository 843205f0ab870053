"""Environments in worker processes."""

from __future__ import annotations

import gc
from collections.abc import Callable, Sequence
from typing import Any

import gymnasium as gym
from gymnasium.vector import AsyncVectorEnv, AutoresetMode


def in_workers(
    makers: Sequence[Callable[[], gym.Env[Any, Any]]],
    autoreset_mode: AutoresetMode = AutoresetMode.NEXT_STEP,
) -> AsyncVectorEnv[Any, Any]:
    """Return an ``AsyncVectorEnv`` whose workers never collect objects that they inherit.

    Args:
        makers: one function per environment.
        autoreset_mode: autoreset mode of the vector environment.
    """
    # A forked worker inherits the objects of its parent but not their threads. Finalising one there
    # can crash it: an EnvPool waits for threads that do not exist. Frozen objects are never
    # collected.
    gc.collect()
    gc.freeze()
    try:
        return AsyncVectorEnv(makers, autoreset_mode=autoreset_mode)
    finally:
        gc.unfreeze()
