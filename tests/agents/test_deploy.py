"""A saved agent that acts on single frames takes the actions of its evaluation."""

from __future__ import annotations

from dataclasses import replace

import gymnasium as gym
import numpy as np
import pytest
import torch
from gymnasium import spaces

import latentrl as lrl
from agents.checkpoint import build, save_agent
from agents.deploy import load_actor
from agents.evaluate import config_in, load_for_evaluation, make_test_envs
from agents.play import actor
from agents.venv import build_venv
from envs import Environment, make_env
from tests.agents.small import REACH, make_venv, small_config, store_validation

PIXELS = lrl.Preprocessing(size=(36, 36), greyscale=True)
SEED, STEPS = 7, 40


class Flicker(gym.Env):
    """Frames that change whatever the action is, three of them again and again."""

    def __init__(self, actions=None, render_mode=None):
        self.observation_space = spaces.Box(0, 255, (32, 32, 3), np.uint8)
        self.action_space = actions or spaces.Discrete(4)
        self.render_mode = render_mode
        generator = np.random.default_rng(2)
        # Noise in few cells: its mean differs between frames.
        cells = generator.integers(0, 256, (3, 4, 4, 3), dtype=np.uint8)
        self._images = cells.repeat(8, axis=1).repeat(8, axis=2)

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self._time = 0
        return self._frame(), {}

    def step(self, action):
        assert self.action_space.contains(action)
        self._time += 1
        return self._frame(), 1.0, self._time == 30, False, {}

    def _frame(self):
        return self._images[self.np_random.integers(3)].copy()


def continuous(**options):
    return Flicker(
        spaces.Box(np.array([-1, 0], np.float32), np.array([1, 9], np.float32)), **options
    )


def from_one(**options):
    return Flicker(spaces.Discrete(4, start=1), **options)


DISCRETE = Environment(f"{__name__}:Flicker")
CONTINUOUS = Environment(f"{__name__}:continuous")


def save_varied(folder, encoder, algo, environment, pixels=False, **changes):
    """A run whose agent has large random weights, so that its actions vary with the frame."""
    config = small_config(algo, environment, pixels=PIXELS if pixels else None)
    config = replace(config, **changes)
    venv = make_venv(config, None if pixels else encoder)
    venv.reset()
    for _ in range(40):  # for the statistics of the latents
        venv.step([venv.action_space.sample() for _ in range(venv.num_envs)])
    model = build(config, venv, seed=3)
    torch.manual_seed(11)
    with torch.no_grad():
        for name, weight in model.policy.named_parameters():
            if name != "log_std":
                weight.normal_(0, 0.3)
    save_agent(folder / "best", config, model, venv)
    lrl.save(encoder, folder / "encoder")
    venv.close()
    return folder


def evaluated(run, encoder, deterministic=True):
    """Actions of the evaluation in its own environments, up to the end of the first episode."""
    config, _ = config_in(run / "best", None, trust=True)
    base = make_test_envs(config.environment, 1, "gymnasium", SEED)
    venv = build_venv(config, encoder if config.latent else None, base, training=False)
    act = actor(load_for_evaluation(config, venv, run / "best"), deterministic)
    venv.seed(SEED)
    observations, actions, done = venv.reset(), [], False
    while not done and len(actions) < STEPS:
        actions.append(act(observations, np.array([not actions]))[0])
        observations, _, (done,), _ = venv.step(actions[-1][None])
    venv.close()
    return np.array(actions)


def acted(act, environment):
    env = make_env(environment)
    frame, _ = env.reset(seed=SEED)
    act.reset()
    actions, done = [], False
    while not done and len(actions) < STEPS:
        actions.append(act(frame))
        assert env.action_space.contains(actions[-1])
        frame, _, terminated, truncated, _ = env.step(actions[-1])
        done = terminated or truncated
    env.close()
    return np.array(actions)


@pytest.mark.parametrize(
    ("algo", "environment", "changes"),
    [
        ("ppo", DISCRETE, {"stack": 3}),
        ("ppo", DISCRETE, {"stack": 2, "episodic_count": True}),
        ("ppo", DISCRETE, {"stack": 1}),
        ("ppo", replace(DISCRETE, frame_skip=2), {}),
        ("ppo", CONTINUOUS, {"scaled_actions": True}),
        ("ppo", CONTINUOUS, {"pixels": True, "stack": 1}),
        ("ppo", DISCRETE, {"pixels": True, "stack": 3}),
        ("dqn", DISCRETE, {"episodic_count": True}),
        ("dqn", DISCRETE, {"pixels": True, "stack": 1}),
        ("sac", CONTINUOUS, {}),
    ],
)
def test_actions_are_those_of_the_evaluation(algo, environment, changes, encoder, tmp_path):
    run = save_varied(tmp_path / "run", encoder, algo, environment, **changes)
    expected = evaluated(run, encoder)
    assert len(np.unique(expected, axis=0)) > 1
    act = load_actor(run, trust=True)
    for _ in range(2):  # the second episode starts with a stack and counts of its own
        assert np.array_equal(acted(act, environment), expected)


def test_the_policy_is_the_better_one_of_the_best_validation(encoder, tmp_path):
    run = save_varied(tmp_path / "run", encoder, "ppo", CONTINUOUS)
    greedy = evaluated(run, encoder)
    assert np.array_equal(acted(load_actor(run, trust=True), CONTINUOUS), greedy)
    store_validation(run, returns=[1.0], lengths=[2], policy="stochastic")
    act = load_actor(run, trust=True)
    torch.manual_seed(11)
    samples = acted(act, CONTINUOUS)
    assert not np.array_equal(samples, greedy)
    torch.manual_seed(11)
    assert np.array_equal(acted(act, CONTINUOUS), samples)
    act = load_actor(run, deterministic=True, trust=True)
    assert np.array_equal(acted(act, CONTINUOUS), greedy)


def test_actions_are_counted_as_the_environment_counts_them(encoder, tmp_path):
    environment = Environment(f"{__name__}:from_one")
    run = save_varied(tmp_path / "run", encoder, "ppo", environment)
    actions = acted(load_actor(run, trust=True), environment)
    assert np.array_equal(actions, evaluated(run, encoder) + 1)
    assert actions.max() > 1


def test_with_its_spaces_an_environment_need_not_be_there(encoder, tmp_path, monkeypatch):
    run = save_varied(tmp_path / "run", encoder, "ppo", CONTINUOUS)
    expected = evaluated(run, encoder)
    env = make_env(CONTINUOUS)
    known = env.observation_space, env.action_space
    with pytest.raises(ValueError, match=r"test_deploy:continuous, whose module would be"):
        load_actor(run)
    monkeypatch.setattr("agents.deploy.probe", None)
    assert np.array_equal(acted(load_actor(run, spaces=known), CONTINUOUS), expected)
    with pytest.raises(ValueError, match="the agent takes actions of Box"):
        load_actor(run, spaces=(known[0], spaces.Box(-1, 1, (5,))))


@pytest.mark.parametrize(
    ("frame", "got"),
    [
        (np.zeros((1, 32, 32, 3), np.uint8), r"got \(1, 32, 32, 3\) uint8"),
        (np.zeros((32, 32, 3)), r"got \(32, 32, 3\) float64"),
        (np.zeros((32, 32), np.uint8), r"got \(32, 32\) uint8"),
    ],
)
def test_other_frames_are_refused(frame, got, encoder, tmp_path):
    act = load_actor(save_varied(tmp_path / "run", encoder, "ppo", REACH))
    with pytest.raises(ValueError, match=rf"acts on one frame \(32, 32, 3\) uint8, {got}"):
        act(frame)
    assert act.action_space.contains(act(np.zeros((32, 32, 3), np.uint8)))


def test_nothing_to_load(tmp_path):
    with pytest.raises(FileNotFoundError, match="no agent at"):
        load_actor(tmp_path)


def test_other_bounds_of_the_actions_are_refused(encoder, tmp_path):
    """The agent's actions would be rescaled to them."""
    run = save_varied(tmp_path / "run", encoder, "ppo", CONTINUOUS)
    wider = (Flicker().observation_space, spaces.Box(-1, 9, (2,), np.float32))
    message = r"the agent takes actions of Box\(\[-1.*, .* has Box\(-1.*: it needs an environment"
    with pytest.raises(ValueError, match=message):
        load_actor(run, spaces=wider)


def test_the_frame_is_found_in_a_dict(encoder, tmp_path):
    environment = replace(DISCRETE, key="camera")
    run = save_varied(tmp_path / "run", encoder, "ppo", DISCRETE)
    act = load_actor(run, trust=True)
    act.config = replace(act.config, environment=environment)
    frame = Flicker().observation_space.sample()
    plain = act(frame)
    act.reset()
    assert act({"camera": frame, "state": np.zeros(3)}) == plain
