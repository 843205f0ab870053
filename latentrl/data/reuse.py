"""Frames that an earlier call collected: whether they have the origin that this call gives."""

from __future__ import annotations

import hashlib
import inspect
import sys
import tokenize
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from gymnasium.vector import VectorEnv
from tqdm import tqdm

from latentrl.data.distinct import Progress
from latentrl.data.frames import Frames
from latentrl.data.policies import Policy
from latentrl.data.store import has_store
from latentrl.types import Array
from latentrl.utils.settings import check_same_settings

VISIBLE, MANY = 0.05, 0.001
"""Frames differ where more than ``MANY`` of their values differ by more than ``VISIBLE`` of the
range of values."""


def origin_of(
    envs: VectorEnv[Any, Any, Any], policy: str | Policy, seed: int, key: str | None
) -> dict[str, Any]:
    """Return what a shard keeps of the call that collected it, in JSON."""
    return {
        "policy": policy if isinstance(policy, str) else _name(policy),
        "call_seed": seed,
        "key": key,
        "package": envs.metadata.get("package"),
        "policy_code": None if isinstance(policy, str) else _code_of(policy),
    }


def check_origin(path: Path, origin: dict[str, Any]) -> None:
    """Check that the frames at ``path`` are intact, and were collected by calls like this one.

    Args:
        path: folder of the store.
        origin: what ``origin_of`` returned for this call.

    Raises:
        ValueError: they were collected with another policy, seed or key, or a file is damaged.
    """
    stored = Frames.open(path, verify=True)
    other_code = False
    for shard in stored.metadata["shards"]:
        saved = {name: shard.get(name, value) for name, value in origin.items()}
        remedy = "use another path, give the same to extend or reuse its frames, or remove it"
        check_same_settings(
            _for_users(saved), _for_users(origin), f"the frame store {path}", remedy
        )
        if _changed("package", saved, origin):
            warnings.warn(
                f"the frames in {path} were collected with {saved['package']}, this is "
                f"{origin['package']}; use another path if its images differ",
                UserWarning,
                stacklevel=3,
            )
        other_code = other_code or _changed("policy_code", saved, origin)
    if other_code:
        warnings.warn(
            f"the frames in {path} were collected with other code of {origin['policy']!r}; remove "
            "the folder to collect them again, if its actions differ",
            UserWarning,
            stacklevel=3,
        )


def _changed(name: str, saved: dict[str, Any], given: dict[str, Any]) -> bool:
    """Whether an origin has another value than before, and both are known."""
    return None not in (saved[name], given[name]) and saved[name] != given[name]


def warn_if_unnamed(path: Path, policy: str | Policy) -> None:
    """Warn where nothing says whether ``policy`` is the one that collected the frames at ``path``.

    Lambdas, functions inside functions, methods and objects share their names with others.

    Warns:
        UserWarning: the policy has no name of its own.
    """
    if isinstance(policy, str) or _has_own_name(policy):
        return
    warnings.warn(
        f"the frames in {path} are reused, but whether this policy collected them cannot be "
        f"checked: other policies are called {_name(policy)!r}, too. Remove the folder if it is "
        "another one; a function at the top level of a module has a name of its own",
        UserWarning,
        stacklevel=3,
    )


def _has_own_name(policy: Policy) -> bool:
    return inspect.isfunction(policy) and "<" not in policy.__qualname__


def _code_of(policy: Policy) -> str | None:
    """Return a short hash of the source of a function with a name of its own, where it is known."""
    if not _has_own_name(policy):
        return None
    try:
        source = inspect.getsource(policy)
    except (OSError, SyntaxError, tokenize.TokenError):  # of an interpreter, or half edited
        return None
    return hashlib.sha256(source.encode()).hexdigest()[:16]


def _name(policy: Policy) -> str:
    name: str = getattr(policy, "__name__", type(policy).__name__)
    return name


def check_drawing(path: Path, first: Callable[[int], Array]) -> None:
    """Warn where an environment, which can have been edited, no longer draws the stored frames.

    Args:
        path: folder of the store.
        first: resets to the seed of the shard of this number, and returns the frame that is there
            now. Where it returns different ones of one seed, nothing is compared.

    Warns:
        UserWarning: the stored frame is another one.
    """
    frames = Frames.open(path)
    shard = frames.metadata["shards"][0]
    if "call_seed" not in shard:  # written by hand
        return
    now = first(int(shard["name"]))
    if _differ(frames[0], now) and not _differ(now, first(int(shard["name"]))):
        warnings.warn(
            f"the first frame in {path} is not the one that the environment draws now with the same"
            " seed: it has changed since then, or the frames come from another backend. Remove the "
            "folder to collect them again",
            UserWarning,
            stacklevel=3,
        )


def _differ(one: Array, other: Array) -> bool:
    a, b = one.astype(np.float64), other.astype(np.float64)
    return bool((np.abs(a - b) > VISIBLE * np.ptp(a)).mean() > MANY)


def show_reused(path: Path, progress: Progress) -> None:
    """Print how many frames at ``path`` are reused, and how many more are collected."""
    if progress.stored:
        up_to = "up to " if progress.distinct else ""
        more = f"{up_to}{progress.room:,} more" if progress.room else "none"
        words = f"{path}: reuses {progress.stored:,} frames, and collects {more}"
        tqdm.write(words, file=sys.stderr)


def progress_of(path: Path, frames: int, most: int | None) -> Progress:
    """Return how many of the first observations at ``path``, up to enough of them, are there."""
    progress = Progress(frames, most)
    if not has_store(path):
        return progress
    stored = Frames.open(path)
    if most is None:
        progress.stored = min(frames, len(stored))
        return progress
    for batch in stored.batches():
        for observation in batch:
            if not progress.room:
                return progress
            progress.add(observation[None])
    return progress


def _for_users(origin: dict[str, Any]) -> dict[str, Any]:
    """Return the settings under the names of ``collect``'s arguments."""
    return {"policy": origin["policy"], "seed": origin["call_seed"], "key": origin["key"]}
