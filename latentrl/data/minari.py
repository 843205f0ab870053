"""Minari datasets as frames, and frames as Minari datasets, without loss."""

from __future__ import annotations

import re
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
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
"""Key of ``_Own`` in the metadata of a dataset that ``write_minari`` wrote."""
ID = re.compile(r"(?![\w-]/[\w-]+$)([\w-]+/)*[\w-]+-v\d+")
"""Ids that Minari can read: its namespaces have two characters or more."""


@dataclass(frozen=True)
class _Own:
    """What Minari's own metadata have no place for."""

    environment: Mapping[str, Any]
    factors: Sequence[str]
    """Names of the columns of ``infos["factors"]``."""


def open_minari(source: str | Path) -> Frames:
    """Open ``minari://ID`` of this machine's Minari datasets; all of it is read into memory.

    The last observation of an episode has ``final`` set and no action. Rewards become float32.

    Raises:
        FileNotFoundError: there is no such dataset on this machine.
        ValueError: its observations are no arrays, its actions have no one shape, or it is empty.
        ImportError: minari or pyarrow is missing, or h5py where the dataset is HDF5.
    """
    name = minari_id(source)
    assert name is not None
    dataset = _load(name)
    space, action_space = dataset.observation_space, dataset.action_space
    if not isinstance(space, spaces.Box):
        raise ValueError(f"minari://{name} has observations {space}, expected a Box of arrays")
    action = describe_action(action_space)
    found = list(dataset.iterate_episodes())
    if not found:
        raise ValueError(
            f"minari://{name} has no episodes, as after an interrupted write: "
            f"minari delete {name}, then write or download it again"
        )
    own = _own(dataset)
    dtype = step_dtype(action)
    steps = np.concatenate([_records(episode, dtype, k) for k, episode in enumerate(found)])
    observations = np.concatenate([episode.observations for episode in found])
    metadata = {
        "observation": space_to_json(space),
        "action": action,
        "environment": dict(own.environment),
        "source": f"minari://{name}",
    }
    numbers = steps["episode"].astype(np.int64)
    factors = _read_factors(found, own.factors)
    return Frames(space, [observations], numbers, steps, None, metadata, factors)


def write_minari(frames: Frames, name: str, action_space: spaces.Space[Any] | None = None) -> Path:
    """Write frames of a store as the Minari dataset ``name``; images are stored without loss.

    Known factors are ``infos["factors"]`` of the dataset, which appears when all is written.

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
            name is no id of Minari, or there is such a dataset already.
        ImportError: minari or pyarrow is missing.
    """
    minari = _require_minari()
    path = _new_path(name)
    steps = frames.steps
    episodes = [rows for rows in _episodes(frames) if len(rows) > 1]
    if not episodes:
        raise ValueError("no episode of these frames has two observations, which one step needs")
    # Minari lists no hidden folders; a rename puts the finished dataset in place at once.
    with tempfile.TemporaryDirectory(prefix=".", dir=minari.storage.get_dataset_path()) as root:
        data = Path(root, "dataset", "data")
        data.parent.mkdir()
        space = _action_space(steps["action"]) if action_space is None else action_space
        storage = _new_storage(data, frames.space, space)
        own = asdict(_Own(frames.metadata.get("environment", {}), list(frames.factors)))
        storage.update_metadata(
            {"dataset_id": name, "minari_version": minari.__version__, OWN: own}
        )
        storage.update_episodes(_buffers(frames, steps, episodes))
        _make_namespace(name)
        data.parent.rename(path)
    return path


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


def _new_path(name: str) -> Path:
    """Return the folder of a new dataset, which is not made."""
    from minari.storage import get_dataset_path

    if ID.fullmatch(name) is None:
        raise ValueError(
            "the id of a Minari dataset is letters, digits, _ and -, with / after a namespace of "
            "two characters or more, and ends with a version, such as square/random-v0; "
            f"got {name!r}: rename it"
        )
    path = Path(get_dataset_path(name))
    if path.exists():
        raise ValueError(
            f"the Minari dataset {name} already exists: take another name or version, or delete "
            f"{path}"
        )
    return path


def _new_storage(path: Path, space: spaces.Box, action_space: spaces.Space[Any]) -> Any:
    # The public function that makes a dataset takes an id alone, and no folder.
    from minari.dataset.minari_storage import MinariStorage

    return MinariStorage.new(
        path,
        space,
        action_space,
        data_format="arrow",
        jpeg_encoding=False,  # which is the default, and changes pixels
    )


def _make_namespace(name: str) -> None:
    from minari.namespace import create_namespace, list_local_namespaces

    namespace = name.rpartition("/")[0]
    if namespace and namespace not in list_local_namespaces():
        create_namespace(namespace)


def _own(dataset: Any) -> _Own:
    own = dataset.storage.metadata.get(OWN)
    if own is None:
        return _Own({} if dataset.env_spec is None else {"id": dataset.env_spec.id}, ())
    found: _Own = decode(_Own, own, f"{OWN!r} in the metadata of the dataset")
    return found


def _read_factors(episodes: Sequence[Any], names: Sequence[str]) -> dict[str, Array]:
    if not names:
        return {}
    table = np.concatenate([_factors_of(episode, len(names)) for episode in episodes])
    return dict(zip(names, table.T, strict=True))


def _factors_of(episode: Any, width: int) -> Array:
    given = np.asarray(episode.infos.get("factors"))
    # Minari can add episodes without factors to a dataset that has some: they are None there.
    shape = (len(episode.observations), width)
    return given if given.dtype.kind == "f" else np.full(shape, np.nan, np.float32)


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


def _buffers(frames: Frames, steps: Array, episodes: Sequence[Array]) -> Iterator[Any]:
    """Yield the episodes, with the observations of one at a time in memory."""
    from minari.data_collector import EpisodeBuffer

    factors = frames.factors
    for rows in episodes:
        taken = steps[rows[:-1]]
        truncated = taken["truncated"].copy()
        truncated[-1] |= not taken["terminated"][-1]
        known = [values[rows] for values in factors.values()]
        yield EpisodeBuffer(
            observations=frames[rows],
            actions=taken["action"],
            rewards=taken["reward"],
            terminations=taken["terminated"],
            truncations=truncated,
            infos={"factors": np.stack(known, axis=1)} if known else None,
        )


def _action_space(actions: Array) -> spaces.Space[Any]:
    if actions.ndim == 1 and actions.dtype.kind in "iu" and actions.min() >= 0:
        return spaces.Discrete(int(actions.max()) + 1)
    if actions.dtype.kind == "f":
        return spaces.Box(-np.inf, np.inf, actions.shape[1:], actions.dtype.type)
    low, high = actions.min(), actions.max()
    return spaces.Box(low, high, actions.shape[1:], actions.dtype.type)
