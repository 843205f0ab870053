"""Features of cells, beside a loop over latents and cells."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch
from gymnasium import spaces

import latentrl as lrl
from agents.checkpoint import build
from agents.features import CellFeatures, GridFeatures
from envs import Environment
from latentrl.types import LatentLayout
from tests.agents.small import make_venv, small_config

CELLS, CHANNELS, WIDTH = 6, 4, 3
LAYOUT = LatentLayout((3, 2), CHANNELS)


@pytest.mark.parametrize("stack", [1, 2])
@pytest.mark.parametrize("counts", [0, 1])
@pytest.mark.parametrize("rectified", [True, False])
def test_every_cell_goes_through_the_same_network(stack, counts, rectified):
    torch.manual_seed(0)
    size = CELLS * CHANNELS + counts
    space = spaces.Box(-np.inf, np.inf, (stack * size,), np.float32)
    features = CellFeatures(space, LAYOUT, stack, WIDTH, rectified)
    x = torch.randn(5, stack * size)
    expected = []
    for row in x:
        latents = row.reshape(stack, size)
        cells = [
            features.network(latent[: CELLS * CHANNELS].reshape(CHANNELS, CELLS)[:, cell])
            for latent in latents
            for cell in range(CELLS)
        ]
        expected.append(torch.cat([*cells, *(latent[CELLS * CHANNELS :] for latent in latents)]))
    torch.testing.assert_close(features(x), torch.stack(expected))
    assert features.features_dim == stack * (CELLS * WIDTH + counts)
    assert bool((features(x)[:, : CELLS * WIDTH] >= 0).all()) == rectified


def test_the_cells_are_those_of_the_layout():
    latents = np.random.default_rng(0).normal(size=(3, CELLS * CHANNELS)).astype(np.float32)
    space = spaces.Box(-np.inf, np.inf, (CELLS * CHANNELS,), np.float32)
    features = CellFeatures(space, LAYOUT, width=WIDTH)
    expected = features.network(torch.from_numpy(LAYOUT.split(latents))).flatten(1)
    torch.testing.assert_close(features(torch.from_numpy(latents)), expected)


@pytest.mark.parametrize("stack", [1, 3])
@pytest.mark.parametrize("counts", [0, 1])
def test_convolutions_take_stacked_channels_of_the_grid(stack, counts):
    torch.manual_seed(0)
    layout = LatentLayout((5, 4), 2)
    size = layout.latent_dim + counts
    space = spaces.Box(-np.inf, np.inf, (stack * size,), np.float32)
    features = GridFeatures(space, layout, stack, WIDTH)
    x = torch.randn(6, stack * size)
    latents = [x[:, i * size : i * size + layout.latent_dim] for i in range(stack)]
    grid = torch.cat([latent.view(6, 2, 5, 4) for latent in latents], 1)
    rest = [x[:, i * size + layout.latent_dim : (i + 1) * size] for i in range(stack)]
    expected = torch.cat([features.network(grid), *rest], 1)
    torch.testing.assert_close(features(x), expected)
    assert features(x).shape == (6, features.features_dim)


@pytest.mark.parametrize("algo", ["ppo", "dqn", "qrdqn"])
def test_an_agent_on_a_grid_of_latents_gets_features_of_cells(algo):
    grid = lrl.beta_vae((64, 64, 3), latent_dim=4 * 64, backbone={"name": "patches"})
    policy = {"net_arch": [8], "cell_features": {"width": 2}}
    config = small_config(algo, Environment("KeyRooms-v0"), policy_kwargs=policy)
    config = dataclasses.replace(config, episodic_count=True)
    model = build(config, make_venv(config, grid))
    extractors = [m for m in model.policy.modules() if isinstance(m, CellFeatures)]
    assert extractors
    assert {m.features_dim for m in extractors} == {2 * (64 * 2 + 1)}
    model.learn(64)
