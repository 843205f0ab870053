"""What bonuses are tested on: pretrained encoders, and transitions into the states of KeyRooms."""

from __future__ import annotations

import functools
import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from agents.pretrain import PretrainConfig, build_model, collect_frames, with_encoder
from agents.pretrain_config import completed, fit_config
from envs.key_rooms import COLUMNS, MOVES, ROWS, WALL_COLUMN, Cell, KeyRooms
from latentrl import fit
from latentrl.models.autoencoder import Autoencoder
from latentrl.types import Array, Encoder, Transitions

QUIET, NOISY_TV, DOOR_KEY = "KeyRooms-v0", "KeyRoomsNoisyTV-v0", "MiniGrid-DoorKey-5x5-v0"
BATCH, VISITED = 32, 160
"""Environments that step together, and states that a bonus visits, a multiple of them."""
NOISE = 0.1 * 255
"""Standard deviation of the noise in frames, in grey levels."""
CHUNK = 1_000
PROGRESS = ((False, False), (True, False), (True, True))
"""Whether the key is in hand and whether the door is open, in the order of an episode."""


@dataclass(frozen=True)
class Extent:
    """Sizes of the tests."""

    seeds: int = 5
    """Seeds of bonus and states, for the two cheap tests; the others use the first."""
    rounds: int = 20
    """Visits of each state."""
    visits: int = 1_000
    """Visits over which the bonus should decay."""
    frames: int = 20_000
    """Frames of pretraining."""
    steps: int | None = None
    """Gradient steps of pretraining; None is the environment's default."""
    untuned: bool = False
    """Whether the encoder is chosen from its frames, as for an environment without defaults."""
    noisy_tv: int = 50_000
    """Frames of KeyRooms with a noisy TV."""
    agents: int = 3
    """Agents trained with noise, and as many without."""
    timesteps: int = 100_000
    """Timesteps of each agent."""


@dataclass(frozen=True)
class Goal:
    """A metric, and the limit that a good bonus keeps."""

    what: str
    limit: float
    least: bool = False

    def __str__(self) -> str:
        """Return the head of the row."""
        return f"{self.what}: at {'least' if self.least else 'most'} {self.limit:g}"

    def cell(self, value: float) -> str:
        """Return the value and the verdict."""
        passed = value >= self.limit if self.least else value <= self.limit
        return f"{value:.3f} {'pass' if passed else 'FAIL'}"


def with_noise(frames: Array, std: float, rng: np.random.Generator) -> Array:
    """Return uint8 frames with Gaussian noise of ``std`` grey levels, clipped."""
    noise = std * rng.standard_normal(frames.shape, np.float32)
    noisy: Array = (frames + noise).round().clip(0, 255).astype(np.uint8)
    return noisy


@functools.cache
def encoder(
    env_id: str, frames: int, steps: int | None, noise: float = 0.0, untuned: bool = False
) -> Autoencoder:
    """Return an encoder pretrained with the environment's defaults, on the CPU.

    Its batches have 128 frames, as those of the published results, unless it is untuned.

    Args:
        env_id: environment of the frames, under random actions.
        frames: number of frames.
        steps: gradient steps; None is the default.
        noise: standard deviation of the noise that is added, in grey levels.
        untuned: whether it has the defaults of any environment instead.
    """
    flags = PretrainConfig(env_id, frames=frames, steps=steps, untuned=untuned, device="cpu")
    config = completed(flags, None)
    collected = collect_frames(config)
    config = with_encoder(config, collected) if untuned else config
    model = build_model(config, collected.observation_space, from_environment=True)
    rng = np.random.default_rng(config.seed)
    if noise:
        chunks = [with_noise(chunk, noise, rng) for chunk in collected.batches(CHUNK)]
        data = np.concatenate(chunks)
        fit(model, data, fit_config(config), progress=False)
    else:
        fit(model, collected.distinct(), fit_config(config), progress=False)
    return model


Step = tuple[Array, int, Array]
"""Frame before the step, action, frame after it."""


def stacked(steps: Sequence[Step], encoder: Encoder) -> Transitions:
    """Return transitions of ``steps``, one environment each, without an end of an episode."""
    before, actions, after = (np.stack(column) for column in zip(*steps, strict=True))
    never = np.zeros(len(steps), bool)
    latents, next_latents = encoder.encode(before), encoder.encode(after)
    ids = np.arange(len(steps))
    return Transitions(ids, before, latents, actions, after, next_latents, never, never)


class PlacedRooms(KeyRooms):
    """KeyRooms in which the agent can be placed in any cell."""

    def put(self, cell: Cell, has_key: bool, is_open: bool) -> Array:
        """Place the agent, and return the frame."""
        self._agent, self._has_key, self._open, self._steps = cell, has_key, is_open, 0
        return self._paint()

    def cells(self) -> list[Cell]:
        """Return the cells of all rooms but the goal, where episodes end."""
        cells = itertools.product(itertools.chain(*ROWS), itertools.chain(*COLUMNS))
        return [cell for cell in cells if cell != self._goal]


@dataclass(frozen=True)
class Rooms:
    """One transition into each state of the rooms on both sides of the door."""

    visited: Transitions
    """Left of the door: those that a bonus is updated with."""
    held_out: Transitions
    """Left of the door too: known rooms, in combinations of agent, key and door that are new."""
    new: Transitions
    """Right of the door, key in hand and door open; those into the goal come first."""


def rooms(encoder: Encoder, seed: int) -> Rooms:
    """Return transitions into the states of all layouts.

    The ``seed`` chooses the neighbour from which each state is reached, and the split.
    """
    rng = np.random.default_rng(seed)
    moves = list(_moves())
    chosen = {
        state: (place, step)
        for state, place, step in (moves[i] for i in rng.permutation(len(moves)))
    }
    left, goals, right = (
        [step for place, step in chosen.values() if place == wanted]
        for wanted in ("left", "goal", "right")
    )
    parts = (left[:VISITED], left[VISITED:], goals + right)
    return Rooms(*(stacked(steps, encoder) for steps in parts))


def _moves() -> Iterator[tuple[bytes, str, Step]]:
    """Yield state, place (left, right or goal) and step of all moves within rooms and into gaps."""
    for env in _layouts():
        for progress, cell, action in itertools.product(PROGRESS, env.cells(), range(len(MOVES))):
            before = env.put(cell, *progress)
            after, _, ended, _, info = env.step(action)
            row, column = info["factors"][:2].tolist()
            if (row, column) == cell or column == WALL_COLUMN:
                continue
            place = "left" if column < WALL_COLUMN else "goal" if ended else "right"
            if place == "left" or progress == PROGRESS[-1]:
                yield info["factors"].tobytes(), place, (before, action, after)


def _layouts() -> Iterator[PlacedRooms]:
    env, known = PlacedRooms(), set[bytes]()
    for seed in itertools.count():
        layout = env.reset(seed=seed)[1]["factors"][4:].tobytes()
        if layout not in known:
            yield env
        known.add(layout)
        if len(known) == env.layouts:
            return
