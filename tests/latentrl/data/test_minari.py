"""Frames as Minari datasets and back: the same bits."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
from gymnasium import spaces

import latentrl as lrl
from latentrl.data.store import FrameWriter

minari = pytest.importorskip("minari")
SPACE = spaces.Box(0, 255, (40, 32, 3), np.uint8)
LENGTHS = {0: 3, 1: 5, 2: 1}
"""Steps of three finished episodes, of which each has one observation more."""


@pytest.fixture(autouse=True)
def datasets(tmp_path, monkeypatch):
    monkeypatch.setenv("MINARI_DATASETS_PATH", str(tmp_path / "datasets"))
    return tmp_path / "datasets"


def store(path, action_space, unfinished=0):
    """Two environments in turn, so that the observations of two episodes alternate."""
    rng = np.random.default_rng(0)
    ends = {**LENGTHS, **({3: unfinished} if unfinished else {})}
    environment = {"id": "Square-v0", "frame_skip": 2}
    with FrameWriter(path, SPACE, action_space, environment) as writer:
        for time in range(max(ends.values()) + 1):
            for episode, end in ends.items():
                if time > end or (episode == 3 and time == end):
                    continue
                final = time == end
                fields = (
                    {} if final else {"action": [action_space.sample()], "reward": rng.random()}
                )
                last = time == end - 1 and episode != 3
                kind = "terminated" if episode == 0 else "truncated"
                writer.append(
                    rng.integers(0, 256, (1, *SPACE.shape), dtype=np.uint8),
                    **fields,
                    **{kind: last, "env": episode % 2, "episode": episode, "final": final},
                )
    return lrl.Frames.open(path)


def in_order(frames):
    """Observations and records by episode and time, without the number of the environment."""
    order = np.lexsort((frames.times, frames.episodes))
    steps = frames.steps[order].copy()
    steps["env"] = 0
    return frames[order], steps


@pytest.mark.parametrize(
    "action_space",
    [spaces.Discrete(3, seed=0), spaces.Box(-1, 1, (2,), np.float32, seed=0)],
    ids=str,
)
def test_a_store_comes_back_bit_for_bit(tmp_path, datasets, action_space):
    frames = store(tmp_path / "store", action_space)
    path = lrl.data.write_minari(frames, "square/random-v0", action_space)
    assert path == datasets / "square" / "random-v0"
    again = lrl.as_frames("minari://square/random-v0")
    for first, second in zip(in_order(frames), in_order(again), strict=True):
        np.testing.assert_array_equal(first, second)
    assert again.metadata["environment"] == frames.metadata["environment"]
    assert again.space == SPACE
    assert len(lrl.data.Windows(again, 4)) == len(lrl.data.Windows(frames, 4))


def test_minari_reads_what_was_written(tmp_path):
    frames = store(tmp_path / "store", spaces.Discrete(3, seed=0), unfinished=4)
    lrl.data.write_minari(frames, "square-v0")
    dataset = minari.load_dataset("square-v0")
    assert [len(episode.rewards) for episode in dataset] == [3, 5, 1, 3]
    ends = [(bool(e.terminations[-1]), bool(e.truncations[-1])) for e in dataset]
    assert ends == [(True, False), *[(False, True)] * 3]
    rows = np.flatnonzero(frames.episodes == 3)
    np.testing.assert_array_equal(dataset[3].observations, frames[rows])
    np.testing.assert_array_equal(dataset[3].actions, frames.steps["action"][rows[:-1]])
    assert dataset.action_space == spaces.Discrete(frames.steps["action"].max() + 1)


def test_a_model_learns_from_a_dataset_by_its_path(tmp_path):
    frames = store(tmp_path / "store", spaces.Discrete(3, seed=0))
    lrl.data.write_minari(frames, "square-v0")
    path = Path("minari://square-v0")  # as the command line reads it
    assert lrl.read_labels(path) is None
    model = lrl.pca(SPACE, latent_dim=2)
    lrl.fit(model, path, progress=False)
    assert model.metadata["data"]["source"] == "minari://square-v0"


def test_what_cannot_be_a_dataset_is_refused(tmp_path):
    frames = store(tmp_path / "store", spaces.Discrete(3, seed=0))
    with pytest.raises(ValueError, match="these frames are bare observations"):
        lrl.data.write_minari(lrl.as_frames(frames[:]), "square-v0")
    with pytest.raises(ValueError, match="a view that lacks steps of an episode"):
        lrl.data.write_minari(frames.subset(np.arange(2, len(frames))), "square-v0")
    with pytest.raises(ValueError, match="no episode of these frames has two observations"):
        lrl.data.write_minari(frames.subset(np.arange(3)), "square-v0")
    with pytest.raises(ValueError, match="ends with a version, such as square-v0"):
        lrl.data.write_minari(frames, "square")
    lrl.data.write_minari(frames, "square-v0")
    with pytest.raises(ValueError, match="already exists"):
        lrl.data.write_minari(frames, "square-v0")


def test_a_missing_dataset_and_a_missing_package_are_named(monkeypatch):
    with pytest.raises(FileNotFoundError, match="minari download other-v1"):
        lrl.as_frames("minari://other-v1")
    monkeypatch.setitem(sys.modules, "minari", None)
    with pytest.raises(ImportError, match=r"pip install 'latentrl\[minari\]'"):
        lrl.as_frames("minari://other-v1")


@pytest.mark.filterwarnings("ignore::UserWarning")  # minari misses descriptions
def test_other_observations_are_refused(tmp_path):
    from minari.data_collector import EpisodeBuffer

    buffer = EpisodeBuffer(
        observations=np.arange(3),
        actions=np.zeros(2, int),
        rewards=[0.0, 0.0],
        terminations=[False, True],
        truncations=[False, False],
    )
    minari.create_dataset_from_buffers(
        "states-v0",
        [buffer],
        action_space=spaces.Discrete(2),
        observation_space=spaces.Discrete(3),
        data_format="arrow",
    )
    with pytest.raises(ValueError, match="expected a Box of arrays"):
        lrl.as_frames("minari://states-v0")
