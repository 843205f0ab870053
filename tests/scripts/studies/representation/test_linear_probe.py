"""The linear probe, on latents whose accuracies are known."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("minigrid")

from agents.pretrain import PretrainConfig
from scripts.studies.representation import linear_probe
from scripts.studies.representation.linear_probe import (
    CONV,
    DEFAULT,
    ENV,
    balanced_accuracies,
    compare,
    training_half,
)


def test_latents_that_contain_the_label_are_read_and_noise_is_not() -> None:
    rng, levels = np.random.default_rng(0), np.repeat(np.arange(100), 10)
    truth = rng.random((1000, 2)) < (0.5, 0.2)
    noise = rng.standard_normal((1000, 3))
    latents = np.concatenate([noise, 3 - 2 * truth], 1)
    np.testing.assert_array_equal(balanced_accuracies(latents, truth, levels), np.ones((2, 2)))
    np.testing.assert_allclose(balanced_accuracies(noise, truth, levels), 0.5, atol=0.1)


def test_properties_of_training_levels_do_not_count() -> None:
    rng, levels = np.random.default_rng(0), np.repeat(np.arange(80), 10)
    truth = (rng.random(80) < 0.5)[levels][:, None]
    latents = np.eye(80)[levels] + 0.01 * rng.standard_normal((800, 80))
    split_by_frame = balanced_accuracies(latents, truth, rng.permutation(800))
    np.testing.assert_array_equal(split_by_frame, np.ones((2, 1)))
    np.testing.assert_allclose(balanced_accuracies(latents, truth, levels), 0.5, atol=0.15)


def test_small_directions_are_read_with_the_chosen_penalty() -> None:
    rng, levels = np.random.default_rng(0), np.repeat(np.arange(100), 10)
    truth, large = rng.random((1000, 1)) < 0.5, rng.standard_normal((1000, 1))
    latents = np.concatenate([large, large + 0.005 * (2 * truth - 1)], 1)
    default, chosen = balanced_accuracies(latents, truth, levels)
    assert default < 0.8
    assert chosen > 0.99


def test_training_and_test_share_no_level() -> None:
    levels = np.repeat(np.arange(7), 3)
    training = training_half(levels)
    assert set(levels[training]) | set(levels[~training]) == set(range(7))
    assert not set(levels[training]) & set(levels[~training])


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:the .* collapsed")  # after so few steps
def test_study_of_short_trainings_is_complete(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(linear_probe, "INVERSE_PENALTIES", (1.0,))
    default = PretrainConfig(ENV, frames=200, steps=2, device="cpu")
    conv = dataclasses.replace(default, latent_dim=8, option=("backbone={name: conv}",))
    untrained = dataclasses.replace(default, model="random", latent_dim=8)
    study = compare({DEFAULT: default, CONV: conv, "random": untrained}, 20, 10)
    assert [row.reached for row in study.rows] == [row.value >= 0.95 for row in study.rows]
    *accuracies, errors = study.tables
    for table in accuracies:
        names = [row[0] for row in table.rows]
        assert names == [DEFAULT, CONV, "random", "pixels", "fraction of views"]
    assert [row[0] for row in errors.rows] == [DEFAULT, CONV, "bare floor"]
    assert errors.rows[-1][1] == "0.0"
    (image,) = study.images.values()
    assert image.shape[2] == 3
