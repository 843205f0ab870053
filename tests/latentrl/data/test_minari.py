"""Frames as Minari datasets and back: the same bits."""

from __future__ import annotations

import sys
import warnings
from pathlib import Path

import numpy as np
import pytest
from gymnasium import spaces

import latentrl as lrl
from latentrl.data.factors import with_factors
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


def buffer(observations):
    """An episode of two steps in Minari's own terms."""
    return minari.data_collector.EpisodeBuffer(
        observations=observations,
        actions=np.arange(2),
        rewards=np.zeros(2, np.float32),
        terminations=[False, True],
        truncations=[False, False],
    )


def buffers(name, episodes, data_format="arrow", **fields):
    """Write a dataset with Minari alone."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # minari misses descriptions
        minari.create_dataset_from_buffers(
            name, episodes, action_space=spaces.Discrete(2), data_format=data_format, **fields
        )


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
    lrl.data.write_minari(frames, "square-v0")
    with pytest.raises(ValueError, match="square-v0 already exists: take another name or version"):
        lrl.data.write_minari(frames, "square-v0")


@pytest.mark.parametrize(
    "name", ["square", "../x-v0", "bad name-v0", "/x-v0", "a//x-v0", "a/x-v0", "x-v0/", "x-v0\n"]
)
def test_a_name_that_minari_cannot_open_is_refused_before_a_write(tmp_path, datasets, name):
    frames = store(tmp_path / "store", spaces.Discrete(3, seed=0))
    before = sorted(tmp_path.rglob("*"))
    message = "ends with a version, such as square/random-v0; got .*: rename it"
    with pytest.raises(ValueError, match=message):
        lrl.data.write_minari(frames, name)
    assert sorted(tmp_path.rglob("*")) == before


def test_an_interrupted_write_leaves_nothing(tmp_path, datasets, monkeypatch):
    frames = store(tmp_path / "store", spaces.Discrete(3, seed=0))
    read = lrl.Frames.__getitem__

    def interrupt(self, index):
        if (self.episodes[index] == 1).any():
            raise KeyboardInterrupt
        return read(self, index)

    with monkeypatch.context() as patch:
        patch.setattr(lrl.Frames, "__getitem__", interrupt)
        with pytest.raises(KeyboardInterrupt):
            lrl.data.write_minari(frames, "square/random-v0")
    assert list(datasets.iterdir()) == []
    lrl.data.write_minari(frames, "square/random-v0")
    assert list(minari.list_local_datasets()) == ["square/random-v0"]
    assert minari.namespace.list_local_namespaces() == ["square"]


def test_an_empty_dataset_is_refused(datasets):
    buffers("empty-v0", [], observation_space=SPACE)
    with pytest.raises(ValueError, match=r"no episodes, as after an .* minari delete empty-v0"):
        lrl.as_frames("minari://empty-v0")


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_known_factors_come_back_bit_for_bit(tmp_path, dtype):
    frames = store(tmp_path / "store", spaces.Discrete(3, seed=0))
    numbers = np.random.default_rng(1).normal(size=(2, len(frames))).astype(dtype)
    numbers[1, ::3] = np.nan
    frames._factors = dict(zip(("angle of arm", "speed"), numbers, strict=True))
    lrl.data.write_minari(frames, "square-v0")
    again = lrl.as_frames("minari://square-v0")
    order = np.lexsort((frames.times, frames.episodes))
    assert list(again.factors) == list(frames.factors)
    for name, values in again.factors.items():
        assert values.dtype == dtype
        assert values.tobytes() == frames.factors[name][order].tobytes()


def test_episodes_that_are_added_without_factors_have_unknown_ones(tmp_path):
    frames = store(tmp_path / "store", spaces.Discrete(3, seed=0))
    known = np.arange(len(frames), dtype=float)
    lrl.data.write_minari(with_factors(frames, {"speed": known}), "square-v0")
    minari.load_dataset("square-v0").update_dataset_from_buffer(
        [buffer(np.zeros((3, *SPACE.shape), np.uint8))]
    )
    speed = lrl.as_frames("minari://square-v0").factors["speed"]
    np.testing.assert_array_equal(np.isnan(speed), np.arange(len(frames) + 3) >= len(frames))


def test_a_dataset_in_hdf5_opens(monkeypatch):
    pytest.importorskip("h5py")
    observations = np.random.default_rng(0).integers(0, 256, (3, *SPACE.shape), dtype=np.uint8)
    added = [buffer(observations), buffer(observations[::-1])]
    buffers("square-v0", added, "hdf5", observation_space=SPACE, jpeg_encoding=False)
    frames = lrl.as_frames("minari://square-v0")
    np.testing.assert_array_equal(frames[:], [*observations, *observations[::-1]])
    assert frames.steps["action"].tolist() == [0, 1, 0] * 2
    assert frames.steps["terminated"].tolist() == [False, True, False] * 2
    assert frames.episodes.tolist() == [0, 0, 0, 1, 1, 1]
    monkeypatch.setitem(sys.modules, "h5py", None)
    monkeypatch.delitem(sys.modules, "minari.dataset._storages.hdf5_storage")
    with pytest.raises(ImportError, match="h5py is not installed"):
        lrl.as_frames("minari://square-v0")


def test_a_missing_dataset_and_a_missing_package_are_named(monkeypatch):
    with pytest.raises(FileNotFoundError, match="minari download other-v1"):
        lrl.as_frames("minari://other-v1")
    monkeypatch.setitem(sys.modules, "minari", None)
    with pytest.raises(ImportError, match=r"pip install 'latentrl\[minari\]'"):
        lrl.as_frames("minari://other-v1")


def test_other_observations_are_refused():
    buffers("states-v0", [buffer(np.arange(3))], observation_space=spaces.Discrete(3))
    with pytest.raises(ValueError, match="expected a Box of arrays"):
        lrl.as_frames("minari://states-v0")
