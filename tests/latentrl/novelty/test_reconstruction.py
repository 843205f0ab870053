"""What tokens teach a decoder, against Bayesian linear regression on all earlier tokens."""

from __future__ import annotations

import numpy as np
import pytest

import latentrl as lrl
from latentrl.novelty import ReconstructionGain, make_bonus
from latentrl.types import LatentLayout
from tests.latentrl.novelty.cases import reaching, reset, tiny_model, transitions

B, CELLS, CHANNELS = 3, 4, 2
LAYOUT = LatentLayout((2, 2), CHANNELS)


def latents(rng: np.random.Generator, count: int = B) -> np.ndarray:
    """Draw latents of which most cells are equal, multiples of 0.1."""
    values = 0.1 * rng.integers(-9, 9, (count, CHANNELS, CELLS))
    shown = rng.random((count, 1, CELLS)) < 0.3
    return (values * shown).reshape(count, -1).astype(np.float32)


def inputs(row: np.ndarray) -> list[np.ndarray]:
    """Return the input of the decoder for each cell: the latent, and which position it has."""
    cells = row.reshape(CHANNELS, CELLS).T.astype(np.float64)
    return [np.concatenate([cell, np.eye(CELLS)[place]]) for place, cell in enumerate(cells)]


def key(x: np.ndarray) -> tuple:
    return tuple(np.round(10 * x).astype(int))


@pytest.mark.parametrize("prior", [1.0, 0.01])
def test_it_is_the_information_about_a_decoder_that_was_fitted_to_all_earlier_tokens(prior):
    rng, bonus = np.random.default_rng(0), ReconstructionGain(LAYOUT, prior)
    first = latents(rng)
    reset(bonus, first)
    visited = [set(map(key, inputs(row))) for row in first]
    learned: list[np.ndarray] = []
    ever: set[tuple] = set()
    new, unknown, total = np.zeros(CELLS), np.zeros(CELLS), 0.0
    for _ in range(60):
        batch, taught = latents(rng), []
        expected = np.zeros(B)
        seen = np.array(learned).reshape(-1, CHANNELS + CELLS)
        posterior = np.linalg.inv(prior * np.eye(CHANNELS + CELLS) + seen.T @ seen)
        factor = (1 - unknown / (new + 1)) ** 2
        for row, tokens in enumerate(map(inputs, batch)):
            for place, x in enumerate(tokens):
                if key(x) not in visited[row]:
                    variance = x @ posterior @ x
                    expected[row] += factor[place] * np.log(1 + variance) / 2
                    taught.append((place, x))
            visited[row] |= set(map(key, tokens))
        np.testing.assert_allclose(bonus.step(reaching(batch)), expected, rtol=1e-4, atol=1e-7)
        known = set(ever)
        for place, x in taught:
            new[place] += 1
            unknown[place] += key(x) not in known
            ever.add(key(x))
            learned.append(x)
        total += expected.sum()
        for ended in np.flatnonzero(rng.random(B) < 0.2):
            start = latents(rng, 1)
            reset(bonus, start, [ended])
            visited[ended] = set(map(key, inputs(start[0])))
    assert total > 3


def test_a_look_is_learned_at_one_position_for_all_and_a_position_with_one_look():
    bonus = ReconstructionGain(LAYOUT)
    here, elsewhere, another = np.zeros((3, 1, CHANNELS, CELLS))
    here[0, :, 0] = elsewhere[0, :, 1] = 1.0, 0.0
    another[0, :, 0] = 0.0, 1.0
    here, elsewhere, another = (z.reshape(1, -1) for z in (here, elsewhere, another))

    def nats(z):
        reset(bonus, np.zeros((1, CHANNELS * CELLS)))
        return float(bonus.score(reaching(z))[0])

    before = nats(elsewhere)
    for _ in range(30):
        reset(bonus, np.zeros((1, CHANNELS * CELLS)))
        bonus.step(reaching(here))
    known, at_new_position, new_look = nats(here), nats(elsewhere), nats(another)
    assert known < 0.1 * at_new_position < 0.1 * before
    assert known < 0.1 * new_look


def test_noise_earns_little_and_only_where_it_is():
    bonus, rng = ReconstructionGain(LatentLayout((1, 2), 2)), np.random.default_rng(0)
    for _ in range(300):
        reset(bonus, np.zeros((1, 4)))
        bonus.step(reaching([[rng.normal(), 0, rng.normal(), 0]]))
    reset(bonus, np.zeros((1, 4)))
    noise, other = (float(bonus.score(reaching([z]))[0]) for z in ([7, 0, 7, 0], [0, 1, 0, 1]))
    assert 100 * noise < other


def test_a_plain_vector_is_one_token():
    bonus = ReconstructionGain(LatentLayout(None, 3))
    reset(bonus, np.zeros((1, 3)))
    assert bonus.score(reaching([[0, 0, 0]])) == 0
    # The prior variances of three values and of the offset.
    expected = 0.5 * np.log(1 + 4 + 1 + 1)
    assert bonus.score(reaching([[2, 0, 1]])) == pytest.approx(expected)


def test_it_suits_every_encoder():
    model = lrl.beta_vae((24, 16, 3), latent_dim=4 * 6, backbone={"name": "patches"})
    assert make_bonus("reconstruction", model).layout == LatentLayout((3, 2), 4)
    assert make_bonus("reconstruction", tiny_model()).score(transitions(0)).shape == (6,)


def test_arguments_out_of_range_are_refused():
    with pytest.raises(ValueError, match="prior must be positive, got 0"):
        ReconstructionGain(LAYOUT, prior=0)
    with pytest.raises(ValueError, match=r"a layout of 8 values, got latents \(6, 4\): pass"):
        ReconstructionGain(LAYOUT).score(transitions(0))
