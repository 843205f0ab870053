"""Growing counters against dictionaries and sets."""

from __future__ import annotations

import collections

import numpy as np
import pytest
import torch

from latentrl.novelty.counters import EpisodicCounter, EpisodicSet, LifelongCounter
from latentrl.novelty.key_table import MIXER, KeyTable


def colliding(count):
    """Keys that all start their search at the last slot of a table, so that the search wraps."""
    inverse = pow(int(MIXER), -1, 1 << 64)
    return np.array([((1 << 64) - 1 - i) * inverse % (1 << 64) for i in range(count)], np.uint64)


KEYS = {
    "random": lambda rng: rng.integers(0, 1 << 63, 700, dtype=np.uint64),
    "small": lambda rng: np.arange(700, dtype=np.uint64),  # 0 among them
    "colliding": lambda rng: colliding(220),
}


@pytest.mark.parametrize("kind", KEYS)
@pytest.mark.parametrize("slots", [2, 64, 4096])
def test_lifelong_counts_are_those_of_a_dictionary(kind, slots):
    rng, expected = np.random.default_rng(0), collections.Counter()
    counter, pool = LifelongCounter(slots), KEYS[kind](np.random.default_rng(1))
    for size in [0, 1, 3, 200, *[40] * 40]:
        keys = rng.choice(pool, size)
        assert counter.count(keys).tolist() == [expected[key] for key in keys.tolist()]
        counter.increment(keys)
        expected.update(keys.tolist())
    assert counter.count(pool[:, None])[:, 0].tolist() == [expected[key] for key in pool.tolist()]
    assert counter.distinct == len(expected) > 150


@pytest.mark.parametrize("kind", KEYS)
def test_episodes_of_any_length_are_exact(kind):
    rng, pool = np.random.default_rng(0), KEYS[kind](np.random.default_rng(1))
    visited, counter = EpisodicSet(slots=4), EpisodicCounter(slots=4)
    expected = [collections.Counter() for _ in range(6)]
    longest = 0
    for _ in range(100):
        env_ids = np.sort(rng.permutation(6)[: rng.integers(1, 7)])
        keys = rng.choice(pool, (len(env_ids), 5))
        known = [
            [expected[i][key] for key in row] for i, row in zip(env_ids, keys.tolist(), strict=True)
        ]
        assert counter.count(env_ids, keys).tolist() == known
        assert visited.contains(env_ids, keys).tolist() == (np.array(known) > 0).tolist()
        visited.add(env_ids, keys)
        counter.increment(env_ids, keys)
        for i, row in zip(env_ids, keys.tolist(), strict=True):
            expected[i].update(row)
        longest = max(longest, *map(len, expected))
        ended = env_ids[rng.random(len(env_ids)) < 0.02]
        visited.reset(ended)
        counter.reset(ended)
        for i in ended:
            expected[i].clear()
    assert longest > 100


def test_a_new_latent_is_new_after_many_others():
    counter, rng = LifelongCounter(), np.random.default_rng(0)
    keys = np.unique(rng.integers(0, 1 << 63, 110_000, dtype=np.uint64))
    rng.shuffle(keys)
    for start in range(0, 100_000, 25_000):
        counter.increment(keys[start : start + 25_000])
    assert counter.distinct == 100_000
    assert not counter.count(keys[100_000:]).any()
    assert (counter.count(keys[:100_000]) == 1).all()


def test_the_table_grows_before_it_is_more_than_half_full():
    table, sizes = KeyTable(16), set()
    for key in range(100):
        table.add(np.zeros(1, np.int64), np.array([[key]], np.uint64))
        assert 2 * table.distinct <= table.slots <= max(16, 4 * table.distinct)
        sizes.add(table.slots)
    assert sizes == {16, 32, 64, 128, 256}


def test_counts_are_saved_and_restored():
    counter, other = LifelongCounter(4), LifelongCounter()
    keys = np.array([0, 1, (1 << 64) - 1, 7, 7], np.uint64)
    counter.increment(keys)
    other.increment(np.arange(9, dtype=np.uint64))
    other.load_state_dict(counter.state_dict())
    assert other.count(keys).tolist() == [1, 1, 1, 2, 2]
    assert other.distinct == 4
    counter.increment(keys)
    assert other.count(keys).tolist() == [1, 1, 1, 2, 2], "the state is a copy"


def test_counts_without_keys_are_refused():
    counts = torch.ones(3, dtype=torch.int64)
    for state in ({"slots": counts, "counts": counts}, {"keys": counts, "counts": counts[:2]}):
        with pytest.raises(ValueError, match="counts of an older version have no keys"):
            LifelongCounter().load_state_dict(state)
