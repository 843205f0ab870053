"""What bonuses are tested on: steps in known rooms, a television beside its own absence, agents
that see noise.
"""

from __future__ import annotations

import functools
import itertools
import statistics
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from stable_baselines3.common.vec_env import VecEnv, VecEnvWrapper

from agents.bonuses import make_novelty
from agents.checkpoint import build
from agents.pretrain import PretrainConfig, build_model, collect_frames
from agents.pretrain_config import completed, fit_config
from agents.train import TrainConfig, describe_agent
from agents.venv import build_monitored, build_venv
from envs import Environment, make_vector
from envs.key_rooms import ACTIONS, COLUMNS, MOVES, OFF, ROWS, SCREEN, WALL_COLUMN, Cell, KeyRooms
from latentrl import fit, wrap
from latentrl.models.autoencoder import Autoencoder
from latentrl.novelty import Bonus
from latentrl.types import Array, Encoder

QUIET, NOISY_TV, DOOR_KEY = "KeyRooms-v0", "KeyRoomsNoisyTV-v0", "MiniGrid-DoorKey-5x5-v0"
BATCH, TAUGHT = 32, 160
"""Environments that step together, and states that a bonus is taught, a multiple of them."""
NOISE = 0.1 * 255
"""Standard deviation of the noise in the frames, in grey levels."""
CHUNK = 1_000
PROGRESS = ((False, False), (True, False), (True, True))
"""Whether the key is in hand and whether the door is open, in the order in which they come
about."""
SWITCH = ACTIONS.index("switch")


@functools.cache
def encoder(env_id: str, frames: int, steps: int | None, noise: float = 0.0) -> Autoencoder:
    """Return an encoder pretrained as the environment's defaults say, on the CPU.

    Args:
        env_id: whose frames, under random actions.
        frames: how many.
        steps: of the gradient; None takes the default.
        noise: standard deviation of the noise that is added to them, in grey levels.
    """
    config = completed(PretrainConfig(env_id, frames=frames, steps=steps, device="cpu"), None)
    collected = collect_frames(config)
    model = build_model(config, collected.space, from_environment=True)
    rng = np.random.default_rng(config.seed)
    chunks = (collected[start : start + CHUNK] for start in range(0, len(collected), CHUNK))
    data = (
        np.concatenate([with_noise(chunk, noise, rng) for chunk in chunks])
        if noise
        else collected.distinct()
    )
    fit(model, data, fit_config(config), progress=False)
    return model


Step = tuple[Array, int, Array]
"""Frame that was left, action, frame that was reached."""


@dataclass(frozen=True)
class Steps:
    """Steps of an environment, one a row."""

    left: Array
    """Frames that were left, uint8 ``(N, 64, 64, 3)``."""
    left_codes: Array
    """Their codes, float32 ``(N, latent_dim)``."""
    actions: Array
    """What was done there, int ``(N,)``."""
    reached: Array
    """Frames that were reached, as ``left``."""
    reached_codes: Array
    """Their codes."""

    def __len__(self) -> int:
        """Return how many there are."""
        return len(self.actions)

    def __getitem__(self, rows: Array) -> Steps:
        """Return the steps with these numbers."""
        return Steps(*(array[rows] for array in vars(self).values()))

    @classmethod
    def of(cls, steps: Sequence[Step], encoder: Encoder) -> Steps:
        """Stack and encode."""
        left, actions, reached = (np.stack(column) for column in zip(*steps, strict=True))
        return cls(left, encoder.encode(left), actions, reached, encoder.encode(reached))


class PlacedRooms(KeyRooms):
    """KeyRooms in which the agent can be put anywhere."""

    def put(self, cell: Cell, has_key: bool, is_open: bool) -> Array:
        """Put the agent somewhere and return the picture."""
        self._agent, self._has_key, self._open, self._steps = cell, has_key, is_open, 0
        return self._paint()

    def cells(self) -> list[Cell]:
        """Return the cells of all rooms but the goal, where episodes end."""
        every = itertools.product(itertools.chain(*ROWS), itertools.chain(*COLUMNS))
        return [cell for cell in every if cell != self._goal]


@dataclass(frozen=True)
class Rooms:
    """Steps into every state of the rooms at the left and at the right of the door, one for each
    state.
    """

    taught: Steps
    """At the left: what a bonus is to know."""
    held_out: Steps
    """Also at the left: known rooms, with agent, key and door as they never were in this layout."""
    unseen: Steps
    """At the right, key in hand and door open; those at the goal come first."""


def rooms(encoder: Encoder, seed: int) -> Rooms:
    """Return the steps into the states of all layouts; chance chooses from where each is reached,
    and the split.
    """
    rng = np.random.default_rng(seed)
    every = list(_moves())
    chosen = {
        state: (place, step)
        for state, place, step in (every[i] for i in rng.permutation(len(every)))
    }
    places = (
        [step for place, step in chosen.values() if place == wanted]
        for wanted in ("left", "goal", "right")
    )
    left, goals, right = places
    return Rooms(
        *(Steps.of(steps, encoder) for steps in (left[:TAUGHT], left[TAUGHT:], goals + right))
    )


def _moves() -> Iterator[tuple[bytes, str, Step]]:
    """Yield the state reached, whether it is left, right or goal, and the step: moves within rooms
    and into gaps.
    """
    for env in _layouts():
        for progress, cell, action in itertools.product(PROGRESS, env.cells(), range(len(MOVES))):
            left = env.put(cell, *progress)
            reached, _, ended, _, info = env.step(action)
            row, column = info["factors"][:2].tolist()
            place = "left" if column < WALL_COLUMN else "goal" if ended else "right"
            if (
                (row, column) != cell
                and column != WALL_COLUMN
                and (place == "left" or progress == PROGRESS[-1])
            ):
                yield info["factors"].tobytes(), place, (left, action, reached)


def _layouts() -> Iterator[PlacedRooms]:
    env, known = PlacedRooms(), set[bytes]()
    for seed in itertools.count():
        layout = env.reset(seed=seed)[1]["factors"][4:].tobytes()
        if layout not in known:
            yield env
        known.add(layout)
        if len(known) == env.layouts:
            return


class Spectators(Bonus):
    """Shows every step to bonuses with the television on, and to others as if it were off; pays
    nothing itself.
    """

    def __init__(self, on: Sequence[Bonus], off: Sequence[Bonus], quiet: Encoder) -> None:
        """Take both kinds, in the same order, and the encoder of frames without television."""
        self.audiences, self.quiet = (on, off), quiet
        self.paid: list[Array] = []
        """For each step what each of them would pay, ``(2, bonuses, B)``."""
        self._shown: tuple[tuple[Array, Array], ...] = ()

    def _show(self, observations: Array, latents: Array) -> tuple[tuple[Array, Array], ...]:
        dark = observations.copy()
        dark[:, SCREEN[0], SCREEN[1]] = OFF
        return (observations, latents), (dark, self.quiet.encode(dark))

    def score(self, observations: Array, latents: Array) -> Array:
        """Keep what all would pay."""
        self._shown = self._show(observations, latents)
        pairs = zip(self.audiences, self._shown, strict=True)
        self.paid.append(
            np.array([[bonus.score(*shown) for bonus in audience] for audience, shown in pairs])
        )
        return np.zeros(len(latents), np.float32)

    def update(self, observations: Array, latents: Array) -> None:
        """Let all learn."""
        for audience, shown in zip(self.audiences, self._shown, strict=True):
            for bonus in audience:
                bonus.update(*shown)

    def act(self, actions: Array) -> None:
        """Tell all."""
        for bonus in itertools.chain(*self.audiences):
            bonus.act(actions)

    def begin(self, observations: Array, latents: Array, rows: Array) -> None:
        """Tell all."""
        for audience, shown in zip(self.audiences, self._show(observations, latents), strict=True):
            for bonus in audience:
                bonus.begin(*shown, rows)


def watch(
    on: Sequence[Bonus],
    off: Sequence[Bonus],
    noisy: Encoder,
    quiet: Encoder,
    frames: int,
    seed: int,
) -> tuple[Array, Array]:
    """Let random actions play before a noisy television.

    Args:
        on: bonuses that see it.
        off: the same bonuses once more, who see it off; nothing else differs.
        noisy: encoder for those that see it.
        quiet: encoder for the others.
        frames: to play, in all environments together.
        seed: of environments and actions.

    Returns: Of the last tenth of the frames, ``(2, bonuses)`` each: shares of the bonuses that were
        paid for the action ``switch``, 0 where nothing was paid; and bonuses a step.
    """
    spectators, rng = Spectators(on, off, quiet), np.random.default_rng(seed)
    envs = wrap(make_vector(Environment(NOISY_TV), BATCH), noisy, novelty=spectators)
    envs.reset(seed=seed)
    actions = rng.integers(len(ACTIONS), size=(frames // BATCH, BATCH))
    for chosen in actions:
        envs.step(chosen)
    envs.close()
    last = -len(actions) // 10
    paid = np.array(spectators.paid[last:])
    whole, switched = (
        np.einsum("tkbe->kb", part)
        for part in (paid, paid * (actions[last:, None, None] == SWITCH))
    )
    shares: Array = np.divide(switched, whole, out=np.zeros_like(whole), where=whole > 0)
    return shares, paid.mean((0, 3))


def with_noise(frames: Array, std: float, rng: np.random.Generator) -> Array:
    """Return uint8 frames with Gaussian noise of ``std`` grey levels, clipped."""
    noise = std * rng.standard_normal(frames.shape, np.float32)
    noisy: Array = (frames + noise).round().clip(0, 255).astype(np.uint8)
    return noisy


class NoisyFrames(VecEnvWrapper):
    """Adds noise to every frame, the last ones of episodes included."""

    def __init__(self, venv: VecEnv, std: float, seed: int) -> None:
        """Add noise of ``std`` grey levels to what ``venv`` shows."""
        super().__init__(venv)
        self.std, self.rng = std, np.random.default_rng(seed)

    def reset(self) -> Array:
        """Reset, with noise on the first frames."""
        return with_noise(np.asarray(self.venv.reset()), self.std, self.rng)

    def step_wait(self) -> tuple[Array, Array, Array, list[dict[str, object]]]:
        """Finish the step."""
        frames, rewards, dones, infos = self.venv.step_wait()
        for info in infos:
            if "terminal_observation" in info:
                info["terminal_observation"] = with_noise(
                    info["terminal_observation"], self.std, self.rng
                )
        return with_noise(np.asarray(frames), self.std, self.rng), rewards, dones, infos


def trained_score(
    recipe: str, encoder: Autoencoder, noise: float, timesteps: int, seed: int
) -> float:
    """Train PPO on DoorKey with a bonus, and return the mean task return of the last 100 training
    episodes.

    The ``encoder`` was pretrained with the same ``noise``, in grey levels; ``timesteps`` are
    decisions in all.
    """
    agent = describe_agent(TrainConfig(DOOR_KEY, timesteps=timesteps), encoder)
    venv: VecEnv = build_monitored(agent.environment, n_envs=agent.settings["n_envs"], seed=seed)
    venv = NoisyFrames(venv, noise, seed) if noise else venv
    novelty = make_novelty(recipe, None, encoder, venv.action_space, agent.settings["gamma"], seed)
    seen = build_venv(agent, encoder, venv, novelty=novelty)
    try:
        episodes = build(agent, seen, seed, "cpu").learn(timesteps).ep_info_buffer
    finally:
        seen.close()
    return statistics.mean(float(episode["r"]) for episode in episodes or ())
