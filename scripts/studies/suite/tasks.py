"""Environments, arms and runs of the suite."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from scripts.studies import core

RESULTS = core.DOCS / "results" / "suite"
FOLDER = core.FOLDER.absolute()
"""Absolute, because a run works in a folder of its own."""
ENVS = (
    *("ALE/Pong-v5", "ALE/Breakout-v5", "ALE/Freeway-v5", "CoinrunEasy-v0", "StarpilotEasy-v0"),
    *("VizdoomBasic-v1", "VizdoomHealthGathering-v1", "MiniWorld-OneRoom-v0", "highway-fast-v0"),
    *("CrafterReward-v1", "CarRacing-v3", "MiniGridShifted-DoorKey-8x8-v0"),
)
LATENTS, PIXELS, RANDOM_ENCODER, RANDOM_ACTIONS, GENERAL, CONTRAST = (
    *("latents", "pixels", "random_encoder", "random_actions", "general", "contrast"),
)
OPTIONS: dict[str, tuple[str, ...]] = {LATENTS: (), CONTRAST: ("contrast_weight=30",)}
"""Options of the pretraining, by the arms that have one of their own."""
ABLATIONS: dict[str, dict[str, Any]] = {
    GENERAL: {},
    "no_stack": {"stack": 1},
    "refined": {"refine_at": (50_000,)},
    CONTRAST: {},
}
"""Flags of the training that differ from those of latents, by arm. The encoder is the same, but for
``GENERAL``, which has the general-purpose weights from which that of latents starts, and for
``CONTRAST``, which has ``OPTIONS`` of its own."""
SEEDS = {
    RANDOM_ACTIONS: 1,
    LATENTS: 3,
    PIXELS: 3,
    RANDOM_ENCODER: 2,
    **dict.fromkeys(ABLATIONS, 1),
    GENERAL: 2,
    CONTRAST: 2,
}
"""Runs of each arm, with the seeds from 0, in the order in which they are performed."""
ARMS = tuple(SEEDS)
WITH_BONUS = f"{LATENTS}+"
"""Start of the arms that have another novelty bonus than the default of latents."""
NO_BONUS = "none"
"""Name of a bonus that is none."""


def needs_latents(arm: str) -> bool:
    """Return whether an arm takes the encoder of latents with the same seed, or its network."""
    others = (RANDOM_ENCODER, *ABLATIONS)
    return arm.startswith(WITH_BONUS) or (arm in others and arm not in OPTIONS)


def flags_of(arm: str) -> dict[str, Any]:
    """Return the flags of the training that differ from those of latents."""
    if not arm.startswith(WITH_BONUS):
        return ABLATIONS.get(arm, {})
    bonus = arm.removeprefix(WITH_BONUS)
    return {"novelty": None if bonus == NO_BONUS else bonus}


@dataclass(frozen=True)
class Run:
    """One agent of the suite."""

    env: str
    """Id in ``ENVS``."""
    arm: str
    """Name in ``ARMS``."""
    seed: int
    """Seed of encoder, environments and agent."""

    @property
    def name(self) -> str:
        """Environment, arm and seed as a relative path."""
        return f"{self.env.replace('/', '_')}/{self.arm}-{self.seed}"

    @property
    def result(self) -> Path:
        """The JSON file of the result; the learning curve is beside it, as CSV."""
        return RESULTS / f"{self.name}.json"

    @property
    def folder(self) -> Path:
        """Folder of the encoder, the agent and the log."""
        return FOLDER / "suite" / self.name


def runs(
    envs: Sequence[str] = (), arms: Sequence[str] = (), seeds: int | None = None
) -> Iterator[Run]:
    """Yield the runs of these environments, arms and first seeds; by default all of them.

    The first seeds of all environments come first. The arms of one environment and seed follow each
    other, so that they meet the machine in about the same state.

    Raises:
        ValueError: an environment or an arm is unknown, or there are no seeds.
    """
    check_known("environment", envs, ENVS)
    check_known("arm", arms, ARMS)
    if seeds is not None and seeds < 1:
        raise ValueError(f"seeds must be at least 1, got {seeds}")
    for seed in range(max(SEEDS.values())):
        for env in envs or ENVS:
            for arm, count in SEEDS.items():
                if arm in (arms or ARMS) and seed < min(count, seeds or count):
                    yield Run(env, arm, seed)


def check_known(kind: str, given: Sequence[str], known: Sequence[str]) -> None:
    """Raise ``ValueError`` for the first name that is unknown."""
    for name in given:
        if name not in known:
            raise ValueError(f"unknown {kind} {name!r}; known: {', '.join(known)}")
