"""Noise in all frames, and the table of what agents lose to it."""

from __future__ import annotations

import numpy as np
import pytest
from gymnasium import spaces
from stable_baselines3.common.vec_env import VecEnv

import latentrl as lrl
from scripts.studies.core import Study, Table
from scripts.studies.novelty import diagnostics_data, noise
from scripts.studies.novelty.diagnostics_data import DOOR_KEY, NOISE, Extent, encoder, with_noise
from scripts.studies.novelty.noise import (
    NoisyFrames,
    measured_again,
    returns_lost,
    trained_return,
)

# Models of so few frames may well not use their latents.
pytestmark = pytest.mark.filterwarnings("ignore:the latents have collapsed")


def test_noise_is_a_tenth_of_the_range_and_clipped():
    rng = np.random.default_rng(0)
    noisy = with_noise(np.full((20, 64, 64, 3), 128, np.uint8), NOISE, rng)
    assert noisy.dtype == np.uint8
    assert noisy.std() == pytest.approx(25.5, rel=0.01)
    assert noisy.mean() == pytest.approx(128, abs=0.2)
    dark = with_noise(np.zeros((20, 64, 64, 3), np.uint8), NOISE, rng)
    assert (dark == 0).mean() == pytest.approx(0.5, abs=0.02)
    assert dark.max() < 255


class Still(VecEnv):
    """Grey frames; every step of the second environment ends an episode."""

    def __init__(self):
        super().__init__(2, spaces.Box(0, 255, (8, 8, 3), np.uint8), spaces.Discrete(2))
        self.frames = np.full((2, 8, 8, 3), 128, np.uint8)

    def reset(self):
        return self.frames

    def step_async(self, actions):
        pass

    def step_wait(self):
        infos = [{"episode": {"r": 1}}, {"terminal_observation": self.frames[1].copy(), "kept": 3}]
        return self.frames, np.array([1.0, 2.0], np.float32), np.array([False, True]), infos

    def close(self):
        pass

    def get_attr(self, attr_name, indices=None):
        return [None, None]

    def set_attr(self, attr_name, value, indices=None):
        raise NotImplementedError

    def env_method(self, method_name, *method_args, indices=None, **method_kwargs):
        raise NotImplementedError

    def env_is_wrapped(self, wrapper_class, indices=None):
        return [False, False]


def test_every_frame_has_noise_of_its_own():
    still = Still()
    venv = NoisyFrames(still, NOISE, seed=0)
    first = venv.reset()
    frames, rewards, dones, infos = venv.step(np.zeros(2, int))
    noisy = [*first, *frames, infos[1]["terminal_observation"]]
    assert len({frame.tobytes() for frame in noisy}) == 5
    assert all(10 < frame.std() < 40 for frame in noisy)
    assert (still.frames == 128).all()
    assert (rewards.tolist(), dones.tolist()) == ([1, 2], [False, True])
    assert infos[0] == {"episode": {"r": 1}}
    assert infos[1]["kept"] == 3


FEW = Extent(frames=64, steps=2, agents=2, timesteps=10)


class Untrained:
    """In place of training: with noise "rnd" loses .25, "icm" nothing, and "counts" gains."""

    returns = {
        0.0: {"rnd": 0.75, "icm": 0.25, "counts": 0.25},
        NOISE: {"rnd": 0.5, "icm": 0.25, "counts": 0.5},
    }

    def __init__(self):
        self.calls, self.interrupted = [], 0

    def __call__(self, bonus, encoder, noise, timesteps, seed):
        self.calls.append((bonus, noise, timesteps, seed))
        if len(self.calls) == self.interrupted:
            raise KeyboardInterrupt
        assert encoder == (DOOR_KEY, FEW.frames, FEW.steps, noise)
        return self.returns[noise][bonus] + (0.125 if seed else -0.125)


@pytest.fixture
def untrained(tmp_path, monkeypatch):
    training = Untrained()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(noise, "trained_return", training)
    monkeypatch.setattr(noise, "encoder", lambda *arguments: arguments)
    return training


def test_the_table_of_noise(untrained):
    (table,) = returns_lost(FEW, ["rnd", "icm", "counts"]).tables
    assert list(table.columns) == ["", "rnd", "icm", "counts"]
    assert table.rows[0][1:] == ["0.750 (0.625 to 0.875)", *["0.250 (0.125 to 0.375)"] * 2]
    assert table.rows[1][1] == "0.500 (0.375 to 0.625)"
    assert table.rows[2][1:] == ["0.250 FAIL", "0.000 pass", "-0.250 pass"]
    assert len(untrained.calls) == len(set(untrained.calls)) == 3 * 2 * 2


def test_an_interrupted_study_is_resumed_and_a_finished_one_starts_again(untrained):
    untrained.interrupted = 3
    with pytest.raises(KeyboardInterrupt):
        returns_lost(FEW, ["rnd"])
    table = returns_lost(FEW, ["rnd"]).tables[0]
    assert table.rows[2][1] == "0.250 FAIL"
    assert len(untrained.calls) == 3 + 2, "the two that were finished are not trained again"
    returns_lost(FEW, ["rnd"])
    assert len(untrained.calls) == 3 + 2 + 4


def test_some_bonuses_are_measured_again_and_others_keep_their_results(untrained, monkeypatch):
    monkeypatch.setattr(noise, "Extent", lambda: FEW)
    (known,) = returns_lost(FEW, ["rnd", "icm"]).tables
    old = Study(
        [], [Table(known.caption, known.columns, [[*row[:2], "old"] for row in known.rows])]
    )
    (table,) = measured_again(old, ["rnd", "counts"]).tables
    assert table.columns == ["", "counts", "icm", "rnd"]
    assert [row[2] for row in table.rows] == ["old"] * 3
    assert table.rows[2] == ["return lost: at most 0.05", "-0.250 pass", "old", "0.250 FAIL"]
    with pytest.raises(ValueError, match="results of other trainings: 'Other', and now 'Mean of"):
        measured_again(Study([], [Table("Other", ["", "rnd"], [])]), ["counts"])
    with pytest.raises(ValueError, match="unknown novelty 'newness'"):
        measured_again(old, ["newness"])


@pytest.mark.slow
def test_an_agent_trains_on_noisy_frames(tmp_path, monkeypatch):
    pytest.importorskip("minigrid")
    small = {
        "n_envs": 2,
        "timesteps": 600,
        "n_steps": 32,
        "batch_size": 32,
        "n_epochs": 1,
        "gamma": 0.99,
        "policy_kwargs": {"net_arch": [8]},
    }
    monkeypatch.setattr("agents.describe.read_defaults", lambda *_: dict(small))
    monkeypatch.chdir(tmp_path)
    trained_on, encoded, fit = [], [], diagnostics_data.fit

    def recording_fit(model, frames, config, progress):
        trained_on.append(frames[0])
        fit(model, frames, config, progress=progress)

    monkeypatch.setattr(diagnostics_data, "fit", recording_fit)

    class Recording:
        def __init__(self, model):
            self.model = model

        def __getattr__(self, name):
            return getattr(self.model, name)

        def encode(self, observations):
            encoded.append(observations[0].copy())
            return self.model.encode(observations)

    for std in (0.0, NOISE):
        model = encoder(DOOR_KEY, 64, 2, std)
        assert isinstance(model, lrl.Autoencoder)
        score = trained_return(
            "counts", Recording(model), std, 600, seed=0
        )  # episodes last 250 at most
        assert 0 <= score <= 1
        for frame in (trained_on[-1], encoded[-1]):
            colours = len(np.unique(frame.reshape(-1, 3), axis=0))
            assert (colours > 500) == (std > 0)
