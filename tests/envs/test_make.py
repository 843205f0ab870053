from __future__ import annotations

import subprocess
import sys

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.envs.registration import EnvSpec
from gymnasium.utils.env_checker import check_env
from gymnasium.vector import AsyncVectorEnv, AutoresetMode, SyncVectorEnv
from stable_baselines3.common.env_checker import check_env as check_env_for_sb3

from envs import Environment, EnvDefaults, make_env, make_vector, defaults_for
from envs.families import FAMILIES, SETTINGS
from envs.pixel_reach import AGENT, FLOOR, GOAL, PixelReach
from envs.wrappers import EpisodeSeeds, FrameSkip
from tests.helpers import ROOT, Clock, same

# CarRacing-v2


@pytest.fixture(scope="module")
def car():
    from envs.car_racing import CarRacingV2

    env = CarRacingV2()
    env.reset(seed=0)
    yield env
    env.close()


@pytest.mark.parametrize(
    ("info", "terminated", "expected"),
    [
        ({"lap_finished": True}, True, (False, True)),
        ({"lap_finished": False}, True, (True, False)),
        ({}, False, (False, False)),
    ],
)
def test_a_finished_lap_truncates_in_version_2(car, monkeypatch, info, terminated, expected):
    from gymnasium.envs.box2d.car_racing import CarRacing

    result = ("frame", np.float64(3.5), terminated, False, info)
    monkeypatch.setattr(CarRacing, "step", lambda self, action: result)
    observation, reward, *ends, same_info = car.step(None)
    assert (observation, reward, tuple(ends), same_info) == ("frame", 3.5, expected, info)
    assert type(reward) is float


@pytest.mark.filterwarnings("ignore:.*CarRacing-v2 is out of date")
def test_version_2_shows_the_frames_and_rewards_of_version_3():
    two, three = gym.make("CarRacing-v2"), gym.make("CarRacing-v3")
    assert two.spec.max_episode_steps == 1000
    assert same(two.reset(seed=3)[0], three.reset(seed=3)[0])
    for action in ([0, 1, 0], [0.5, 0.2, 0], [-1, 0, 0.5]):
        a, b = two.step(np.array(action, np.float32)), three.step(np.array(action, np.float32))
        assert same(a[0], b[0])
        assert a[1:] == b[1:]
    again = gym.make(EnvSpec.from_json(two.spec.to_json()))
    assert same(again.reset(seed=3)[0], three.reset(seed=3)[0])
    for env in (two, three, again):
        env.close()


# Single-environment wrappers


def test_frame_skip_is_manual_repetition_also_where_an_episode_ends_amid_it():
    skipped, plain = FrameSkip(Clock(1), 3), Clock(1)  # episodes of 4, 5, 6 frames
    ended_amid = 0
    for _ in range(3):
        assert same(skipped.reset(seed=1)[0], plain.reset(seed=1)[0])
        done = False
        while not done:
            total = frames = 0
            while frames < 3 and not done:
                observation, reward, terminated, truncated, info = plain.step(1)
                total, frames, done = total + reward, frames + 1, terminated or truncated
            ended_amid += frames < 3
            result = skipped.step(1)
            assert same(result[0], observation)
            assert result[1:] == (total, terminated, truncated, info)
    assert ended_amid == 2


def test_frame_skip_of_nothing():
    with pytest.raises(ValueError, match="frame skip is a number of frames, at least 1; got 0"):
        FrameSkip(Clock(), 0)


def test_frame_skip_survives_its_spec():
    env = make_env(Environment("PixelReach-v0", frame_skip=2))
    again = gym.make(EnvSpec.from_json(env.spec.to_json()))
    assert isinstance(again, FrameSkip)
    assert again.skip == 2


def test_episode_seeds_come_in_order_and_start_over():
    env = make_env(Environment("PixelReach-v0"), seeds=[11, 12])
    assert isinstance(env, EpisodeSeeds)
    bare = gym.make("PixelReach-v0")
    for seed in (11, 12, 11):
        assert same(env.reset(seed=99)[0], bare.reset(seed=seed)[0])


# make_env and make_vector


def test_custom_environment_by_module_and_class():
    env = make_env(Environment("tests.helpers:Clock", frame_skip=2))
    assert isinstance(env.unwrapped, Clock)
    assert isinstance(env, FrameSkip)
    assert defaults_for("tests.helpers:Clock") == EnvDefaults()


def test_module_and_id_is_gymnasiums():
    assert isinstance(make_env(Environment("envs:PixelReach-v0")).unwrapped, PixelReach)


def test_names_that_make_no_environment():
    with pytest.raises(
        ValueError,
        match=r"tests\.helpers:ROOT is not callable: expected a class or a function that makes",
    ):
        make_env(Environment("tests.helpers:ROOT"))
    with pytest.raises(ValueError, match=r"builtins:dict made a dict, expected a gymnasium\.Env"):
        make_env(Environment("builtins:dict"))
    with pytest.raises(ValueError, match="cannot import 'no_such_module' for no_such_module:Thing"):
        make_env(Environment("no_such_module:Thing"))
    with pytest.raises(gym.error.Error, match="Nothing"):
        make_env(Environment("tests.helpers:Nothing"))
    with pytest.raises(
        ValueError, match=r"cannot be made with render_mode .*pictures need an argument render_mode"
    ):
        make_env(Environment("fractions:Fraction"), render_mode="rgb_array")


def test_unknown_id_lists_similar_ones():
    with pytest.raises(gym.error.Error, match=r"PixelReech.*Did you mean: `PixelReach`"):
        make_env(Environment("PixelReech-v0"))


def test_unknown_backend():
    with pytest.raises(ValueError, match="unknown backend 'jax'; known: auto, envpool, gymnasium"):
        make_vector(Environment("PixelReach-v0"), 2, backend="jax")


def test_envpool_cannot_serve_every_environment():
    pytest.importorskip("envpool")
    message = (
        r"EnvPool cannot serve PixelReach-v0 here; it can serve CarRacing-v2, CarRacing-v3 and most of MiniGrid-\*: "
        "use backend 'gymnasium'"
    )
    with pytest.raises(ValueError, match=message):
        make_vector(Environment("PixelReach-v0"), 2, backend="envpool")


def test_envpool_is_missing(monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(
        ValueError, match=r"backend 'envpool' needs the package: pip install 'latentrl\[fast\]'"
    ):
        make_vector(Environment("CarRacing-v2"), 2, backend="envpool")
    envs = make_vector(Environment("PixelReach-v0"), 1)
    assert isinstance(envs.unwrapped, SyncVectorEnv)


def test_other_environments_need_no_extra_package():
    code = (
        "import sys; from envs import Environment, make_vector; make_vector(Environment('PixelReach-v0'), 2);"
        "print([name for name in ('Box2D', 'envpool', 'minigrid', 'ale_py', 'pygame') if name in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"


def test_vectors_reset_in_the_same_step_and_say_what_they_are():
    environment = Environment("PixelReach-v0", frame_skip=2)
    vector = make_vector(environment, 2, backend="gymnasium", episode_seeds=[[5], [6]])
    assert isinstance(vector, SyncVectorEnv)
    assert vector.metadata["autoreset_mode"] == AutoresetMode.SAME_STEP
    assert vector.metadata["environment"] == environment.to_json()
    assert Environment(**vector.metadata["environment"]) == environment
    bare = gym.make("PixelReach-v0")
    observations, _ = vector.reset(seed=0)
    assert same(observations[1], bare.reset(seed=6)[0])


def test_slow_environments_step_in_workers():
    vector = make_vector(Environment("tests.helpers:Clock"), 2)
    try:
        assert isinstance(vector, AsyncVectorEnv)
        assert vector.metadata["autoreset_mode"] == AutoresetMode.SAME_STEP
        vector.reset(seed=0)
        assert vector.step(np.zeros(2, int))[1].tolist() == [1, 1]
    finally:
        vector.close()


def test_rendered_images_in_place_of_observations():
    env = make_env(Environment("CartPole-v1", render_size=48))
    assert env.observation_space.shape == (48, 48, 3)
    observation, _ = env.reset(seed=0)
    assert observation in env.observation_space
    assert len(np.unique(observation)) > 2
    env.close()


def test_settings_are_sound():
    assert gym.registry.keys() >= SETTINGS.keys()
    for settings in (*SETTINGS.values(), *FAMILIES.values()):
        assert (
            min(
                settings.frame_skip, settings.stack, settings.pixel_frame_skip, settings.pixel_stack
            )
            >= 1
        )
    assert defaults_for("CarRacing-v2").crop == (0, 12, 0, 0)


# PixelReach


def test_pixel_reach_factors_are_where_the_squares_are():
    env = PixelReach()
    for seed in range(5):
        observation, info = env.reset(seed=seed)
        row, column, goal_row, goal_column = info["factors"]
        assert (row, column) != (goal_row, goal_column)
        cells = observation[::8, ::8]
        assert tuple(cells[row, column]) == AGENT
        assert tuple(cells[goal_row, goal_column]) == GOAL
        assert (cells == FLOOR).all(axis=-1).sum() == 14


def test_pixel_reach_moves_rewards_and_walls():
    env = PixelReach()
    env.reset(seed=0)
    env._agent, env._goal = np.array([0, 0]), np.array([1, 1])
    for action, place in (
        (0, [0, 0]),
        (2, [0, 0]),
        (3, [0, 1]),
    ):  # up and left into walls, then right
        _, reward, terminated, truncated, info = env.step(action)
        assert (reward, terminated, truncated) == (-0.05, False, False)
        assert info["factors"].tolist() == [*place, 1, 1]
    observation, reward, terminated, truncated, _ = env.step(1)
    assert (reward, terminated, truncated) == (1.0, True, False)
    assert tuple(observation[8, 8]) == AGENT


@pytest.mark.parametrize(
    ("action", "move"), [([0.2, -0.9], (0, -1)), ([-0.9, 0.2], (-1, 0)), ([0.5, 0.4], (1, 0))]
)
def test_pixel_reach_with_continuous_actions(action, move):
    env = PixelReach(continuous=True)
    env.reset(seed=0)
    env._agent, env._goal = np.array([1, 1]), np.array([3, 3])
    _, _, _, _, info = env.step(np.array(action, np.float32))
    assert tuple(info["factors"][:2] - 1) == move


def test_pixel_reach_ends_after_20_steps():
    env = gym.make("PixelReach-v0")
    env.reset(seed=0)
    env.unwrapped._agent, env.unwrapped._goal = np.array([0, 0]), np.array([3, 3])
    ends = [env.step(0)[2:4] for _ in range(20)]
    assert ends == [(False, False)] * 19 + [(False, True)]


@pytest.mark.filterwarnings("ignore:The minimal resolution for an image is 36x36")
@pytest.mark.parametrize("continuous", [False, True])
def test_pixel_reach_satisfies_the_checkers(continuous):
    env = gym.make("PixelReach-v0", continuous=continuous, render_mode="rgb_array")
    check_env(env.unwrapped)
    check_env_for_sb3(env)
    assert same(env.render(), env.unwrapped._draw())


# EnvPool


@pytest.fixture
def envpool_vector():
    pytest.importorskip("envpool")
    from envs.envpool import EnvPoolVectorEnv

    made = []

    def make(*args, **kwargs):
        made.append(EnvPoolVectorEnv(*args, **kwargs))
        return made[-1]

    yield make
    for vector in made:
        vector.close()


def drive(rng, n):
    return np.column_stack(
        [rng.uniform(-1, 1, n), rng.uniform(0, 0.5, n), rng.uniform(0, 0.2, n)]
    ).astype(np.float32)


def test_envpool_frame_skip_is_manual_repetition(envpool_vector):
    rng = np.random.default_rng(0)
    skipped = envpool_vector("CarRacing-v2", 2, frame_skip=4, seed=1)
    plain = envpool_vector("CarRacing-v2", 2, frame_skip=1, seed=1)
    first, other = skipped.reset(seed=1)[0], plain.reset(seed=1)[0]
    assert same(first, other)
    kept = first.copy()
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
    assert same(first, kept)  # returned arrays are the caller's


def test_envpool_same_step_autoreset(envpool_vector):
    vector = envpool_vector(
        "CarRacing-v2", 2, frame_skip=3, seed=5
    )  # 1000 frames end amid a decision
    manual = envpool_vector("CarRacing-v2", 2, frame_skip=1, seed=5)
    vector.reset(seed=5)
    start = manual.reset(seed=5)[0]
    assert vector.metadata["autoreset_mode"] == AutoresetMode.SAME_STEP
    idle = np.zeros((2, 3), np.float32)
    for decision in range(1, 335):
        observations, _, terminated, truncated, infos = vector.step(idle)
        assert not terminated.any()
        assert truncated.all() == truncated.any() == (decision == 334)
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


def test_envpool_seeds(envpool_vector):
    vector = envpool_vector("CarRacing-v2", 2, seed=3)
    first = vector.reset(seed=3)[0]
    unseeded = vector.reset()[0]
    assert not same(first, unseeded)
    assert same(vector.reset(seed=3)[0], first)
    assert same(vector.reset(seed=4)[0][0], first[1])  # environment i has seed + i
    assert same(vector.reset()[0].shape, first.shape)


def test_envpool_actions_and_spaces(envpool_vector):
    vector = envpool_vector("CarRacing-v3", 2, discrete=True)
    assert vector.single_action_space == gym.spaces.Discrete(5)
    assert vector.single_observation_space.shape == (96, 96, 3)
    assert vector.reset(seed=0)[0] in vector.observation_space
    vector.action_space.seed(0)
    vector.step(vector.action_space.sample())
    made = make_vector(Environment("CarRacing-v3", frame_skip=2, discrete=True), 2)
    assert type(made) is type(vector)
    assert made.frame_skip == 2
    made.close()


def test_discrete_actions_are_gymnasiums():
    pytest.importorskip("envpool")
    from envs.envpool import DISCRETE_ACTIONS

    discrete, continuous = gym.make("CarRacing-v3", continuous=False), gym.make("CarRacing-v3")
    assert same(discrete.reset(seed=0)[0], continuous.reset(seed=0)[0])
    for action in (3, 3, 3, 1, 2, 4, 0, 3, 1, 1):
        a, b = discrete.step(action), continuous.step(DISCRETE_ACTIONS[action])
        assert same(a[0], b[0])
        assert a[1:] == b[1:]
    discrete.close()
    continuous.close()


class Pair(gym.Env):
    observation_space = gym.spaces.Dict(
        image=gym.spaces.Box(0, 255, (16, 16, 3), np.uint8), step=gym.spaces.Discrete(9)
    )
    action_space = gym.spaces.Discrete(2)

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        return {"image": np.full((16, 16, 3), 3, np.uint8), "step": 0}, {}


def test_one_key_of_a_dict_can_be_seen():
    env = make_env(Environment(f"{__name__}:Pair", key="image"))
    assert env.observation_space == Pair.observation_space["image"]
    assert (env.reset()[0] == 3).all()
    with pytest.raises(
        ValueError, match="no observation 'picture'; this environment has image, step"
    ):
        make_env(Environment(f"{__name__}:Pair", key="picture"))
    with pytest.raises(ValueError, match="no observation 'image'; this environment has no keys"):
        make_env(Environment("PixelReach-v0", key="image"))
