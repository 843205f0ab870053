"""Five tests of a bonus: whether it pays for what is new, and for nothing else."""

from __future__ import annotations

import functools
import shutil
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from gymnasium import spaces

from agents.bonuses import RECIPES
from envs.key_rooms import ACTIONS
from latentrl import auroc
from latentrl.models.autoencoder import Autoencoder
from latentrl.novelty import Bonus
from latentrl.types import Array
from latentrl.utils.io import read_json, write_json
from scripts.studies.core import FOLDER, STUDIES, Study, Table
from scripts.studies.novelty.diagnostics_data import (
    BATCH,
    DOOR_KEY,
    NOISE,
    NOISY_TV,
    QUIET,
    TAUGHT,
    Rooms,
    Steps,
    encoder,
    rooms,
    trained_score,
    watch,
)

NOVELTY_STUDIES = ("novelty", "novelty_noise")
"""Studies of the bonuses; all others are of the autoencoders."""
COST_BATCHES, COST_REPEATS = 16, 10

Figures = Mapping[str, float]
"""Figures of one bonus, by name."""


@dataclass(frozen=True)
class Extent:
    """How much of everything."""

    seeds: int = 5
    """Of bonus and states, for the two tests that are cheap; the others take the first."""
    rounds: int = 20
    """Visits of every state that a bonus is taught."""
    visits: int = 1_000
    """Visits over which it is to decay."""
    frames: int = 20_000
    """For pretraining."""
    steps: int | None = None
    """Of pretraining; None is the environment's default."""
    television: int = 50_000
    """Frames before the television."""
    agents: int = 3
    """Seeds of agents that see noise, and of those that do not."""
    timesteps: int = 100_000
    """Decisions of each of them."""


@dataclass(frozen=True)
class Goal:
    """What a figure is, and what it is to be."""

    what: str
    limit: float
    least: bool = False

    def __str__(self) -> str:
        """Return the head of the row."""
        return f"{self.what}: at {'least' if self.least else 'most'} {self.limit:g}"

    def cell(self, figure: float) -> str:
        """Return the figure and the verdict."""
        passed = figure >= self.limit if self.least else figure <= self.limit
        return f"{figure:.3f} {'pass' if passed else 'FAIL'}"


GOALS = {
    "decay": Goal("decay: largest b(n) sqrt(n) / largest b(n)", 2.0),
    "size": Goal("|rank correlation| with the size of the PNG", 0.2),
    "television": Goal("share that a noisy television takes", 0.05),
    "rooms": Goal("AUROC of rooms never seen", 0.95, least=True),
}
LOST = Goal("return lost", 0.05)
ASIDE = {
    "known": "AUROC of rooms never seen, against the very states that were taught",
    "on": "share paid for switching channels, television on",
    "off": "share paid for switching channels, television off",
    "paid_on": "bonus a step, television on",
    "paid_off": "bonus a step, television off",
}


@STUDIES.register("novelty")
def novelty() -> Study:
    """Every bonus of train_agent.py --novelty before scaling, on codes of KeyRooms' default
    encoder.

    It is taught states at the left of the door, then asked about others there and about the rooms
    at the right, where the agent never was. Each visit is the first step of an episode of its own.
    """
    return compared(Extent())


def compared(extent: Extent) -> Study:
    """Return the tables of all bonuses, but for the test that trains agents."""
    quiet, noisy = (encoder(env_id, extent.frames, extent.steps) for env_id in (QUIET, NOISY_TV))
    shares = television(noisy, quiet, extent.television)
    places = [rooms(quiet, seed) for seed in range(extent.seeds)]
    figures = {name: {**shares[name], **_figures(name, quiet, places, extent)} for name in RECIPES}
    tests = [
        [str(goal), *(goal.cell(each[test]) for each in figures.values())]
        for test, goal in GOALS.items()
    ]
    cost = [
        f"microseconds a step, {BATCH} together",
        *(f"{each['cost']:.1f}" for each in figures.values()),
    ]
    aside = [
        [what, *(f"{each[test]:.3g}" for each in figures.values())] for test, what in ASIDE.items()
    ]
    several = f"medians over {extent.seeds} seeds of PNG and AUROC, one seed of the others"
    caption = f"After {extent.rounds} visits of each of {TAUGHT} states; {several}"
    return Study(
        [],
        [
            Table(caption, ["", *RECIPES], [*tests, cost]),
            Table("Beside them", ["", *RECIPES], aside),
        ],
    )


def _figures(name: str, encoder: Autoencoder, places: Sequence[Rooms], extent: Extent) -> Figures:
    found: list[Figures] = []
    for seed, states in enumerate(places):
        bonus = build(name, encoder, seed)
        teach(bonus, states.taught, extent.rounds, seed)
        against = {"rooms": states.held_out, "known": states.taught}
        areas = {key: room_auroc(bonus, seen, states.unseen) for key, seen in against.items()}
        found.append({"size": abs(size_correlation(bonus, states.taught)), **areas})
        if seed == 0:
            first = {
                "decay": decay(bonus, states.unseen, extent.visits),
                "cost": cost(bonus, states.taught),
            }
    return {**first, **{key: statistics.median(each[key] for each in found) for key in found[0]}}


def build(name: str, encoder: Autoencoder, seed: int) -> Bonus:
    """Return the bonus of a recipe for KeyRooms."""
    actions = spaces.Discrete(len(ACTIONS))
    return RECIPES.build({"name": name}, encoder=encoder, seed=seed, action_space=actions)


def visit(bonus: Bonus, steps: Steps, learn: bool = True) -> Array:
    """Return what steps pay that are each the first of an episode of its own, float32 ``(N,)``."""
    bonus.begin(steps.left, steps.left_codes, np.ones(len(steps), bool))
    bonus.act(steps.actions)
    paid = bonus.score(steps.reached, steps.reached_codes)
    if learn:
        bonus.update(steps.reached, steps.reached_codes)
    return paid


def _batches(rows: Array) -> Array:
    return np.resize(rows, (-(-len(rows) // BATCH), BATCH))


def teach(bonus: Bonus, steps: Steps, rounds: int, seed: int) -> None:
    """Visit each of the steps, a multiple of ``BATCH``, ``rounds`` times in random order."""
    rng = np.random.default_rng(seed)
    for _ in range(rounds):
        for rows in _batches(rng.permutation(len(steps))):
            visit(bonus, steps[rows])


def scores(bonus: Bonus, steps: Steps) -> Array:
    """Return what the steps would pay, ``(N,)``, without teaching them."""
    paid = [visit(bonus, steps[rows], learn=False) for rows in _batches(np.arange(len(steps)))]
    return np.concatenate(paid)[: len(steps)]


def decay(bonus: Bonus, steps: Steps, visits: int) -> float:
    """Return the largest ``b(n) sqrt(n)`` over the largest b(n), for n up to ``visits``; infinity
    for no bonus at all.

    b(n) is the mean bonus at the n-th visit of the first ``BATCH`` steps, largest at the first
    unless bonuses grow or are withheld. The ratio is 1 for ``1 / sqrt(n)``, ``sqrt(visits)`` for
    what forgets with the episode. What learns by gradient steps gets one batch a visit, the least
    that there can be.
    """
    first = steps[np.arange(BATCH)]
    means = np.array([visit(bonus, first).mean() for _ in range(visits)], np.float64)
    return (
        float((means * np.sqrt(1 + np.arange(visits))).max() / means.max())
        if means.any()
        else float("inf")
    )


def size_correlation(bonus: Bonus, steps: Steps) -> float:
    """Return Spearman's correlation of the bonus and the bytes of the frame as PNG; 0 where either
    is constant.
    """
    sizes = np.array([len(cv2.imencode(".png", frame)[1]) for frame in steps.reached])
    ranks = np.array([_ranks(scores(bonus, steps)), _ranks(sizes)])
    return float(np.corrcoef(ranks)[0, 1]) if ranks.std(1).all() else 0.0


def _ranks(values: Array) -> Array:
    _, inverse, counts = np.unique(values, return_inverse=True, return_counts=True)
    ranks: Array = (np.cumsum(counts) - (counts - 1) / 2)[inverse]
    return ranks


def room_auroc(bonus: Bonus, seen: Steps, unseen: Steps) -> float:
    """Return how probably a step into rooms never seen pays more than one into rooms seen."""
    paid = np.concatenate([scores(bonus, seen), scores(bonus, unseen)])
    return auroc(paid, np.arange(len(paid)) >= len(seen))


def cost(bonus: Bonus, steps: Steps) -> float:
    """Return the microseconds of ``score`` and ``update`` for one of ``BATCH`` environments, the
    median of repeats.

    They are the processor's, so that other work on the machine does not count.
    """
    batches, times = (
        [steps[rows] for rows in _batches(np.arange(COST_BATCHES * BATCH) % len(steps))],
        [],
    )
    visit(bonus, batches[0])
    for _ in range(COST_REPEATS):
        start = time.process_time()
        for batch in batches:
            bonus.score(batch.reached, batch.reached_codes)
            bonus.update(batch.reached, batch.reached_codes)
        times.append(time.process_time() - start)
    return statistics.median(times) / (COST_BATCHES * BATCH) * 1e6


def television(noisy: Autoencoder, quiet: Autoencoder, frames: int) -> dict[str, Figures]:
    """Return for every recipe what share of the bonus a television takes from random actions in
    KeyRoomsNoisyTV-v0.

    In the last tenth of the frames the same recipe pays for the same actions with the television on
    and with it off, each with an encoder of its own. What the television takes is by how much it
    raises the share paid for the action ``switch``, or, as the picture stays on the wall, all that
    is paid: whichever is more.
    """
    on, off = ([build(name, model, 0) for name in RECIPES] for model in (noisy, quiet))
    shares, means = watch(on, off, noisy, quiet, frames, seed=0)
    rows = np.array([*shares, *means, taken(shares, means)])
    keys = ("on", "off", "paid_on", "paid_off", "television")
    return {
        name: dict(zip(keys, row, strict=True))
        for name, row in zip(RECIPES, rows.T.tolist(), strict=True)
    }


def taken(shares: Array, means: Array) -> Array:
    """Return what the television takes ``(bonuses,)``, of shares and means ``(2, bonuses)`` with it
    on and off.
    """
    raised = np.divide(
        means[0] - means[1], means[0], out=np.zeros_like(means[0]), where=means[0] > 0
    )
    more: Array = np.maximum(shares[0] - shares[1], raised)
    return more


@STUDIES.register("novelty_noise")
def novelty_noise() -> Study:
    """PPO with every bonus on MiniGrid-DoorKey-5x5-v0, with noise in all frames and without; a
    tenth of the range.
    """
    return endured(Extent(), list(RECIPES))


def endured(extent: Extent, recipes: Sequence[str]) -> Study:
    """Return the table of what agents with these bonuses lose to noise; an interrupted call goes on
    when repeated.
    """
    encoders = {
        noise: encoder(DOOR_KEY, extent.frames, extent.steps, noise) for noise in (0.0, NOISE)
    }
    trainings = {
        (name, noise, seed): functools.partial(
            trained_score, name, model, noise, extent.timesteps, seed
        )
        for name in recipes
        for noise, model in encoders.items()
        for seed in range(extent.agents)
    }
    begun = FOLDER / "novelty_noise" / f"begun-{extent.timesteps}"
    kept = {key: _kept(begun / "-".join(map(str, key)), train) for key, train in trainings.items()}
    shutil.rmtree(begun)
    reached = {
        noise: [[kept[name, noise, i] for i in range(extent.agents)] for name in recipes]
        for noise in encoders
    }
    means = ([statistics.mean(returns) for returns in reached[noise]] for noise in encoders)
    lost = [without - noisy for without, noisy in zip(*means, strict=True)]
    rows = [
        ["return without noise", *map(_spread, reached[0.0])],
        ["return with noise", *map(_spread, reached[NOISE])],
        [str(LOST), *map(LOST.cell, lost)],
    ]
    caption = f"Mean of the last 100 training episodes of {extent.timesteps:,} decisions, over {extent.agents} agents"
    return Study([], [Table(f"{caption} (least to most)", ["", *recipes], rows)])


def _kept(file: Path, train: Callable[[], float]) -> float:
    if not file.exists():
        write_json(file, {"return": train()})
    return float(read_json(file)["return"])


def _spread(returns: Sequence[float]) -> str:
    return f"{statistics.mean(returns):.3f} ({min(returns):.3f} to {max(returns):.3f})"
