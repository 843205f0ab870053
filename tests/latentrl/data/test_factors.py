"""Known factors in frame stores and beside bare observations."""

from __future__ import annotations

import functools
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
from gymnasium import spaces
from gymnasium.vector import AutoresetMode, SyncVectorEnv

import latentrl as lrl
from latentrl.data.factors import with_factors
from tests.latentrl.data.test_store import change_manifest

MODES = list(AutoresetMode)


class Clock(gym.Env[Any, Any]):
    """Observations ``(episode, time)``, which are the factors, too; episodes of 2 to 4 steps."""

    observation_space = spaces.Box(0, 1e6, (2,), np.float32)
    action_space = spaces.Discrete(2)

    def __init__(self, names: tuple[str, ...] | None = ("episode", "time"), given: int = 2) -> None:
        self.metadata = {} if names is None else {"factors": names}
        self.given, self.episode = given, 0

    def observe(self) -> tuple[Any, dict[str, Any]]:
        state = np.array([self.episode, self.time], np.float32)
        return state, {"factors": state[: self.given].astype(float)} if self.given else {}

    def reset(self, *, seed: int | None = None, options: Any = None) -> tuple[Any, dict[str, Any]]:
        super().reset(seed=seed)
        self.episode += 1
        self.time = 0
        return self.observe()

    def step(self, action: Any) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        self.time += 1
        state, info = self.observe()
        return state, 0.0, self.time == 2 + self.episode % 3, False, info


def collected(path: Path, frames: int, mode: AutoresetMode, **options: Any) -> lrl.Frames:
    makers = [functools.partial(Clock, **options)] * 3
    envs = SyncVectorEnv(makers, autoreset_mode=mode)
    return lrl.collect(envs, frames, path, policy="random", progress=False)


@pytest.mark.parametrize("mode", MODES, ids=[mode.name for mode in MODES])
def test_a_store_has_the_factors_of_each_observation(mode: AutoresetMode, tmp_path: Path) -> None:
    frames = collected(tmp_path, 70, mode)
    assert list(frames.factors) == ["episode", "time"]
    assert frames.steps["final"].sum() > 3
    np.testing.assert_array_equal(np.stack([*frames.factors.values()], 1), frames[:])
    chosen = np.array([5, 2, 60])
    np.testing.assert_array_equal(frames.subset(chosen).factors["time"], frames[chosen][:, 1])
    assert frames.split()[1].factors.keys() == frames.factors.keys()
    lrl.Frames.open(tmp_path, verify=True)


def test_a_store_without_factors_is_read_and_extended_without(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    old = collected(tmp_path, 10, AutoresetMode.NEXT_STEP, names=None, given=0)
    assert old.factors == {}
    assert "factors" not in old.steps.dtype.names
    change_manifest(tmp_path, format=3)
    longer = collected(tmp_path, 30, AutoresetMode.NEXT_STEP)
    lrl.collect(SyncVectorEnv([Clock] * 3), 30, tmp_path, policy="random")
    assert "no known factors, because the store was started without them" in capsys.readouterr().err
    assert (len(longer), longer.factors) == (30, {})
    np.testing.assert_array_equal(longer[:10], old[:])


def test_what_an_environment_does_not_give_is_nan(tmp_path: Path) -> None:
    with_names = collected(tmp_path, 10, AutoresetMode.SAME_STEP)
    longer = collected(tmp_path, 20, AutoresetMode.SAME_STEP, names=None, given=0)
    np.testing.assert_array_equal(longer.factors["time"][:10], with_names[:][:, 1])
    assert np.isnan(longer.factors["time"][10:]).all()
    with pytest.warns(match=r'info\["factors"\] is not stored: the environment'):
        assert collected(tmp_path / "b", 9, AutoresetMode.SAME_STEP, names=None).factors == {}


def test_names_and_numbers_have_to_agree(tmp_path: Path) -> None:
    message = r'names 2 factors, info\["factors"\] has shape \(1,\): return one number for each'
    with pytest.raises(ValueError, match=message):
        collected(tmp_path, 10, AutoresetMode.NEXT_STEP, given=1)


def test_factors_beside_bare_observations() -> None:
    frames = lrl.as_frames(np.arange(12, dtype=np.float32).reshape(6, 2)).subset(np.array([4, 1]))
    assert frames.factors == {}
    known = with_factors(frames, {"first": np.array([8, 2])})
    assert known.factors["first"].tolist() == [8.0, 2.0]
    np.testing.assert_array_equal(known[:], frames[:])
    with pytest.raises(ValueError, match=r"'first' must have one number for each of the 2 frames"):
        with_factors(frames, {"first": np.zeros(3)})
    with pytest.raises(ValueError, match="'first' is NaN or infinite in all frames: drop it"):
        with_factors(frames, {"first": np.full(2, np.nan)})


def test_an_archive_has_columns_and_may_have_names(tmp_path: Path) -> None:
    observations, factors = np.zeros((4, 3), np.float32), np.arange(8).reshape(4, 2) / 2
    save = functools.partial(np.savez, tmp_path / "a.npz", observations=observations)
    save(factors=factors)
    assert list(lrl.as_frames(tmp_path / "a.npz").factors) == ["factor 0", "factor 1"]
    save(factors=factors, factor_names=np.array(["x", "y"]))
    np.testing.assert_array_equal(lrl.as_frames(tmp_path / "a.npz").factors["y"], factors[:, 1])
    save(factors=factors, factor_names=np.array(["x"]))
    with pytest.raises(ValueError, match="has 2 factors and the names x"):
        lrl.as_frames(tmp_path / "a.npz")
    save(factors=factors[:3])
    with pytest.raises(ValueError, match="'factor 0' must have one number for each of the 4"):
        lrl.as_frames(tmp_path / "a.npz")


def test_factors_of_an_archive_are_those_of_its_observations(tmp_path: Path) -> None:
    file, factors = tmp_path / "a.npz", np.array([[1.0, np.nan], [2.0, np.nan]])
    np.savez(file, a=np.zeros((2, 3)), observations=np.zeros((5, 3)), factors=factors)
    assert lrl.as_frames(file, array="a").factors == {}
    np.savez(file, observations=np.zeros((2, 3)), factors=factors)
    assert {k: v.tolist() for k, v in lrl.as_frames(file).factors.items()} == {"factor 0": [1, 2]}
