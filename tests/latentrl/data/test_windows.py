"""Windows of consecutive steps against brute force over frames that show episode and step."""

from __future__ import annotations

import dataclasses
import functools
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from gymnasium.vector import AutoresetMode, SyncVectorEnv

from latentrl.data import Frames, Windows, as_frames, collect
from latentrl.data.windows import FIELDS
from tests.helpers import Clock

LENGTHS = [1, 2, 5]
NAMES = dict(zip(("actions", "rewards", "terminated", "truncated", "final"), FIELDS, strict=True))


@pytest.fixture(scope="module", params=list(AutoresetMode), ids=lambda mode: mode.value)
def frames(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Frames:
    """Two shards of three clocks each, whose episodes last 3 to 8 steps."""
    path = tmp_path_factory.mktemp("store")
    for count in (70, 130):
        clocks = [functools.partial(Clock, ident) for ident in range(3)]
        envs = SyncVectorEnv(clocks, autoreset_mode=request.param)
        stored = collect(envs, count, path, policy="random", progress=False)
    return stored


def brute_force(frames: Frames, length: int) -> list[list[int]]:
    """Positions of all windows: by shard and by the environment, episode and time in the pixels."""
    pixels = frames[:][:, 0, 0].astype(int)
    shards = np.arange(len(frames)) >= 70
    position = {
        (shard, *key): i
        for i, (shard, *key) in enumerate(
            zip(shards, frames.steps["env"], pixels[:, 0], pixels[:, 1], strict=True)
        )
    }
    windows = []
    for shard, env, episode, time in sorted(position):
        keys = [(shard, env, episode, time + offset) for offset in range(length)]
        if all(key in position for key in keys):
            windows.append([position[key] for key in keys])
    return windows


@pytest.mark.parametrize("length", LENGTHS)
def test_windows_equal_brute_force(length: int, frames: Frames) -> None:
    windows = Windows(frames, length)
    expected = np.array(brute_force(frames, length))
    assert len(windows) == len(expected)
    everything = windows[:]
    order = np.lexsort(_keys(everything.observations[:, 0]))
    expected = expected[np.lexsort(_keys(frames[expected[:, 0]]))]
    np.testing.assert_array_equal(
        everything.observations[order],
        frames[expected.ravel()].reshape(*expected.shape, *frames.space.shape),
    )
    for name, field in NAMES.items():
        np.testing.assert_array_equal(
            getattr(everything, name)[order], frames.steps[field][expected]
        )


def _keys(observations: Any) -> Any:
    """Sort by the noise of the seed, which differs between episodes, then by the time."""
    return observations[:, 0, 0, 1], observations[:, 0, 0, 2], observations[:, 0, 0, 0]


def test_rewards_belong_to_the_step_that_leaves_the_observation(frames: Frames) -> None:
    window = Windows(frames, 4)[:]
    acted = ~window.final
    times = window.observations[..., 0, 0, 1].astype(int)
    expected = times + 1 + 0.5 * window.actions
    np.testing.assert_array_equal(window.rewards[acted], expected[acted])
    assert not window.rewards[window.final].any()
    assert not window.actions[window.final].any()


def test_terminal_observations_are_last_and_follow_the_step_that_ended(frames: Frames) -> None:
    window = Windows(frames, 3)[:]
    ended = window.terminated | window.truncated
    assert window.final[:, -1].sum() > 10
    assert not window.final[:, :-1].any()
    assert not ended[:, :-2].any()
    np.testing.assert_array_equal(ended[:, 1], window.final[:, 2])
    lengths = 3 + window.observations[:, 2, 0, 0, 0] // 10 + window.observations[:, 2, 0, 0, 0] % 10
    np.testing.assert_array_equal(window.final[:, 2], window.observations[:, 2, 0, 0, 1] == lengths)


def test_views_with_gaps_have_no_windows_across_them(frames: Frames) -> None:
    kept = np.flatnonzero(frames.times % 4 != 3)[
        ::-1
    ]  # reversed: windows do not depend on the order
    windows = Windows(frames.subset(kept), 3)
    assert set(windows[:].observations[:, 0, 0, 0, 1] % 4) == {0}
    assert len(windows) == sum(
        set(frames.times[row] % 4) == {0, 1, 2} for row in brute_force(frames, 3)
    )


def test_windows_of_a_split_share_no_episode(frames: Frames) -> None:
    training, validation = (Windows(part, 2) for part in frames.split(0.3))
    # The three channels are environment and episode, time, and the noise of the seed.
    trained = {pair[:, 0, 0].tobytes() for pair in training[:].observations}
    assert not trained & {pair[:, 0, 0].tobytes() for pair in validation[:].observations}
    assert len(training) + len(validation) == len(Windows(frames, 2))


def test_samples_have_shapes_follow_the_generator_and_cover_all(frames: Frames) -> None:
    windows = Windows(frames, 2)
    window = windows.sample(6, np.random.default_rng(0))
    assert window.observations.shape == (6, 2, 4, 4, 3)
    assert window.observations.dtype == np.uint8
    assert window.actions.shape == window.rewards.shape == window.terminated.shape == (6, 2)
    again = windows.sample(6, np.random.default_rng(0))
    np.testing.assert_array_equal(window.observations, again.observations)
    drawn = windows.sample(40 * len(windows), np.random.default_rng(1))
    assert len(np.unique(drawn.observations, axis=0)) == len(
        np.unique(windows[:].observations, axis=0)
    )


def test_every_array_can_be_a_tensor(frames: Frames) -> None:
    window = Windows(frames, 3).sample(4, np.random.default_rng(0))
    for field in dataclasses.fields(window):
        assert torch.from_numpy(getattr(window, field.name)).shape[:2] == (4, 3)


def test_one_window_has_no_batch_axis(frames: Frames) -> None:
    window = Windows(frames, 3)[-1]
    assert window.observations.shape == (3, 4, 4, 3)
    assert window.rewards.shape == (3,)
    with pytest.raises(IndexError):
        Windows(frames, 3)[10**6]


def test_vector_actions_keep_their_shape(tmp_path: Path) -> None:
    frames = collect("Pendulum-v1", 30, tmp_path, n_envs=2, progress=False)
    window = Windows(frames, 4).sample(5, np.random.default_rng(0))
    assert window.actions.shape == (5, 4, 1)
    assert window.observations.shape == (5, 4, 3)


def test_mistakes_are_named(frames: Frames) -> None:
    with pytest.raises(ValueError, match="length is a number of observations, at least 1; got 0"):
        Windows(frames, 0)
    with pytest.raises(ValueError, match="batch_size is a number of windows, at least 1; got 0"):
        Windows(frames, 2).sample(0, np.random.default_rng(0))
    longest = max(np.bincount(frames.episodes))
    for length in (longest + 1, 10**6):
        with pytest.raises(
            ValueError,
            match=f"no episode has {length} consecutive observations, the longest has {longest}: "
            "choose a shorter length, or collect longer episodes",
        ):
            Windows(frames, length)
    with pytest.raises(ValueError, match=r"no episode has 1 consecutive .* the longest has 0"):
        Windows(frames.subset(np.arange(0)), 1)
    with pytest.raises(ValueError, match="bare observations: they have no actions or rewards"):
        Windows(as_frames(np.zeros((9, 3))), 2)
