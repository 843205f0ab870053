"""Bonus diagnostics: whether a bonus is high for new states, and for nothing else."""

from __future__ import annotations

import dataclasses
import statistics
import time
from collections.abc import Mapping, Sequence

import cv2
import numpy as np
from gymnasium import spaces

from agents.pretrain_choice import WARM_FRAMES
from envs.key_rooms import ACTIONS
from latentrl import auroc
from latentrl.models.autoencoder import Autoencoder
from latentrl.novelty import BONUSES, Bonus, make_bonus
from latentrl.types import Array, Transitions
from scripts.studies.core import Study, Table
from scripts.studies.novelty.diagnostics_data import (
    BATCH,
    NOISY_TV,
    QUIET,
    VISITED,
    Extent,
    Goal,
    Rooms,
    encoder,
    rooms,
)
from scripts.studies.novelty.noisy_tv import compare, tv_effect

COST_BATCHES, COST_REPEATS = 16, 10

Metrics = Mapping[str, float]
"""Metrics of one bonus, by name."""

GOALS = {
    "decay": Goal("decay: largest b(n) sqrt(n) / largest b(n)", 2.0),
    "size": Goal("|rank correlation| with the size of the PNG", 0.2),
    "noisy_tv": Goal("fraction of the bonus that a noisy TV earns", 0.05),
    "rooms": Goal("AUROC of new rooms", 0.95, least=True),
}
ASIDE = {
    "known": "AUROC of new rooms, against the very states that were visited",
    "on": "fraction earned by switching channels, TV on",
    "off": "fraction earned by switching channels, TV off",
    "mean_on": "bonus per step, TV on",
    "mean_off": "bonus per step, TV off",
}


def novelty() -> Study:
    """Bonuses of train_agent.py --novelty before scaling, on latents of KeyRooms.

    The bonus visits states left of the door, and is then scored on others there and on the rooms on
    the right, which the agent never visited. Each visit is the first step of an episode.
    """
    return compared(Extent())


def novelty_untuned() -> Study:
    """The same on the overlapping cells of an encoder that is chosen from 4,000 frames.

    Its cells do not coincide with the tiles of KeyRooms.
    """
    return compared(Extent(frames=WARM_FRAMES, untuned=True))


def compared(extent: Extent) -> Study:
    """Return the tables of all bonuses, without the test that trains agents."""
    quiet, noisy = (
        encoder(env_id, extent.frames, extent.steps, untuned=extent.untuned)
        for env_id in (QUIET, NOISY_TV)
    )
    effects = noisy_tv(noisy, quiet, extent.noisy_tv)
    places = [rooms(quiet, seed) for seed in range(extent.seeds)]
    metrics = {name: {**effects[name], **_metrics(name, quiet, places, extent)} for name in BONUSES}
    tests = [
        [str(goal), *(goal.cell(each[test]) for each in metrics.values())]
        for test, goal in GOALS.items()
    ]
    costs = (f"{each['cost']:.1f}" for each in metrics.values())
    tests.append([f"microseconds per step, {BATCH} together", *costs])
    aside = [
        [what, *(f"{each[test]:.3g}" for each in metrics.values())] for test, what in ASIDE.items()
    ]
    medians = f"medians over {extent.seeds} seeds of PNG and AUROC, one seed of the others"
    caption = f"After {extent.rounds} visits of each of {VISITED} states; {medians}"
    columns = ["", *BONUSES]
    return Study([], [Table(caption, columns, tests), Table("Beside them", columns, aside)])


def _metrics(
    name: str, encoder: Autoencoder, places: Sequence[Rooms], extent: Extent
) -> dict[str, float]:
    found: list[Metrics] = []
    first: dict[str, float] = {}
    for seed, states in enumerate(places):
        bonus = build(name, encoder, seed)
        revisit(bonus, states.visited, extent.rounds, seed)
        against = {"rooms": states.held_out, "known": states.visited}
        areas = {key: room_auroc(bonus, known, states.new) for key, known in against.items()}
        found.append({"size": abs(size_correlation(bonus, states.visited)), **areas})
        if seed == 0:
            first["decay"] = decay(bonus, states.new, extent.visits)
            first["cost"] = cost(bonus, states.visited)
    return {**first, **{key: statistics.median(each[key] for each in found) for key in found[0]}}


def build(name: str, encoder: Autoencoder, seed: int) -> Bonus:
    """Return the bonus called ``name`` for KeyRooms."""
    return make_bonus(name, encoder, spaces.Discrete(len(ACTIONS)), seed)


def first_steps(bonus: Bonus, transitions: Transitions) -> Transitions:
    """Start an episode for each of ``transitions``, and return them as its first steps."""
    env_ids = np.arange(len(transitions))
    bonus.reset(env_ids, transitions.observations, transitions.latents)
    return dataclasses.replace(transitions, env_ids=env_ids)


def visit(bonus: Bonus, transitions: Transitions) -> Array:
    """Return the bonuses of first steps, float32 ``(N,)``, and update the bonus with them."""
    return bonus.step(first_steps(bonus, transitions))


def _batches(rows: Array) -> Array:
    return np.resize(rows, (-(-len(rows) // BATCH), BATCH))


def revisit(bonus: Bonus, transitions: Transitions, rounds: int, seed: int) -> None:
    """Visit all transitions, a multiple of ``BATCH``, ``rounds`` times in random order."""
    rng = np.random.default_rng(seed)
    for _ in range(rounds):
        for rows in _batches(rng.permutation(len(transitions))):
            visit(bonus, transitions[rows])


def scores(bonus: Bonus, transitions: Transitions) -> Array:
    """Return the bonuses of first steps, ``(N,)``, without an update."""
    batches = (transitions[rows] for rows in _batches(np.arange(len(transitions))))
    found = [bonus.score(first_steps(bonus, batch)) for batch in batches]
    return np.concatenate(found)[: len(transitions)]


def decay(bonus: Bonus, transitions: Transitions, visits: int) -> float:
    """Return the largest ``b(n) sqrt(n)`` over the largest b(n), n up to ``visits``.

    b(n) is the mean bonus at the n-th visit of the first ``BATCH`` transitions, largest at the
    first unless bonuses grow or are withheld. The ratio is 1 for ``1 / sqrt(n)``, ``sqrt(visits)``
    for an episodic bonus, and infinity for no bonus at all. A bonus trained by gradient steps gets
    one batch per visit, the least that there can be.
    """
    first = transitions[np.arange(BATCH)]
    means = np.array([visit(bonus, first).mean() for _ in range(visits)], np.float64)
    if not means.any():
        return float("inf")
    return float((means * np.sqrt(1 + np.arange(visits))).max() / means.max())


def size_correlation(bonus: Bonus, transitions: Transitions) -> float:
    """Return Spearman's correlation of bonus and PNG size; 0 where either is constant."""
    frames = transitions.next_observations
    sizes = np.array([len(cv2.imencode(".png", frame)[1]) for frame in frames])
    ranks = np.array([_ranks(scores(bonus, transitions)), _ranks(sizes)])
    return float(np.corrcoef(ranks)[0, 1]) if ranks.std(1).all() else 0.0


def _ranks(values: Array) -> Array:
    """Return the rank of each value, equal values having the mean of theirs."""
    _, inverse, counts = np.unique(values, return_inverse=True, return_counts=True)
    ranks: Array = (np.cumsum(counts) - (counts - 1) / 2)[inverse]
    return ranks


def room_auroc(bonus: Bonus, known: Transitions, new: Transitions) -> float:
    """Return the probability that a step into new rooms has the larger bonus than a known one."""
    values = np.concatenate([scores(bonus, known), scores(bonus, new)])
    return auroc(values, np.arange(len(values)) >= len(known))


def cost(bonus: Bonus, transitions: Transitions) -> float:
    """Return the microseconds of ``step`` per environment, ``BATCH`` together; a median.

    They are of process time, so that other work on the machine does not count.
    """
    rows = _batches(np.arange(COST_BATCHES * BATCH) % len(transitions))
    times = []
    visit(bonus, transitions[rows[0]])
    for _ in range(COST_REPEATS):
        # New objects each time: they cache the keys of their latents.
        batches = [
            dataclasses.replace(transitions[batch], env_ids=np.arange(BATCH)) for batch in rows
        ]
        start = time.process_time()
        for batch in batches:
            bonus.step(batch)
        times.append(time.process_time() - start)
    return statistics.median(times) / (COST_BATCHES * BATCH) * 1e6


def noisy_tv(noisy: Autoencoder, quiet: Autoencoder, frames: int) -> dict[str, Metrics]:
    """Return for every bonus the effect of a noisy TV, under random actions in KeyRoomsNoisyTV-v0.

    Over the last tenth of the frames the same bonus scores the same actions with the TV on and with
    it off, each with an encoder of its own.
    """
    on, off = ([build(name, model, 0) for name in BONUSES] for model in (noisy, quiet))
    fractions, means = compare(on, off, noisy, quiet, frames, seed=0)
    rows = np.array([*fractions, *means, tv_effect(fractions, means)])
    keys = ("on", "off", "mean_on", "mean_off", "noisy_tv")
    columns = zip(BONUSES, rows.T.tolist(), strict=True)
    return {name: dict(zip(keys, column, strict=True)) for name, column in columns}
