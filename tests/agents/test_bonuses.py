"""The scaled bonus of an agent: its weight, its seed, and its state beside the checkpoint."""

from __future__ import annotations

import numpy as np
import pytest
from gymnasium import spaces

import latentrl as lrl
from agents.bonuses import DEFAULT_NOVELTY, DEFAULT_WEIGHT, make_novelty
from agents.parts import read_part, write_parts
from latentrl.novelty import BONUSES
from tests.latentrl.novelty.cases import B, same_state, start, tiny_model, transitions


def make(name, weight=None, seed=3):
    return make_novelty(name, weight, tiny_model(), spaces.Discrete(3), 0.9, seed)


@pytest.mark.parametrize("name", list(BONUSES))
def test_every_bonus_is_scaled_saved_and_restored(name, tmp_path):
    novelty, restored = make(name), make(name)
    start(novelty)
    for seed in (0, 1):
        novelty.step(transitions(seed))
    write_parts(tmp_path, "stamp", {"novelty": (novelty.state_dict(), {})})
    notes = {"stamp": "stamp", "parts": ["novelty"]}
    restored.load_state_dict(read_part(tmp_path, notes, "novelty")[0])
    assert restored.count == 2 * B
    assert same_state(novelty.state_dict(), restored.state_dict())


def test_the_weight_and_the_discount_factor_are_those_of_the_agent():
    assert (make("counts").weight, make("counts", 0.5).weight) == (DEFAULT_WEIGHT, 0.5)
    assert make("counts", 0.0).weight == 0
    assert make("counts").gamma == 0.9
    assert DEFAULT_NOVELTY in BONUSES
    with pytest.raises(ValueError, match=r"needs weight >= 0.* got weight=-1\.0"):
        make("counts", -1.0)


def test_the_seed_is_that_of_the_networks():
    first, same, other = (make("rnd", seed=seed).bonus.score(transitions(0)) for seed in (1, 1, 2))
    assert np.array_equal(first, same)
    assert not np.array_equal(first, other)


def test_unsuitable_names_and_actions_are_refused():
    with pytest.raises(ValueError, match="unknown novelty 'magic'; known: adaptive, counts"):
        make("magic")
    box = spaces.Box(-1, 1, (2,))
    with pytest.raises(ValueError, match="novelty 'icm' needs discrete actions, and these are Box"):
        make_novelty("icm", None, lrl.random((8,), 3), box, 0.99, 0)
