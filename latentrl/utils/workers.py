"""Environments in processes of their own."""

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
    """Return an ``AsyncVectorEnv`` whose workers leave alone what they inherit.

    A forked worker that collected garbage of its parent would end things that are half there: an
    EnvPool without its threads is a crash.
    """
    gc.collect()
    gc.freeze()
    try:
        return AsyncVectorEnv(makers, autoreset_mode=autoreset_mode)
    finally:
        gc.unfreeze()
