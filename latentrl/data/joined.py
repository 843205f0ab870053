"""Frames of two origins, one after the other."""

from __future__ import annotations

import numpy as np

from latentrl.data.frames import Frames


def joined(first: Frames, second: Frames) -> Frames:
    """Return a view of the observations of ``first`` and then of ``second``, without records.

    The episodes of ``second`` get numbers of their own, so that none joins one of ``first``.

    Raises:
        ValueError: their observations have different shapes or types.
    """
    spaces = [(frames.space.shape, frames.space.dtype) for frames in (first, second)]
    if spaces[0] != spaces[1]:
        raise ValueError(f"frames of {spaces[0]} cannot be joined with frames of {spaces[1]}")
    after = first._episodes.max(initial=-1) + 1
    return Frames(
        first.space,
        [*first._sources, *second._sources],
        np.concatenate([first._episodes, second._episodes + after]),
        indices=np.concatenate([first.indices, second.indices + first._starts[-1]]),
        metadata=first.metadata,
    )
