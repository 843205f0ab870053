"""Minari datasets as frames, and frames as Minari datasets, without loss."""

from __future__ import annotations

import re
import warnings
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from gymnasium import spaces

from latentrl.data.frames import Frames
from latentrl.data.readers import minari_id
from latentrl.data.shards import step_dtype
from latentrl.data.store import describe_action
from latentrl.types import Array, space_to_json
from latentrl.utils.decoding import decode

OWN = "latentrl"
"""Key of the environment's description in the metadata of a dataset that ``write_minari`` wrote."""


def open_minari(source: str | Path) -> Frames:
    """Open ``minari://ID`` of this machine's Minari datasets; all of it is read into memory.

    The last observation of an episode has ``final`` set and no action. Rewards become float32.

    Raises:
        FileNotFoundError: there is no such dataset on this machine.
        ValueError: its observations are no arrays, or its actions have no one shape.
        ImportError: minari or pyarrow is missing.
    """
    name = minari_id(source)
    assert name is not None
    dataset = _load(name)
    space, action_space = dataset.observation_space, dataset.action_space
    if not isinstance(space, spaces.Box):
        raise ValueError(f"minari://{name} has observations {space}, expected a Box of arrays")
    action = describe_action(action_space)
    found = list(dataset.iterate_episodes())
    records = [_records(episode, step_dtype(action), k) for k, episode in enumerate(found)]
    steps = np.concatenate([np.zeros(0, step_dtype(action)), *records])
    empty = np.zeros((0, *space.shape), space.dtype)
    observations = np.concatenate([empty, *(episode.observations for episode in found)])
    metadata = {
        "observation": space_to_json(space),
        "action": action,
        "environment": _environment(dataset),
        "source": f"minari://{name}",
    }
    return Frames(space, [observations], steps["episode"].astype(np.int64), steps, None, metadata)


def write_minari(frames: Frames, name: str, action_space: spaces.Space[Any] | None = None) -> Path:
    """Write frames of a store as the Minari dataset ``name``; images are stored without loss.

    Minari needs the observation after each action. An episode that the collection has left
    unfinished therefore ends one step earlier, as truncated; one with a single observation is left
    out.

    Args:
        frames: frames with actions and rewards.
        name: id of the new dataset, such as ``CarRacing/random-v0``.
        action_space: space of the actions, of which a store holds shape and dtype alone; None is
            the smallest Discrete with all actions, or a Box.

    Returns:
        The folder of the dataset, below Minari's own.

    Raises:
        ValueError: the frames have no records, are a view with gaps, or contain no whole step, the
            name has no version, or there is such a dataset already.
        ImportError: minari or pyarrow is missing.
    """
    minari = _require_minari()
    if re.fullmatch(r".+-v\d+", name) is None:
        raise ValueError(f"the id of a Minari dataset ends with a version, such as {name}-v0")
    steps = frames.steps
    episodes = [rows for rows in _episodes(frames) if len(rows) > 1]
    if not episodes:
        raise ValueError("no episode of these frames has two observations, which one step needs")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # minari warns of each description that is not given
        dataset = minari.create_dataset_from_buffers(
            name,
            (_buffer(frames, steps, rows) for rows in episodes),
            observation_space=frames.space,
            action_space=_action_space(steps["action"]) if action_space is None else action_space,
            data_format="arrow",
            jpeg_encoding=False,  # which is the default, and changes pixels
        )
    dataset.storage.update_metadata({OWN: frames.metadata.get("environment", {})})
    return Path(dataset.storage.data_path).parent


def _require_minari() -> Any:
    try:
        import minari
        import pyarrow  # noqa: F401 - minari's storage, which it imports later
    except ImportError as error:
        raise ImportError(
            "Minari datasets need minari and pyarrow: pip install 'latentrl[minari]'"
        ) from error
    return minari


def _load(name: str) -> Any:
    minari = _require_minari()
    try:
        return minari.load_dataset(name)
    except FileNotFoundError as error:
        raise FileNotFoundError(
            f"there is no Minari dataset {name} on this machine: minari download {name}"
        ) from error


def _environment(dataset: Any) -> dict[str, Any]:
    own = dataset.storage.metadata.get(OWN)
    if own is not None:
        return dict(decode(Mapping[str, Any], own, f"{OWN!r} in the metadata of the dataset"))
    return {} if dataset.env_spec is None else {"id": dataset.env_spec.id}


def _records(episode: Any, dtype: np.dtype[Any], number: int) -> Array:
    steps = np.zeros(len(episode.observations), dtype)
    taken = steps[: len(episode.rewards)]
    taken["action"], taken["reward"] = episode.actions, episode.rewards
    taken["terminated"], taken["truncated"] = episode.terminations, episode.truncations
    steps["episode"] = number
    steps["final"][-1:] = True
    return steps


def _episodes(frames: Frames) -> Iterator[Array]:
    """Yield the rows of each episode in the order of its steps."""
    episodes, times = frames.episodes, frames.times
    order = np.lexsort((times, episodes))
    for rows in np.split(order, np.flatnonzero(np.diff(episodes[order])) + 1):
        if len(rows) and (times[rows] != np.arange(len(rows))).any():
            raise ValueError(
                "these frames are a view that lacks steps of an episode: write whole episodes, "
                "such as all frames of a store"
            )
        yield rows


def _buffer(frames: Frames, steps: Array, rows: Array) -> Any:
    from minari.data_collector import EpisodeBuffer

    taken = steps[rows[:-1]]
    truncated = taken["truncated"].copy()
    truncated[-1] |= not taken["terminated"][-1]
    return EpisodeBuffer(
        observations=frames[rows],
        actions=taken["action"],
        rewards=taken["reward"],
        terminations=taken["terminated"],
        truncations=truncated,
    )


def _action_space(actions: Array) -> spaces.Space[Any]:
    if actions.ndim == 1 and actions.dtype.kind in "iu" and actions.min() >= 0:
        return spaces.Discrete(int(actions.max()) + 1)
    if actions.dtype.kind == "f":
        return spaces.Box(-np.inf, np.inf, actions.shape[1:], actions.dtype.type)
    low, high = actions.min(), actions.max()
    return spaces.Box(low, high, actions.shape[1:], actions.dtype.type)
