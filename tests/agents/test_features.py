"""Features of patches, beside a loop over codes and patches."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from gymnasium import spaces

import latentrl as lrl
from agents.algorithms.base import for_codes
from agents.features import PatchFeatures

PATCHES, SIZE, WIDTH = 6, 4, 3


@pytest.mark.parametrize("stack", [1, 2])
@pytest.mark.parametrize("visits", [0, 1])
@pytest.mark.parametrize("rectified", [True, False])
def test_every_patch_goes_through_the_same_network(stack, visits, rectified):
    torch.manual_seed(0)
    seen = PATCHES * SIZE + visits
    space = spaces.Box(-np.inf, np.inf, (stack * seen,), np.float32)
    features = PatchFeatures(space, PATCHES, stack, WIDTH, rectified)
    x = torch.randn(5, stack * seen)
    expected = []
    for row in x:
        codes = row.reshape(stack, seen)
        patches = [
            features.network(code[: PATCHES * SIZE].reshape(SIZE, PATCHES)[:, p])
            for code in codes
            for p in range(PATCHES)
        ]
        expected.append(torch.cat([*patches, *(code[PATCHES * SIZE :] for code in codes)]))
    torch.testing.assert_close(features(x), torch.stack(expected))
    assert features.features_dim == stack * (PATCHES * WIDTH + visits)
    assert bool((features(x)[:, : PATCHES * WIDTH] >= 0).all()) == rectified


def test_only_codes_of_patches_have_features_of_patches():
    settings = {
        "gamma": 0.9,
        "policy_kwargs": {"net_arch": [8], "patch_features": {"width": 5, "rectified": False}},
    }
    tiles = lrl.beta_vae((24, 16, 3), latent_dim=SIZE * PATCHES, backbone={"name": "patches"})
    whole = lrl.beta_vae((24, 16, 3), latent_dim=8)
    kwargs = for_codes(settings, tiles, 2)["policy_kwargs"]
    assert kwargs == {
        "net_arch": [8],
        "patches": {"patches": PATCHES, "stack": 2, "width": 5, "rectified": False},
    }
    for encoder in (whole, None):
        assert for_codes(settings, encoder, 1) == {"gamma": 0.9, "policy_kwargs": {"net_arch": [8]}}
    assert for_codes({"gamma": 0.9}, tiles, 1) == {"gamma": 0.9}
