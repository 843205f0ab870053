"""The tests of bonuses on bonuses whose scores are known; every bonus has a row."""

from __future__ import annotations

import zlib

import numpy as np
import pytest
from scipy.stats import spearmanr

import scripts.studies.novelty.bonus_diagnostics as diagnostics
from envs.key_rooms import CELLS
from latentrl.novelty import BONUSES
from scripts.studies.novelty.bonus_diagnostics import GOALS, _metrics, compared
from scripts.studies.novelty.diagnostics_data import BATCH, Extent, Goal, rooms
from scripts.studies.novelty.noise import LOST
from tests.helpers import FakeEncoder
from tests.scripts.studies.diagnostics_cases import Toy, agent_cells, between, bright, png_size

# Models of so few frames may well not use their latents.
pytestmark = pytest.mark.filterwarnings("ignore:the latents have collapsed")

WIDE = 3 * BATCH


@pytest.fixture(scope="module")
def steps():
    """Frames of noise, more of it in each row; their numbers are their latents."""
    rng = np.random.default_rng(0)
    frames = np.zeros((WIDE, 16, 16, 3), np.uint8)
    for i, frame in enumerate(rng.permutation(WIDE)):
        frames[i].flat[: 4 * frame] = rng.integers(256, size=4 * frame)
    latents = np.arange(2 * WIDE, dtype=np.float32).reshape(2, WIDE, 1)
    return between(frames[::-1], latents[0], frames, latents[1])


@pytest.fixture(scope="module")
def states():
    return rooms(FakeEncoder(), seed=0)


# Decay


@pytest.mark.parametrize(
    ("function", "ratio"),
    [
        (lambda frames, counts: 5 / np.sqrt(counts), 1),
        (lambda frames, counts: 1 / counts, 1),
        (lambda frames, counts: counts**-0.25, 100**0.25),
        (lambda frames, counts: 1, 10),
        (lambda frames, counts: 0, np.inf),
        (lambda frames, counts: counts, 10),
        (lambda frames, counts: (counts > 3) / np.sqrt(counts), 2),
    ],
    ids=["root", "faster", "slower", "never", "nothing", "rising", "withheld"],
)
def test_decay(function, ratio, steps):
    assert diagnostics.decay(Toy(function), steps, 100) == pytest.approx(ratio, rel=1e-5)


def test_decay_is_of_the_first_states(steps):
    first = {frame.tobytes() for frame in steps.next_observations[:BATCH]}

    def function(frames, counts):
        return np.where([frame.tobytes() in first for frame in frames], 1 / np.sqrt(counts), 0.5)

    assert diagnostics.decay(Toy(function), steps, 20) == pytest.approx(1, rel=1e-5)


def test_each_visit_starts_an_episode_and_is_scored_before_the_update(steps):
    toy = Toy(lambda frames, counts: 1 / counts)
    diagnostics.revisit(toy, steps, 2, seed=0)
    assert toy.calls == ["reset", "score", "update"] * (2 * WIDE // BATCH)
    assert list(toy.counts.values()) == [2] * WIDE
    assert diagnostics.scores(toy, steps[np.arange(40)]).tolist() == pytest.approx([1 / 3] * 40)
    assert sum(toy.counts.values()) == 2 * WIDE


# Size of the PNG


def test_size_correlation_of_known_bonuses(steps):
    assert diagnostics.size_correlation(Toy(png_size), steps) == pytest.approx(1)
    assert diagnostics.size_correlation(
        Toy(lambda frames, counts: 1 / png_size(frames)), steps
    ) == pytest.approx(-1)
    assert diagnostics.size_correlation(Toy(lambda frames, counts: 3), steps) == 0


def test_size_correlation_equals_scipy(steps):
    with_ties = bright(steps.next_observations).round(-1)
    assert len(np.unique(with_ties)) < WIDE
    expected = spearmanr(with_ties, png_size(steps.next_observations)).statistic
    found = diagnostics.size_correlation(
        Toy(lambda frames, counts: bright(frames).round(-1)), steps
    )
    assert found == pytest.approx(expected)
    assert 0.5 < expected < 1


# Rooms


@pytest.mark.parametrize(
    ("function", "area"),
    [
        (lambda frames, counts: agent_cells(frames)[:, 1] > CELLS // 2 - 1, 1),
        (lambda frames, counts: agent_cells(frames)[:, 1] <= CELLS // 2 - 1, 0),
        (lambda frames, counts: 1, 0.5),
    ],
    ids=["right", "left", "same"],
)
def test_room_auroc(function, area, states):
    assert diagnostics.room_auroc(Toy(function), states.held_out, states.new) == area


class Distinct(FakeEncoder):
    """Latents that differ for every frame."""

    def encode(self, observations):
        return np.array(
            [[zlib.crc32(frame.tobytes()) % 2**24] for frame in observations], np.float32
        )


COUNTER = {"size": 0, "rooms": 0.5, "known": 1, "decay": 1}
SMALLEST = {"size": 1, "decay": 9**0.5}


@pytest.mark.parametrize(
    ("function", "expected"),
    [
        (lambda frames, counts: 1 / np.sqrt(counts), COUNTER),
        (lambda frames, counts: 1 / png_size(frames), SMALLEST),
    ],
    ids=["a perfect counter", "small files"],
)
def test_metrics_of_known_bonuses(function, expected, monkeypatch):
    monkeypatch.setattr(diagnostics, "build", lambda name, encoder, seed: Toy(function))
    monkeypatch.setattr(diagnostics, "cost", lambda bonus, steps: 3)
    found = _metrics(
        "toy",
        Distinct(),
        [rooms(Distinct(), seed) for seed in range(2)],
        Extent(rounds=3, visits=9),
    )
    assert found["cost"] == 3
    assert {key: found[key] for key in expected} == pytest.approx(expected)


# Cost


def test_cost_is_of_one_environment_and_the_median(steps, monkeypatch):
    clock = [0.0]
    slow = iter([5.0, 5.0, *[0.0] * 1000])

    class Slow(Toy):
        def score(self, transitions):
            clock[0] += 64e-6 + next(slow)
            return super().score(transitions)

        def update(self, transitions):
            clock[0] += 32e-6

    monkeypatch.setattr(diagnostics.time, "process_time", lambda: clock[0])
    assert diagnostics.cost(Slow(lambda *_: 1), steps) == pytest.approx(96 / BATCH)


# Tables


def test_verdicts_at_the_limit():
    assert Goal("a", 0.2).cell(0.2) == "0.200 pass"
    assert Goal("a", 0.2).cell(0.2004) == "0.200 FAIL"
    assert Goal("a", 0.95, least=True).cell(0.95) == "0.950 pass"
    assert Goal("a", 0.95, least=True).cell(0.9) == "0.900 FAIL"
    assert Goal("a", 2.0).cell(np.inf) == "inf FAIL"
    assert str(GOALS["rooms"]).endswith("at least 0.95")
    assert str(LOST).endswith("at most 0.05")


@pytest.mark.slow
def test_every_bonus_is_tested_by_every_test(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(diagnostics, "COST_REPEATS", 1)
    monkeypatch.setattr(diagnostics, "COST_BATCHES", 1)
    study = compared(Extent(seeds=2, rounds=1, visits=3, frames=64, steps=2, noisy_tv=20 * BATCH))
    tests, aside = study.tables
    assert list(tests.columns) == list(aside.columns) == ["", *BONUSES]
    assert [row[0] for row in tests.rows[:-1]] == list(map(str, GOALS.values()))
    for goal, row in zip(GOALS.values(), tests.rows, strict=False):
        for cell in row[1:]:
            value, verdict = cell.split()
            assert verdict == ("pass" if (float(value) >= goal.limit) == goal.least else "FAIL")
    cost = dict(zip(tests.columns, tests.rows[-1], strict=True))
    assert all(float(cost[name]) > 0 for name in BONUSES)
    decay = dict(zip(tests.columns, tests.rows[0], strict=True))
    assert decay["counts"] == "1.000 pass"
    assert decay["elliptical"].startswith(f"{3**0.5:.3f}")
    fractions = {row[0]: np.array(row[1:], float) for row in aside.rows}
    effects = np.array([cell.split()[0] for cell in tests.rows[2][1:]], float)
    on, off = (fractions[diagnostics.ASIDE[key]] for key in ("on", "off"))
    mean_on, mean_off = (fractions[diagnostics.ASIDE[key]] for key in ("mean_on", "mean_off"))
    raised = [1 - off / on if on else 0 for on, off in zip(mean_on, mean_off, strict=True)]
    assert effects == pytest.approx(np.maximum(on - off, raised), abs=6e-3)
