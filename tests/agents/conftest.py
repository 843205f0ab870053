"""A random encoder of PixelReach and an empty working folder, for all tests of agents."""

from __future__ import annotations

import pytest
import torch

import latentrl as lrl


@pytest.fixture(scope="session")
def encoder():
    torch.manual_seed(0)
    return lrl.random((32, 32, 3), latent_dim=6).eval()


@pytest.fixture(autouse=True)
def in_empty_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
