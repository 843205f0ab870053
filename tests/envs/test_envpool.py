from __future__ import annotations

import numpy as np
import pytest
from gymnasium.vector import AutoresetMode

from envs import Environment, make_vector
from envs.car_racing import CarRacingVectorEnv
from envs.envpool import EnvPoolVectorEnv, refuse_unknown
from tests.helpers import same

pytest.importorskip("envpool")


@pytest.fixture
def make():
    """Make vectors that are closed after the test."""
    made = []

    def make_one(*args, **kwargs):
        made.append(CarRacingVectorEnv(*args, **kwargs))
        return made[-1]

    yield make_one
    for vector in made:
        vector.close()


def drive(rng, n):
    return np.column_stack(
        [rng.uniform(-1, 1, n), rng.uniform(0, 0.5, n), rng.uniform(0, 0.2, n)]
    ).astype(np.float32)


def test_frame_skip_equals_repeated_steps(make):
    rng = np.random.default_rng(0)
    skipped = make("CarRacing-v2", 2, frame_skip=4, seed=1)
    plain = make("CarRacing-v2", 2, frame_skip=1, seed=1)
    first, other = skipped.reset(seed=1)[0], plain.reset(seed=1)[0]
    assert same(first, other)
    copy = first.copy()
    for _ in range(30):
        actions = drive(rng, 2)
        frames, rewards, terminated, truncated, infos = skipped.step(actions)
        total = np.zeros(2)
        for _ in range(4):
            frame, reward, *ends, _ = plain.step(actions)
            total += reward
            assert not np.any(ends)
        assert same(frames, frame)
        assert np.allclose(rewards, total, atol=1e-5)
        assert not (terminated | truncated).any()
        assert infos == {}
    assert same(first, copy), "arrays that were returned are not written again"


def test_same_step_autoreset(make):
    # 1000 frames end amid the 334th timestep of 3.
    vector = make("CarRacing-v2", 2, frame_skip=3, seed=5)
    manual = make("CarRacing-v2", 2, frame_skip=1, seed=5)
    vector.reset(seed=5)
    start = manual.reset(seed=5)[0]
    assert vector.metadata["autoreset_mode"] == AutoresetMode.SAME_STEP
    idle = np.zeros((2, 3), np.float32)
    for timestep in range(1, 335):
        observations, _, terminated, truncated, infos = vector.step(idle)
        assert not terminated.any()
        assert truncated.all() == truncated.any() == (timestep == 334)
    for _ in range(1000):
        last, _, _, ended, final = manual.step(idle)
    assert ended.all()
    assert infos["_final_obs"].all()
    for i in range(2):
        assert same(infos["final_obs"][i], final["final_obs"][i])
        assert not same(observations[i], infos["final_obs"][i])
        assert not same(observations[i], start[i])  # another track
    assert same(observations, last)
    *_, infos = vector.step(idle)
    assert infos == {}


def test_seeds(make):
    vector = make("CarRacing-v2", 2, seed=3)
    first = vector.reset(seed=3)[0]
    unseeded = vector.reset()[0]
    assert not same(first, unseeded)
    assert same(vector.reset(seed=3)[0], first)
    assert same(vector.reset(seed=4)[0][0], first[1])  # environment i has seed + i
    assert same(vector.reset()[0].shape, first.shape)


def test_actions_and_spaces(make):
    vector = make("CarRacing-v3", 2, discrete=True)
    assert vector.single_action_space.n == 5
    assert vector.reset(seed=0)[0] in vector.observation_space
    assert vector.spec.id == "CarRacing-v3"
    continuous = EnvPoolVectorEnv("CarRacing-v3", 1, discrete=True)
    assert continuous.single_action_space.shape == (3,), "this class has no discrete actions"
    continuous.close()


def test_a_library_that_cannot_be_loaded(monkeypatch):
    def fail(*_, **__):
        raise ImportError("libQt5Gui.so.5: cannot open shared object file")

    monkeypatch.setattr("envpool.make", fail)
    with pytest.raises(ValueError, match=r"EnvPool cannot start CarRacing-v2: libQt5Gui\.so\.5"):
        EnvPoolVectorEnv("CarRacing-v2", 1)


def test_ids_of_envpool():
    assert refuse_unknown("CarRacing-v2") is None
    assert refuse_unknown("CarRacing-v9") == "it has no environment of this id"


def test_what_envpool_does_not_serve():
    message = (
        "EnvPool cannot serve PixelReach-v0: it serves the families ale, car_racing, "
        "minigrid, minigrid_shifted, procgen; or use backend 'gymnasium'"
    )
    with pytest.raises(ValueError, match=message):
        make_vector(Environment("PixelReach-v0"), 2, backend="envpool")
    for options, reason in (
        ({"render_size": 64}, "it renders no images"),
        ({"key": "image"}, "its observations have no keys here"),
    ):
        with pytest.raises(ValueError, match=f"EnvPool cannot serve CarRacing-v2: {reason}; or"):
            make_vector(Environment("CarRacing-v2", **options), 2, backend="envpool")
    with pytest.raises(ValueError, match="EnvPool takes no episode seeds: use backend 'gymnasium'"):
        make_vector(Environment("CarRacing-v2"), 1, backend="envpool", episode_seeds=[[1]])
