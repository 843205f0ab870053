"""Tuned defaults from YAML, values from the command line, and SB3's arguments."""

from __future__ import annotations

import dataclasses
import itertools
import re

import pytest
import torch
import yaml
from gymnasium import spaces

from agents.algorithms import ALGORITHMS, find_algorithm
from agents.algorithms.hyperparameters import (
    check_names,
    constructor_arguments,
    override,
    read_defaults,
    schedule,
    with_n_envs,
)
from agents.checkpoint import build
from agents.describe import describe_agent
from agents.features import CellFeatures
from agents.train_config import TrainConfig
from latentrl.types import LatentLayout
from tests.agents.small import make_venv, small_config

BOX, DISCRETE = spaces.Box(-1, 1, (2,)), spaces.Discrete(3)
PPO, DQN = find_algorithm("ppo"), find_algorithm("dqn")
VECTOR, GRID = LatentLayout(None, 24), LatentLayout((3, 2), 4)
DEFAULTS = {"gamma": 0.9, "policy_kwargs": {"net_arch": [8], "activation_fn": "tanh"}}


def test_the_longest_prefix_wins():
    room = read_defaults(PPO, "MiniGrid-LockedRoom-v0", True, DISCRETE)
    door = read_defaults(PPO, "MiniGrid-DoorKey-8x8-v0", True, DISCRETE)
    other = read_defaults(PPO, "Mine-v0", True, DISCRETE)
    assert (room["ent_coef"], door["ent_coef"]) == (0.03, 0.01)
    assert (room["n_envs"], door["n_envs"], other["n_envs"]) == (32, 32, 16)
    assert room["policy_kwargs"]["cell_features"] == {"width": 8, "rectified": False}
    assert door["policy_kwargs"]["cell_features"] == {"width": 8}
    pixels = read_defaults(PPO, "MiniGrid-DoorKey-8x8-v0", False, DISCRETE)
    assert pixels["n_steps"] == 128


@pytest.mark.parametrize("name", ["minigrid:MiniGrid-LockedRoom-v0", "a.b:MiniGrid-LockedRoom-v0"])
def test_the_name_of_a_package_does_not_hide_the_prefix(name):
    room = read_defaults(PPO, "MiniGrid-LockedRoom-v0", True, DISCRETE)
    assert read_defaults(PPO, name, True, DISCRETE) == room
    other, mine = (read_defaults(PPO, each, True, DISCRETE) for each in ("mine:Room", "Mine-v0"))
    assert other == mine


def test_a_file_may_leave_out_what_training_needs(tmp_path):
    (tmp_path / "mine.yml").write_text("latents:\n  default: {gamma: 0.9}\n")
    spec = dataclasses.replace(PPO, hyperparams=tmp_path / "mine.yml")
    assert read_defaults(spec, "Mine-v0", True, DISCRETE) == {
        "n_envs": 8,
        "timesteps": 500_000,
        "gamma": 0.9,
    }


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("n_steps: 8\n", "lack a mapping 'latents': the file has the sections latents and pixels"),
        ("", "lack a mapping 'latents'"),
        ("- latents\n", "lack a mapping 'latents'"),
        ("latents: {Other-: {}}\n", "lack a mapping 'default'"),
        ("latents: {Mine-: 3, default: {}}\n", "lack a mapping 'Mine-'"),
        ("latents: {default: [\n", "are not YAML: while parsing"),
    ],
)
def test_a_file_of_another_form_is_named(text, message, tmp_path):
    path = tmp_path / "mine.yml"
    path.write_text(text)
    spec = dataclasses.replace(PPO, hyperparams=path)
    with pytest.raises(ValueError, match=rf"the hyperparameters in .*mine\.yml {message}"):
        read_defaults(spec, "Mine-v0", True, DISCRETE)


def test_a_file_that_is_missing_is_named(tmp_path):
    spec = dataclasses.replace(PPO, hyperparams=tmp_path / "mine.yml")
    with pytest.raises(ValueError, match=r"there is no file of hyperparameters .*mine\.yml"):
        read_defaults(spec, "Mine-v0", True, DISCRETE)


def test_a_short_horizon_for_rooms_with_a_key():
    rooms = read_defaults(DQN, "KeyRooms-v0", True, DISCRETE)
    assert (rooms["gamma"], rooms["n_steps"], rooms["normalize_latents"]) == (0.95, 5, False)


@pytest.mark.parametrize("name", [n for n in ALGORITHMS if find_algorithm(n).hyperparams])
def test_every_name_in_the_yaml_files_is_known(name):
    spec = find_algorithm(name)
    tuned = yaml.safe_load(spec.hyperparams.read_text())
    assert set(tuned) == {"latents", "pixels"}
    for section, by_prefix in tuned.items():
        assert "default" in by_prefix
        for prefix, actions in itertools.product(by_prefix, (BOX, DISCRETE)):
            hyperparameters = read_defaults(spec, prefix, section == "latents", actions)
            check_names(hyperparameters, spec, section == "latents")
            values = [v for v in hyperparameters.values() if isinstance(v, str)]
            assert all(v == "auto" or v.startswith("lin_") for v in values)  # 1e-3 is a YAML string


def test_values_for_continuous_actions_replace_the_others(tmp_path):
    general = {"ent_coef": 0.1, "policy_kwargs": {"net_arch": [8], "log_std_init": 0.0}}
    own = {"ent_coef": 0.0, "use_sde": True, "policy_kwargs": {"log_std_init": -2.0}}
    tuned = {"latents": {"default": {**general, "continuous": own}}, "pixels": {"default": general}}
    (tmp_path / "mine.yml").write_text(yaml.safe_dump(tuned))
    spec = dataclasses.replace(DQN, hyperparams=tmp_path / "mine.yml")
    continuous, discrete, pixels = (
        read_defaults(spec, "Mine-v0", latent, actions)
        for latent, actions in ((True, BOX), (True, DISCRETE), (False, BOX))
    )
    assert discrete == pixels == {**discrete, **general}
    policy = {"net_arch": [8], "log_std_init": -2.0}
    assert continuous == {**discrete, **own, "policy_kwargs": policy}


def test_pixels_have_the_hyperparameters_of_rl_zoos_atari():
    found = read_defaults(PPO, "Mine-v0", False, DISCRETE)
    sizes = ("n_envs", "n_steps", "batch_size", "n_epochs")
    assert [found[name] for name in sizes] == [8, 128, 256, 4]
    assert [found[name] for name in ("clip_range", "vf_coef", "ent_coef")] == [0.1, 0.5, 0.01]
    assert found["learning_rate"] == "lin_2.5e-4"


def test_values_of_the_command_line_win():
    words = [
        "learning_rate:3e-4",
        "n_steps:256",
        "policy_kwargs.net_arch:[64,64]",
        "clip_range:lin_0.2",
    ]
    assert override(DEFAULTS, words, PPO, latent=True) == {
        "gamma": 0.9,
        "learning_rate": 3e-4,
        "n_steps": 256,
        "clip_range": "lin_0.2",
        "policy_kwargs": {"net_arch": [64, 64], "activation_fn": "tanh"},
    }
    assert DEFAULTS["policy_kwargs"]["net_arch"] == [8]
    words = ["policy_kwargs:{net_arch: [4]}", "policy_kwargs.cell_features.width:5"]
    changed = override({}, words, PPO, latent=True)
    assert changed == {"policy_kwargs": {"net_arch": [4], "cell_features": {"width": 5}}}


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["gamma"], "expected --hyperparams NAME:VALUE, got 'gamma'"),
        (["gamma:[1"], r"'\[1' is not YAML"),
        (["n_envs:4"], "n_envs has a flag of its own: --n-envs"),
        (["timesteps:4"], "timesteps has a flag of its own: --timesteps"),
        (["seed:4"], "seed has a flag of its own: --seed"),
        (["gama:0.9"], "PPO has no hyperparameter 'gama'; known: batch_size, clip_range, .*gamma"),
        (["policy:MlpPolicy"], "PPO has no hyperparameter 'policy'; known: "),
        (["gamma.x:1"], r"hyperparameter 'gamma' is 0\.9, not a mapping with 'x'"),
        (
            ["policy_kwargs.nets:[4]"],
            "policy_kwargs of PPO has no hyperparameter 'nets'; known: activation_fn, cell",
        ),
        (["policy_kwargs:tanh"], "policy_kwargs of PPO must be a mapping, got 'tanh'"),
        (["policy_kwargs.cell_features:8"], "cell_features must be a mapping, got 8"),
        (
            ["policy_kwargs.cell_features.depth:8"],
            "cell_features has no hyperparameter 'depth'; known: rectified, width",
        ),
        (
            ["policy_kwargs.grid_features.width:4", "policy_kwargs.cell_features.width:8"],
            "PPO has grid_features and cell_features, of which .*policy_kwargs.grid_features:null",
        ),
        (["gamma:high"], "hyperparameter 'gamma' takes a number, got 'high'"),
        (["ent_coef:lin_0.1"], "hyperparameter 'ent_coef' takes a number, got 'lin_0.1'"),
        (["n_steps:"], "hyperparameter 'n_steps' takes a whole number, got None"),
        (["n_steps:true"], "hyperparameter 'n_steps' takes a whole number, got True"),
        (["use_sde:maybe"], "hyperparameter 'use_sde' takes true or false, got 'maybe'"),
        (["normalize_latents:no one"], "'normalize_latents' takes true or false, got 'no one'"),
    ],
)
def test_names_and_values_that_are_refused(words, message):
    with pytest.raises(ValueError, match=message):
        override(DEFAULTS, words, PPO, latent=True)


def test_null_removes_the_default_features():
    defaults = read_defaults(PPO, "Other-v0", True, DISCRETE)
    words = ["policy_kwargs.grid_features:null", "policy_kwargs.cell_features.width:5"]
    changed = override(defaults, words, PPO, latent=True)
    policy = constructor_arguments(changed, GRID, 1)["policy_kwargs"]
    assert policy["features_extractor_class"] is CellFeatures


def test_the_last_of_equal_names_counts():
    words = ["gamma=0.5", "policy_kwargs.net_arch=[4]", "gamma:1"]
    changed = override(DEFAULTS, words, PPO, latent=True)
    assert (changed["gamma"], changed["policy_kwargs"]["net_arch"]) == (1, [4])


def test_numbers_inside_a_value():
    words = ["policy_kwargs.optimizer_kwargs:{eps: 1e-5, betas: [9e-1, 0.99]}"]
    changed = override({}, words, PPO, latent=True)
    assert changed["policy_kwargs"]["optimizer_kwargs"] == {"eps": 1e-5, "betas": [0.9, 0.99]}


def test_hyperparameters_of_one_algorithm_are_unknown_to_another():
    override({}, ["exploration_fraction:0.1"], DQN, latent=True)
    with pytest.raises(ValueError, match="PPO has no hyperparameter 'exploration_fraction'"):
        override({}, ["exploration_fraction:0.1"], PPO, latent=True)


def test_linear_schedules_end_at_a_twentieth(encoder):
    assert schedule(0.1) == 0.1
    assert schedule("auto") == "auto"
    assert schedule([1, "episode"]) == (1, "episode")
    with pytest.raises(ValueError, match="a linear schedule such as lin_3e-4, got 'lin_fast'"):
        schedule("lin_fast")
    config = small_config(learning_rate="lin_3e-4")
    model = build(config, make_venv(config, encoder))
    rates = [model.lr_schedule(left) for left in (1.0, 0.5, 0.01)]
    assert rates == pytest.approx([3e-4, 1.5e-4, 1.5e-5])


def test_names_become_classes():
    policy = {"activation_fn": "silu"}
    arguments = constructor_arguments({"n_envs": 4, "policy_kwargs": policy}, VECTOR, 1)
    assert arguments == {"policy_kwargs": {"activation_fn": torch.nn.SiLU}}
    for unknown in ("swish", ["tanh"]):
        message = re.escape(f"unknown activation_fn {unknown!r}; known: elu, gelu, relu")
        with pytest.raises(ValueError, match=message):
            constructor_arguments({"policy_kwargs": {"activation_fn": unknown}}, VECTOR, 1)


def test_only_latents_on_a_grid_have_features_of_cells():
    cells = {"width": 5, "rectified": False}
    hyperparameters = {"gamma": 0.9, "policy_kwargs": {"net_arch": [8], "cell_features": cells}}
    assert constructor_arguments(hyperparameters, GRID, 2)["policy_kwargs"] == {
        "net_arch": [8],
        "features_extractor_class": CellFeatures,
        "features_extractor_kwargs": {"layout": GRID, "stack": 2, **cells},
    }
    plain = constructor_arguments(hyperparameters, VECTOR, 2)
    assert plain == {"gamma": 0.9, "policy_kwargs": {"net_arch": [8]}}
    assert constructor_arguments({"gamma": 0.9}, GRID, 1) == {"gamma": 0.9, "policy_kwargs": {}}


def test_fewer_environments_have_as_many_updates_per_transition():
    for n_envs, steps in ((8, 8), (2, 2), (1, 1), (16, 16), (3, 3)):
        changed = with_n_envs({"n_envs": 8, "train_freq": 4, "gradient_steps": 8}, n_envs)
        assert changed == {"n_envs": n_envs, "train_freq": 4, "gradient_steps": steps}
    assert with_n_envs({"n_envs": 8, "gradient_steps": 1}, 2)["gradient_steps"] == 1
    assert with_n_envs({"n_envs": 8, "gradient_steps": -1}, 2)["gradient_steps"] == -1
    assert with_n_envs({"n_envs": 8}, 2) == {"n_envs": 2}


def test_a_value_of_the_command_line_stays_with_fewer_environments(encoder):
    for words, steps in (((), 2), (("gradient_steps:5",), 5)):
        config = TrainConfig("PixelReach-v0", algo="dqn", n_envs=2, hyperparams=words)
        assert describe_agent(config, encoder).hyperparameters["gradient_steps"] == steps
