"""Tuned defaults from YAML, values from the command line, and SB3's arguments."""

from __future__ import annotations

import pytest
import torch
import yaml

from agents.algorithms import ALGORITHMS, find_algorithm
from agents.algorithms.hyperparameters import (
    check_names,
    constructor_arguments,
    override,
    read_defaults,
    schedule,
)
from agents.checkpoint import build
from agents.features import CellFeatures
from latentrl.types import LatentLayout
from tests.agents.small import make_venv, small_config

PPO, DQN = find_algorithm("ppo"), find_algorithm("dqn")
VECTOR, GRID = LatentLayout(None, 24), LatentLayout((3, 2), 4)
DEFAULTS = {"gamma": 0.9, "policy_kwargs": {"net_arch": [8], "activation_fn": "tanh"}}


def test_the_longest_prefix_wins():
    room = read_defaults(PPO, "MiniGrid-LockedRoom-v0", latent=True)
    door = read_defaults(PPO, "MiniGrid-DoorKey-8x8-v0", latent=True)
    car = read_defaults(PPO, "CarRacing-v2", latent=True)
    assert (room["ent_coef"], door["ent_coef"], "ent_coef" in car) == (0.03, 0.01, False)
    assert (room["n_envs"], door["n_envs"], car["n_envs"]) == (32, 32, 16)
    assert room["policy_kwargs"]["cell_features"] == {"width": 8, "rectified": False}
    assert door["policy_kwargs"]["cell_features"] == {"width": 8}
    pixels = read_defaults(PPO, "MiniGrid-DoorKey-8x8-v0", latent=False)
    assert pixels["n_steps"] == 512


def test_a_short_horizon_for_rooms_with_a_key():
    rooms = read_defaults(DQN, "KeyRooms-v0", latent=True)
    assert (rooms["gamma"], rooms["n_steps"], rooms["normalize_latents"]) == (0.95, 5, False)


@pytest.mark.parametrize("name", list(ALGORITHMS))
def test_every_name_in_the_yaml_files_is_known(name):
    spec = find_algorithm(name)
    tuned = yaml.safe_load(spec.hyperparams.read_text())
    assert set(tuned) == {"latents", "pixels"}
    for section, by_prefix in tuned.items():
        assert "default" in by_prefix
        for hyperparameters in by_prefix.values():
            check_names(hyperparameters, spec, section == "latents")
            values = [v for v in hyperparameters.values() if isinstance(v, str)]
            assert all(v == "auto" or v.startswith("lin_") for v in values)  # 1e-3 is a YAML string


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
        (["gamma:0.9", "gamma:0.8"], "hyperparameter 'gamma' is given twice"),
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
    ],
)
def test_names_and_values_that_are_refused(words, message):
    with pytest.raises(ValueError, match=message):
        override(DEFAULTS, words, PPO, latent=True)


def test_hyperparameters_of_one_algorithm_are_unknown_to_another():
    override({}, ["exploration_fraction:0.1"], DQN, latent=True)
    with pytest.raises(ValueError, match="PPO has no hyperparameter 'exploration_fraction'"):
        override({}, ["exploration_fraction:0.1"], PPO, latent=True)


def test_linear_schedules_end_at_a_twentieth(encoder):
    assert schedule(0.1) == 0.1
    assert schedule("auto") == "auto"
    config = small_config(learning_rate="lin_3e-4")
    model = build(config, make_venv(config, encoder))
    rates = [model.lr_schedule(left) for left in (1.0, 0.5, 0.01)]
    assert rates == pytest.approx([3e-4, 1.5e-4, 1.5e-5])


def test_names_become_classes():
    policy = {"activation_fn": "silu"}
    arguments = constructor_arguments({"n_envs": 4, "policy_kwargs": policy}, VECTOR, 1)
    assert arguments == {"policy_kwargs": {"activation_fn": torch.nn.SiLU}}
    with pytest.raises(ValueError, match="unknown activation_fn 'swish'; known: elu, gelu, relu"):
        constructor_arguments({"policy_kwargs": {"activation_fn": "swish"}}, VECTOR, 1)


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
