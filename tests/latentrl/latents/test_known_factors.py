"""Scores of latents by known factors: what is left out, bins, and models of frames."""

from __future__ import annotations

import numpy as np
import pytest

import latentrl as lrl
from latentrl.data.factors import with_factors
from latentrl.latents.known_factors import binned, score_frames, score_latents

RNG = np.random.default_rng(0)
LATENTS = RNG.normal(size=(400, 6))
EPISODES = np.arange(400) // 20


def test_linear_factors_are_found_and_noise_is_not() -> None:
    factors = {"line": 2 * LATENTS[:, 1] - 3, "noise": RNG.normal(size=400)}
    scores = score_latents(LATENTS, factors, EPISODES)
    assert scores is not None
    assert scores.probe["line"] > 0.999
    assert abs(scores.probe["noise"]) < 0.1
    bins = np.stack([binned(values) for values in factors.values()], 1)
    metrics = ["mig", "modularity"]
    assert scores.disentanglement == lrl.disentanglement_scores(LATENTS, bins, metrics=metrics)


def test_a_factor_per_dimension_is_disentangled() -> None:
    factors = {"a": LATENTS[:, 0], "b": LATENTS[:, 1]}
    apart = score_latents(LATENTS[:, :2], factors, EPISODES)
    turned = score_latents(LATENTS[:, :2] @ np.array([[1, 1], [1, -1]]), factors, EPISODES)
    assert apart is not None
    assert turned is not None
    assert apart.disentanglement["mig"] > turned.disentanglement["mig"] + 0.3
    assert turned.probe["a"] == pytest.approx(apart.probe["a"], abs=0.01)


def test_unknown_and_constant_factors_are_left_out() -> None:
    half = np.where(np.arange(400) < 200, LATENTS[:, 0], np.nan)
    never, constant = np.full(400, np.nan), np.ones(400)
    factors = {"half": half, "never": never, "constant": constant}
    scores = score_latents(LATENTS, factors, EPISODES)
    assert scores is not None
    assert list(scores.probe) == ["half"]
    assert scores.probe["half"] > 0.99
    assert scores.disentanglement == {}
    assert score_latents(LATENTS, {"never": never}, EPISODES) is None
    assert score_latents(LATENTS, {"constant": constant}, EPISODES) is None
    assert score_latents(LATENTS, {}, EPISODES) is None
    assert score_latents(LATENTS[:99], {"a": LATENTS[:99, 0]}, EPISODES[:99]) is None


def test_few_values_have_a_bin_each_and_many_are_cut_at_quantiles() -> None:
    assert binned(np.array([5.0, -1.0, 5.0, 2.5])).tolist() == [2, 0, 2, 1]
    counts = np.bincount(binned(np.exp(RNG.normal(size=1_000))))
    assert counts.tolist() == [100] * 10


@pytest.mark.parametrize("sign", [1, -1])
@pytest.mark.parametrize("kept", [2, 12, 30, 160])
def test_a_value_that_most_rows_have_is_a_bin(kept: int, sign: int) -> None:
    rare = sign * np.maximum(0.0, np.arange(400) - (399 - kept))  # 0, but for the last rows
    bins = binned(rare)
    assert len(np.unique(bins)) >= 2
    if kept > 10:
        assert not set(bins[rare == 0]) & set(bins[rare != 0])
    scores = score_latents(LATENTS, {"rare": RNG.permutation(rare), "a": LATENTS[:, 0]}, EPISODES)
    assert scores is not None
    assert scores.probe["a"] > 0.99
    assert "mig" in scores.disentanglement or kept == 2


def test_a_value_in_the_middle_that_most_rows_have() -> None:
    middle = np.concatenate([np.arange(-15, 0), np.zeros(370), np.arange(1, 16)])
    assert np.bincount(binned(middle)).tolist() == [15, 385]


def test_a_factor_that_is_constant_in_the_held_out_rows_has_no_scores() -> None:
    once = np.where(EPISODES % 2 == 0, np.arange(400.0), 0.0)
    scores = score_latents(LATENTS, {"once": once, "a": LATENTS[:, 0]}, EPISODES)
    assert scores is not None
    assert list(scores.probe) == ["a"]
    assert scores.disentanglement == {}


def test_many_dimensions_are_regularised() -> None:
    wide = RNG.normal(size=(400, 300))
    factors = {"line": wide[:, :50].sum(1) + RNG.normal(size=400), "noise": RNG.normal(size=400)}
    scores = score_latents(wide, factors, EPISODES)
    assert scores is not None
    assert scores.probe["noise"] > -0.3  # below -1 with the smallest penalty


def test_frames_of_other_episodes_train_the_probe() -> None:
    """A regression from 30 dimensions needs more rows than 60 held-out frames have."""
    observations = RNG.normal(size=(1_000, 30)).astype(np.float32)
    model = lrl.pca((30,), 30)
    lrl.fit(model, observations, progress=False)
    sums = {"sum": observations.sum(1) + RNG.normal(size=1_000)}
    frames = with_factors(lrl.as_frames(observations), sums)
    held_out, others = frames.subset(np.arange(120)), frames.subset(np.arange(120, 1_000))
    alone, trained = score_frames(model, held_out), score_frames(model, held_out, others)
    assert alone is not None
    assert trained is not None
    design = np.column_stack([observations, np.ones(1_000)])
    solved = np.linalg.lstsq(design[120:], sums["sum"][120:], rcond=None)[0]
    errors, tested = sums["sum"][:120] - design[:120] @ solved, sums["sum"][:120]
    expected = 1 - np.square(errors).sum() / np.square(tested - tested.mean()).sum()
    assert trained.probe["sum"] == pytest.approx(expected, abs=0.01)
    assert alone.probe["sum"] < trained.probe["sum"]
    assert score_frames(model, held_out, lrl.as_frames(observations[120:])) == alone
    assert score_frames(model, held_out.subset(np.arange(99)), others) is None
    assert score_frames(model, held_out, others.subset(np.arange(99))) is None
    for unknown in (np.arange(120), np.arange(120, 1_000)):
        values = sums["sum"].copy()
        values[unknown] = np.nan
        partly = with_factors(lrl.as_frames(observations), {"sum": values})
        parts = partly.subset(np.arange(120)), partly.subset(np.arange(120, 1_000))
        assert score_frames(model, *parts) is None


def test_a_models_frames_are_encoded() -> None:
    model = lrl.random((8,), latent_dim=4)
    observations = RNG.normal(size=(1_500, 8)).astype(np.float32)
    frames = lrl.as_frames(observations)
    assert score_frames(model, frames) is None
    latents = model.encode(observations)
    scores = score_frames(model, with_factors(frames, {"sum": latents.sum(1)}))
    assert scores is not None
    assert scores.probe["sum"] > 0.999
