"""Which frames of a store a view holds, so that a later call finds them in a store that has grown.

Shards are read one after the other, and each may belong to a process that still appends to it.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from latentrl.data.frames import Frames


def taken(frames: Frames) -> dict[str, int]:
    """Return how many frames of each shard a view of the first frames of a store holds."""
    which = np.searchsorted(frames._starts, frames.indices, side="right") - 1
    held = np.bincount(which, minlength=len(frames._sources))
    return {name: int(held[number]) for name, number in _numbers(frames).items() if held[number]}


def take(frames: Frames, counts: Mapping[str, int]) -> Frames | None:
    """Return the view whose ``taken`` was ``counts``; None where the store lacks such frames."""
    numbers, indices = _numbers(frames), [np.empty(0, np.int64)]
    for name, count in counts.items():
        if name not in numbers or count > np.diff(frames._starts)[numbers[name]]:
            return None
        indices.append(frames._starts[numbers[name]] + np.arange(count))
    chosen = np.concatenate(indices)
    return Frames(
        frames.space,
        frames._sources,
        frames._episodes,
        frames._steps,
        chosen,
        frames.metadata,
        frames._factors,
    )


def _numbers(frames: Frames) -> dict[str, int]:
    """Return the position of each shard with frames among the sources, by its name."""
    filled = np.flatnonzero(np.diff(frames._starts))
    shards = frames.metadata["shards"]
    return {shard["name"]: int(number) for shard, number in zip(shards, filled, strict=True)}
