"""Hashes of latents against the properties that define them; keys computed once per step."""

from __future__ import annotations

import numpy as np
import pytest
from stable_baselines3.common.vec_env import DummyVecEnv

import latentrl as lrl
from latentrl.novelty import FirstVisits, HashCounts, LatentHash, Product
from latentrl.novelty.counters import LifelongCounter
from latentrl.wrappers.episodic_count import VecEpisodicCount
from tests.helpers import Clock, FakeEncoder
from tests.latentrl.novelty.cases import reaching


@pytest.mark.parametrize("kind", ["grid", "sign"])
def test_equal_latents_have_equal_keys_and_others_different_ones(kind):
    rng = np.random.default_rng(0)
    latents = np.unique(rng.integers(-4, 5, (4000, 5)), axis=0).astype(np.float32)
    hash_ = LatentHash(kind, bits=64)
    keys = hash_(latents)
    assert keys.dtype == np.uint64
    assert np.array_equal(keys, hash_(latents.copy()))
    assert np.array_equal(keys, LatentHash(kind, bits=64)(latents))
    if kind == "grid":
        assert len(np.unique(keys)) == len(latents)
    else:  # only the direction counts
        assert len(np.unique(keys)) > 0.9 * len(latents)
        assert np.array_equal(keys, hash_(latents * 7))
        assert not np.array_equal(keys, hash_(latents + 3))


def test_a_grid_cell_is_one_width_wide_and_centred_on_its_multiple():
    hash_ = LatentHash("grid", width=0.5)
    inside = np.array([[1.0, -2.0], [1.24, -2.24], [0.76, -1.76]], np.float32)
    assert len(np.unique(hash_(inside))) == 1
    outside = np.array(
        [[1.26, -2.0], [0.74, -2.0], [1.0, -1.74], [1.0, -2.26], [-2.0, 1.0]], np.float32
    )
    assert len(np.unique(hash_(np.concatenate([inside[:1], outside])))) == 6


@pytest.mark.parametrize("angle", [0.2, 1.0, 2.5])
def test_signs_agree_with_probability_one_minus_angle_over_pi(angle):
    rng = np.random.default_rng(0)
    agree = []
    for seed in range(60):
        a, b = np.linalg.qr(rng.standard_normal((6, 2)))[0].T
        pair = np.stack([a, np.cos(angle) * a + np.sin(angle) * b]).astype(np.float32)
        keys = LatentHash("sign", bits=64, seed=seed)(pair)
        agree.append(64 - int(keys[0] ^ keys[1]).bit_count())
    expected = 1 - angle / np.pi
    tolerance = 4 * np.sqrt(expected * (1 - expected) / 3840)
    assert np.mean(agree) / 64 == pytest.approx(expected, abs=tolerance)


def test_a_key_that_repeats_in_a_batch_counts_each_time():
    counter = LifelongCounter()
    counter.increment(np.array([3, 3, 9], np.uint64))
    assert counter.count(np.array([[3, 9, 4]], np.uint64)).tolist() == [[2, 1, 0]]
    assert counter.distinct == 2


def test_each_of_many_new_latents_in_an_episode_is_new():
    bonus = FirstVisits()
    latents = np.unique(np.random.default_rng(0).integers(0, 1000, (3000, 4)), axis=0)[:, None]
    assert all(bonus.step(reaching(latent.astype(np.float32)))[0] == 1 for latent in latents)
    assert not any(bonus.step(reaching(latent.astype(np.float32)))[0] for latent in latents[:100])


# Work that is done once.


@pytest.fixture
def hashed(monkeypatch):
    """Numbers of latents that were hashed, call by call."""
    calls, compute = [], LatentHash.__call__
    counting = lambda self, latents: calls.append(len(latents)) or compute(self, latents)  # noqa: E731
    monkeypatch.setattr(LatentHash, "__call__", counting)
    return calls


def test_equal_hashes_compute_the_keys_of_a_step_once(hashed):
    bonus = Product([HashCounts(episodic=True), FirstVisits(), HashCounts(width=2.0)])
    step = reaching(np.zeros((5, 3)))
    bonus.step(step)
    assert hashed == [5, 5], "one for each width"
    bonus.score(step)
    bonus.update(step)
    assert hashed == [5, 5]
    bonus.step(step[np.array([0, 2])])
    assert hashed == [5, 5, 2, 2], "other transitions have other keys"


@pytest.mark.parametrize("width", [1.0, 0.5])
def test_a_wrapper_and_a_bonus_hash_each_latent_of_a_step_once(hashed, width):
    novelty = Product([HashCounts(episodic=True), FirstVisits()])
    host = lrl.wrap(DummyVecEnv([Clock, Clock]), FakeEncoder(), novelty=novelty)
    venv = VecEpisodicCount(host, width)
    venv.reset()
    steps = ends = 0
    for _ in range(12):
        hashed.clear()
        dones = venv.step(np.zeros(2, int))[2]
        reached = [2] if width == 1.0 else [2, 2]
        started = [dones.sum()] * 3 if dones.any() else []
        assert sorted(hashed) == sorted([*reached, *started])
        steps, ends = steps + 1, ends + dones.sum()
    assert ends >= 4


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: LatentHash("md5"), "unknown hash 'md5'; known: sign, grid"),
        (lambda: LatentHash(bits=0), "needs 1 to 64 bits and a positive width, got bits=0"),
        (lambda: FirstVisits(bits=65), "got bits=65, width=1.0"),
        (lambda: HashCounts(width=0.0), "got bits=32, width=0.0"),
    ],
)
def test_a_hash_refuses_values_out_of_range(make, message):
    with pytest.raises(ValueError, match=message):
        make()
