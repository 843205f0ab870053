"""A study of one tiny task, in folders of its own."""

from __future__ import annotations

import functools
from pathlib import Path

import pytest

from agents.pretrain import PretrainConfig
from scripts.studies.sparse_rewards import perform, records, tasks
from scripts.studies.sparse_rewards.tasks import TASKS, Task


@pytest.fixture
def tiny(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the folder of the study of one tiny task."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(perform, "RUNS", tmp_path / "runs")
    for module in (tasks, records):
        monkeypatch.setattr(module, "RESULTS", tmp_path / "results")
    pretraining = functools.partial(PretrainConfig, frames=64, steps=3, latent_dim=4)
    monkeypatch.setattr(perform, "PretrainConfig", pretraining)
    monkeypatch.setattr(perform, "EPISODES", 4)
    monkeypatch.setitem(TASKS, "Tiny", Task("PixelReach-v0", 2_048, seeds=2))
    return tmp_path
