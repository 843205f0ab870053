"""Training runs: the agent that flags describe, and runs that are resumed."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from gymnasium import spaces

import latentrl as lrl
from agents.algorithms import ALGORITHMS, find_algorithm
from agents.algorithms.hyperparameters import read_defaults
from agents.checkpoint import read_agent
from agents.parts import read_part
from agents.runs import locked
from agents.train import describe_agent, describe_hyperparameters, train
from agents.train_config import TrainConfig
from envs import Environment
from envs.pixel_reach import PixelReach
from latentrl.novelty import BONUSES
from latentrl.utils.io import read_json
from tests.agents.small import CASES, REACH, action_space, small_config, tiny_train
from tests.helpers import Clock


def test_flags_win_over_defaults(encoder):
    words = ("gamma:0.5", "policy_kwargs.net_arch:[7]")
    flags = TrainConfig(
        "PixelReach-v0", timesteps=10, n_envs=3, frame_skip=2, stack=5, hyperparams=words
    )
    config = describe_agent(flags, encoder)
    assert config.environment == Environment("PixelReach-v0", frame_skip=2)
    assert config.stack == 5
    defaults = describe_agent(TrainConfig("PixelReach-v0"), encoder).hyperparameters
    policy = {**defaults["policy_kwargs"], "net_arch": [7]}
    given = {"timesteps": 10, "n_envs": 3, "gamma": 0.5, "policy_kwargs": policy}
    assert config.hyperparameters == {**defaults, **given}


@pytest.mark.parametrize("algo", list(ALGORITHMS))
def test_defaults_are_those_of_the_yaml_file(algo, encoder):
    env = next(environment.id for name, environment in reversed(CASES) if name == algo)
    spec = find_algorithm(algo)
    expected = read_defaults(spec, env, True, action_space(Environment(env)))
    agent = describe_agent(TrainConfig(env, algo=algo), encoder)
    assert agent.hyperparameters == {"normalize_latents": True, **expected}


@pytest.mark.parametrize(
    ("model", "trained", "standardised"),
    [
        (lrl.beta_vae((32, 32, 3), latent_dim=8), True, False),
        (lrl.beta_vae((32, 32, 3), latent_dim=8), False, True),
        (lrl.ae((32, 32, 3), latent_dim=8), True, True),
        (lrl.ae((32, 32, 3), latent_dim=4 * 16, backbone={"name": "patches"}), True, True),
        (lrl.beta_vae((32, 32, 3), latent_dim=4 * 16, backbone={"name": "patches"}), True, True),
        (lrl.beta_vae((32, 32, 3), latent_dim=4 * 16, backbone={"name": "patches"}), False, True),
        (lrl.random((32, 32, 3), latent_dim=4 * 16, backbone={"name": "patches"}), True, True),
    ],
    ids=[
        "vector of a VAE",
        "never fitted",
        "vector of an AE",
        "grid of an AE",
        "grid of a VAE",
        "never fitted grid",
        "random",
    ],
)
@pytest.mark.filterwarnings("ignore:the latents have collapsed")  # after one gradient step
def test_latents_with_a_scale_of_their_own_are_not_standardised(model, trained, standardised):
    if trained:
        images = np.random.default_rng(0).integers(0, 255, (8, 32, 32, 3), np.uint8)
        lrl.fit(model, lrl.as_frames(images), lrl.FitConfig(steps=1), progress=False)
    flags = TrainConfig("PixelReach-v0")
    assert describe_agent(flags, model).hyperparameters["normalize_latents"] == standardised
    other = replace(flags, hyperparams=(f"normalize_latents:{not standardised}",))
    assert describe_agent(other, model).hyperparameters["normalize_latents"] != standardised


def test_untuned_leaves_out_what_is_tuned_for_the_environment(encoder):
    spec = find_algorithm("ppo")
    tuned_for, latent = "MiniGrid-Empty-5x5-v0", lrl.random((56, 56, 3), latent_dim=6)
    general, tuned = (
        read_defaults(spec, name, True, spaces.Discrete(7)) for name in ("", tuned_for)
    )
    assert general["n_envs"] != tuned["n_envs"]
    for untuned, expected in ((False, tuned), (True, general)):
        flags = TrainConfig(tuned_for, untuned=untuned)
        found = describe_agent(flags, latent).hyperparameters
        assert found == {**expected, "normalize_latents": found["normalize_latents"]}


def test_an_unknown_hyperparameter_is_refused(encoder):
    with pytest.raises(ValueError, match="PPO has no hyperparameter 'lr'; known: batch_size"):
        describe_agent(TrainConfig("PixelReach-v0", hyperparams=("lr:1e-3",)), encoder)


def test_hyperparameters_are_printed(encoder, capsys):
    config = small_config(gamma=0.87, policy_kwargs={"net_arch": [16, 8]})
    expected = describe_hyperparameters(config)
    assert expected.startswith("ppo in PixelReach-v0, hyperparameters:\n")
    assert "\n  gamma: 0.87\n" in expected
    assert "\n    net_arch: [16, 8]\n" in expected
    result = tiny_train(encoder, timesteps=64)
    assert describe_hyperparameters(result.config) in capsys.readouterr().out


def test_the_episodic_count_is_the_environments_default(encoder):
    pytest.importorskip("minigrid")
    level, model = "MiniGrid-Empty-5x5-v0", lrl.random((56, 56, 3), latent_dim=6)
    assert describe_agent(TrainConfig(level), model).episodic_count
    assert not describe_agent(TrainConfig(level, episodic_count=False), model).episodic_count
    assert not describe_agent(TrainConfig(level, latent=False), None).episodic_count
    assert not describe_agent(TrainConfig("PixelReach-v0"), encoder).episodic_count
    assert describe_agent(TrainConfig("PixelReach-v0", episodic_count=True), encoder).episodic_count


def test_an_agent_acts_in_the_environment_of_its_encoder():
    metadata = {"environment": {"id": REACH.id, "frame_skip": 3, "render_size": 24, "key": None}}
    model = lrl.random((24, 24, 3), latent_dim=4)
    model.metadata["data"] = metadata
    environment = describe_agent(TrainConfig("CartPole-v1"), model).environment
    assert environment == Environment("CartPole-v1", frame_skip=3, render_size=24)


class TwoCameras(Clock):
    """Two images in a Dict."""

    def __init__(self, render_mode=None):
        super().__init__(side=32, render_mode=render_mode)
        image = self.observation_space
        self.observation_space = spaces.Dict({"left": image, "right": image})

    def _observe(self):
        return {"left": self._image(), "right": self._image()}


@pytest.mark.parametrize(("flag", "key"), [(None, "left"), ("right", "right")])
def test_the_key_of_the_flags_replaces_that_of_the_encoder(flag, key):
    model = lrl.random((32, 32, 3), latent_dim=4)
    model.metadata["data"] = {"environment": {"id": REACH.id, "frame_skip": 1, "key": "left"}}
    config = TrainConfig("tests.agents.test_train:TwoCameras", key=flag)
    assert describe_agent(config, model).environment.key == key


class Choices(PixelReach):
    """Takes a tuple of actions."""

    def __init__(self, render_mode=None):
        super().__init__(render_mode=render_mode)
        self.action_space = spaces.Tuple([spaces.Discrete(2), spaces.Discrete(2)])


def test_actions_that_no_algorithm_takes(encoder):
    message = (
        "ppo needs Box or Discrete or MultiDiscrete or MultiBinary actions, .*:Choices has Tuple.*"
        "; no algorithm takes these; make them one of the spaces .*dqn: Discrete;.*sac: Box"
    )
    with pytest.raises(ValueError, match=message):
        describe_agent(TrainConfig("tests.agents.test_train:Choices"), encoder)


def test_episodes_of_several_environments_are_no_training_frequency(encoder):
    words = ("train_freq:[1,episode]",)
    flags = TrainConfig("PixelReach-v0", algo="dqn", n_envs=2, hyperparams=words)
    with pytest.raises(ValueError, match=r"train_freq counts episodes, .* got 2: add --n-"):
        describe_agent(flags, encoder)
    alone = describe_agent(replace(flags, n_envs=1), encoder)
    assert alone.hyperparameters["train_freq"] == [1, "episode"]


# Runs on disk


def test_a_run_is_not_written_over(encoder, tmp_path):
    tiny_train(encoder, timesteps=64, out=tmp_path / "mine")
    with pytest.raises(
        ValueError, match="mine already holds a run: add --resume to continue it, or choose another"
    ):
        tiny_train(encoder, out=tmp_path / "mine")


def test_a_run_that_is_being_trained_is_not_resumed(encoder):
    path = tiny_train(encoder, timesteps=64).path
    with (
        locked(path),
        pytest.raises(ValueError, match=r"ppo-latent-1 is being trained by process \d+: wait for"),
    ):
        train(TrainConfig("PixelReach-v0", resume=True))


def test_nothing_to_resume():
    with pytest.raises(
        FileNotFoundError,
        match=r"nothing to resume for X-v0: no ppo-latent run in runs/agents/X-v0",
    ):
        train(TrainConfig(env="X-v0", resume=True))


def test_a_run_with_a_bonus_is_not_resumed_as_one_without(encoder):
    plain = tiny_train(encoder)
    bonus = tiny_train(encoder, novelty="counts")
    for first, flags in ((plain, {}), (bonus, {"novelty": "counts"})):
        again = train(TrainConfig(env="PixelReach-v0", timesteps=256, resume=True, **flags))
        assert again.path == first.path
    with pytest.raises(ValueError, match=r"has novelty_weight=None, the call has novelty_weight="):
        train(TrainConfig(env="PixelReach-v0", novelty="counts", novelty_weight=0.5, resume=True))


def test_a_run_is_not_resumed_to_fewer_timesteps(encoder):
    path = tiny_train(encoder, timesteps=128).path
    with pytest.raises(ValueError, match=r"128 timesteps already: .* total, got 64"):
        train(TrainConfig("PixelReach-v0", timesteps=64, resume=True))
    with pytest.raises(ValueError, match="128 timesteps already"):
        train(TrainConfig("PixelReach-v0", timesteps=100, resume=True))
    assert read_json(path / "training.json")["vae"] == "runs/vae/PixelReach-v0/random-1"


def test_a_run_with_more_timesteps_than_it_was_to_have_is_resumed(encoder):
    assert tiny_train(encoder, timesteps=100).timesteps == 128
    assert train(TrainConfig("PixelReach-v0", resume=True)).timesteps == 128
    assert train(TrainConfig("PixelReach-v0", timesteps=100, resume=True)).timesteps == 128


def test_hyperparameters_are_saved_and_compared_on_resume(encoder):
    first = tiny_train(encoder, timesteps=64)
    saved = read_agent(first.path / "last")[0].hyperparameters
    assert (saved["n_steps"], saved["policy_kwargs"]) == (32, {"net_arch": [16]})
    same = (f"gamma:{saved['gamma']}", "n_steps:32", "policy_kwargs.net_arch:[16]")
    again = train(TrainConfig("PixelReach-v0", timesteps=128, hyperparams=same, resume=True))
    assert again.config.hyperparameters == {**saved, "timesteps": 128}
    for word, message in {
        "gamma:0.5": r"has gamma=0\.99, the call has gamma=0\.5: resume it with the same",
        "policy_kwargs.net_arch:[8]": r"has policy_kwargs\.net_arch=\[16\], the call has",
    }.items():
        with pytest.raises(ValueError, match=message):
            train(TrainConfig("PixelReach-v0", hyperparams=(word,), resume=True))


@pytest.mark.parametrize("algo", [algo for algo, environment in CASES if environment == REACH])
def test_every_algorithm_is_resumed_as_a_run(algo, encoder):
    first = tiny_train(encoder, algo=algo, timesteps=64)
    again = train(TrainConfig("PixelReach-v0", algo=algo, timesteps=128, resume=True))
    assert (again.path, again.timesteps) == (first.path, 128)


TRAINED = ("reconstruction", "token_counts+counts")
"""Bonuses with weights and with several parts; the contract of bonuses has all of them."""


@pytest.mark.parametrize(
    "name", [pytest.param(n, marks=() if n in TRAINED else pytest.mark.slow) for n in BONUSES]
)
def test_every_bonus_is_saved_and_resumed(name):
    torch.manual_seed(0)
    model = lrl.ae((32, 32, 3), 6, backbone={"name": "conv", "channels": (8,), "hidden": 16})
    result = tiny_train(model, novelty=name, timesteps=128, eval_every=128)
    assert result.path.name.startswith(f"ppo-latent-{name}")
    before = _bonuses_scored(result.path)
    again = train(TrainConfig("PixelReach-v0", timesteps=192, novelty=name, resume=True))
    assert _bonuses_scored(again.path) > before > 0


def _bonuses_scored(path):
    last = path / "last"
    return read_part(last, read_agent(last)[2], "novelty")[1]["count"]
