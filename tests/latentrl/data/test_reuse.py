"""collect() prints what it reuses, and refuses frames of another origin."""

from __future__ import annotations

import contextlib
import functools
import runpy

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.vector import AsyncVectorEnv, SyncVectorEnv

import latentrl as lrl
from latentrl.data.collect import collect
from latentrl.data.store import FrameWriter
from tests.helpers import Clock

MAKE = functools.partial(gym.make, "CartPole-v1")


def first(path, **options):
    return collect(MAKE, 20, path, n_envs=1, progress=False, **options)


def test_reused_frames_are_counted(tmp_path, capsys):
    collect(MAKE, 20, tmp_path, n_envs=1)
    assert "reuses" not in capsys.readouterr().err
    collect(MAKE, 15, tmp_path, n_envs=1)
    assert f"{tmp_path}: reuses 15 frames, and collects none" in capsys.readouterr().err
    collect(MAKE, 30, tmp_path, n_envs=2)
    assert f"{tmp_path}: reuses 20 frames, and collects 10 more" in capsys.readouterr().err
    collect(MAKE, 30, tmp_path, n_envs=1, progress=False)
    assert capsys.readouterr().err == ""


def left(observations):
    return np.zeros(len(observations), int)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"seed": 3}, "has seed=0, the call has seed=3: use another path, give the same to extend"),
        ({"policy": "random"}, "has policy=brownian, the call has policy=random: use"),
        ({"policy": left}, "has policy=brownian, the call has policy=left: use"),
    ],
)
@pytest.mark.parametrize("frames", [10, 50])
def test_frames_of_another_origin_are_refused(options, message, frames, tmp_path):
    first(tmp_path)
    with pytest.raises(ValueError, match=f"the frame store .* {message}"):
        collect(MAKE, frames, tmp_path, n_envs=1, progress=False, **options)


class Agent:
    """An agent whose methods are policies; another one has methods of the same names."""

    def act(self, observations):
        return left(observations)

    __call__ = act


@pytest.mark.parametrize("frames", [10, 30])
@pytest.mark.parametrize(
    ("policies", "name"),
    [
        ([lambda obs: left(obs), lambda obs: 1 - left(obs)], "<lambda>"),
        ([functools.partial(left), functools.partial(left)], "partial"),
        ([Agent().act, Agent().act], "act"),
        ([Agent(), Agent()], "Agent"),
    ],
)
def test_a_policy_without_a_name_of_its_own_is_not_taken_for_the_same(
    policies, name, frames, tmp_path
):
    first(tmp_path, policy=policies[0])  # without a warning
    message = f"the frames in {tmp_path} are reused, but .* other policies are called {name!r}, too"
    with pytest.warns(UserWarning, match=message) as caught:
        collect(MAKE, frames, tmp_path, policy=policies[1], n_envs=1, progress=False)
    assert [warning.filename for warning in caught] == [__file__]


def test_a_policy_with_a_name_of_its_own_is_reused(tmp_path):
    for frames in (20, 30):
        collect(MAKE, frames, tmp_path, policy=left, n_envs=1, progress=False)


def test_a_policy_whose_code_has_changed_is_named(tmp_path):
    for number, body in enumerate(("return left(obs)", "return 1 - left(obs)")):
        module = tmp_path / f"policies{number}.py"
        module.write_text(f"from {__name__} import left\n\ndef mine(obs):\n    {body}\n")
        policy = runpy.run_path(str(module))["mine"]
        message = "were collected with other code of 'mine'; remove the folder to collect"
        expected = pytest.warns(UserWarning, match=message) if number else contextlib.nullcontext()
        with expected:
            first(tmp_path / "frames", policy=policy)


def in_workers(kind):
    return contextlib.closing(AsyncVectorEnv([lambda: kind()] * 2))


@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded")
def test_lambdas_in_workers_that_make_other_environments_are_refused(tmp_path):
    class Other(Clock):
        """Has the same spaces."""

    for frames in (9, 20):
        with in_workers(Clock) as envs:
            collect(envs, frames, tmp_path, progress=False)
    message = "has environment.id=Clock, the call has environment.id=Other: use another path"
    with in_workers(Other) as envs, pytest.raises(ValueError, match=message):
        collect(envs, 9, tmp_path, progress=False)


@pytest.mark.parametrize("n_envs", [1, 2])
@pytest.mark.parametrize(
    ("make", "message"),
    [
        (
            functools.partial(gym.make, "CartPole-v0"),
            "id=CartPole-v1, the call has environment.id=CartPole-v0",
        ),
        (
            functools.partial(gym.make, "CartPole-v1", sutton_barto_reward=True),
            "kwargs.sutton_barto_reward=None, the call has .*kwargs.sutton_barto_reward=True",
        ),
    ],
)
@pytest.mark.filterwarnings("ignore:.*The environment CartPole-v0 is out of date")
def test_another_version_or_keyword_is_refused(make, message, n_envs, tmp_path):
    first(tmp_path)
    with pytest.raises(ValueError, match=f"has environment.{message}.*: use another path"):
        collect(make, 30, tmp_path, n_envs=n_envs, progress=False)


def test_vector_environments_of_another_class_are_refused(tmp_path):
    class Other(Clock):
        """Has the same spaces."""

    for _ in range(2):
        collect(SyncVectorEnv([Clock] * 2), 9, tmp_path, progress=False)
    message = "has environment.id=Clock, the call has environment.id=Other: use another path"
    with pytest.raises(ValueError, match=message):
        collect(SyncVectorEnv([Other] * 2), 20, tmp_path, progress=False)


def test_another_key_is_refused(tmp_path):
    class Two(Clock):
        def __init__(self):
            super().__init__(keyed=True)
            self.observation_space["other"] = self.observation_space["image"]

        def _observe(self):
            observation = super()._observe()
            return {**observation, "other": observation["image"]}

    collect(Two, 9, tmp_path, n_envs=1, key="image", progress=False)
    with pytest.raises(ValueError, match="has key=image, the call has key=other: use another path"):
        collect(Two, 9, tmp_path, n_envs=1, key="other", progress=False)


def test_another_version_of_the_package_is_a_warning(tmp_path, monkeypatch):
    first(tmp_path)
    monkeypatch.setattr("importlib.metadata.version", lambda name: "99.0")
    message = rf"were collected with gymnasium {gym.__version__}, this is gymnasium 99\.0; use"
    with pytest.warns(UserWarning, match=message):
        first(tmp_path)


@pytest.mark.parametrize("frames", [10, 30])
@pytest.mark.parametrize("kind", ["observations", "steps"])
def test_damaged_frames_are_refused(kind, frames, tmp_path):
    first(tmp_path)
    file = tmp_path / f"000.{kind}.bin"
    size = file.stat().st_size
    file.write_bytes(file.read_bytes()[: size // 2] + bytes(size - size // 2))
    with pytest.raises(ValueError, match=rf"000\.{kind}\.bin is damaged: it does not match its"):
        collect(MAKE, frames, tmp_path, n_envs=1, progress=False)


def test_stores_that_keep_no_origin_are_reused(tmp_path):
    env = MAKE()
    with FrameWriter(tmp_path, env.observation_space, env.action_space, {"id": "CartPole-v1"}) as w:
        w.append(np.zeros((20, 4), np.float32), env=np.zeros(20, int), episode=np.zeros(20, int))
    assert not first(tmp_path, seed=5)[:].any()


class Drawn(Clock):
    """A clock whose episodes are alike, and whose image has a square of one colour."""

    colour = 60

    def reset(self, *, seed=None, options=None):
        self.episode = -1
        return super().reset(seed=seed, options=options)

    def _image(self):
        image = np.full((self.side, self.side, 3), self.noise // 2, np.uint8)
        image[:3, :3] = 128 + self.colour
        return image


CHANGED = "the first frame in .* is not the one that the environment draws now with the same seed"


@pytest.mark.parametrize("frames", [20, 30])
@pytest.mark.parametrize("options", [{}, {"preprocessing": lrl.Preprocessing(size=(16, 16))}])
@pytest.mark.parametrize("n_envs", [1, 2])
def test_a_changed_drawing_is_named(n_envs, options, frames, tmp_path, monkeypatch):
    make = functools.partial(Drawn, side=32)
    collect(make, 20, tmp_path, n_envs=n_envs, progress=False, **options)
    collect(make, frames, tmp_path, n_envs=n_envs, progress=False, **options)  # without a warning
    monkeypatch.setattr(Drawn, "colour", 90)
    with pytest.warns(UserWarning, match=CHANGED):
        collect(make, frames, tmp_path, n_envs=n_envs, progress=False, **options)


def test_an_environment_that_is_not_reproducible_is_not_compared(tmp_path):
    class Free(Drawn):
        def _image(self):
            return np.random.default_rng().integers(256, size=(4, 4, 3), dtype=np.uint8)

    for _ in range(2):
        collect(Free, 20, tmp_path, n_envs=1, progress=False)
