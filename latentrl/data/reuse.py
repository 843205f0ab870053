"""Frames that an earlier call collected: whether they have the origin that this call gives."""

from __future__ import annotations

import sys
import warnings
from pathlib import Path
from typing import Any

from gymnasium.vector import VectorEnv
from tqdm import tqdm

from latentrl.data.frames import Frames
from latentrl.data.policies import Policy
from latentrl.utils.settings import check_same_settings


def origin_of(
    envs: VectorEnv[Any, Any, Any], policy: str | Policy, seed: int, key: str | None
) -> dict[str, Any]:
    """Return what a shard keeps of the call that collected it, in JSON."""
    name = policy if isinstance(policy, str) else getattr(policy, "__name__", None)
    return {
        "policy": name or type(policy).__name__,
        "call_seed": seed,
        "key": key,
        "package": envs.metadata.get("package"),
    }


def check_origin(path: Path, origin: dict[str, Any], frames: int, show: bool) -> int:
    """Return the number of frames in the store at ``path``, after saying that they are reused.

    Args:
        path: folder of the store.
        origin: what ``origin_of`` returned for this call.
        frames: number of frames that the call returns.
        show: whether to print the number of frames that are reused.

    Raises:
        ValueError: they were collected with another policy, seed or key.
    """
    stored = Frames.open(path)
    for shard in stored.metadata["shards"]:
        saved = {name: shard.get(name, value) for name, value in origin.items()}
        remedy = "use another path, give the same to extend or reuse its frames, or remove it"
        check_same_settings(
            _for_users(saved), _for_users(origin), f"the frame store {path}", remedy
        )
        if saved["package"] and origin["package"] and saved["package"] != origin["package"]:
            warnings.warn(
                f"the frames in {path} were collected with {saved['package']}, this is "
                f"{origin['package']}; use another path if its images differ",
                UserWarning,
                stacklevel=3,
            )
    if show and len(stored):
        more = max(0, frames - len(stored))
        then = f", and collects {more:,} more" if more else ", and collects none"
        reused = min(frames, len(stored))
        tqdm.write(f"{path}: reuses {reused:,} frames{then}", file=sys.stderr)
    return len(stored)


def _for_users(origin: dict[str, Any]) -> dict[str, Any]:
    """Return the settings under the names of ``collect``'s arguments."""
    return {"policy": origin["policy"], "seed": origin["call_seed"], "key": origin["key"]}
