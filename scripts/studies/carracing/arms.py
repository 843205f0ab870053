"""The recipe for CarRacing, and its controls."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any

from scripts.studies import core

ENV = "CarRacing-v2"
RESULTS = core.DOCS / "results" / "carracing"
FOLDER = core.FOLDER.absolute() / "carracing"
"""Absolute, because a run works in a folder of its own."""
RECIPE, SHORT = "recipe", "short recipe"
MINUTES = 20.0
"""Time of a core for each control, pretraining included and evaluation not."""
TIMESTEPS = 1_000_000
"""Timesteps of the recipe."""
TRAINING: Mapping[str, Any] = MappingProxyType({"shaping": True})
"""Flags of the training of the recipe and, unless they have their own, of its controls."""


@dataclass(frozen=True)
class Arm:
    """How an agent is pretrained and trained, where it differs from the recipe."""

    what: str
    """What it shows, as the page says it."""
    pretraining: Mapping[str, Any] | None = field(default_factory=dict)
    """Flags of the pretraining; None learns from pixels."""
    training: Mapping[str, Any] = field(default_factory=dict)
    """Flags of the training that replace ``TRAINING`` or stand beside them."""
    random: bool = False
    """Whether the encoder has fresh weights in place of pretrained ones."""
    timesteps: int | None = None
    """Timesteps of the training; None ends it by the clock."""


VECTOR = {"latent_dim": 32, "frames": 8_000, "steps": 2_000}
"""Pretraining of one vector for the whole image."""
GRID = {
    "latent_dim": 256,
    "option": ("backbone={name: spatial}", "topk_weight=4", "change_weight=12"),
    "frames": 4_000,
    "steps": 1_500,
    "learning_rate": 2e-3,
}
"""Pretraining of the recipe's network from fresh weights. ``--beta`` would replace the choice by a
vector, so the chosen arguments are spelled out."""
INVARIANT = {"invariant_to": "hue_shift"}
"""Pretraining of latents that do not depend on the hue."""
CROPPED = {"crop": (0, 12, 0, 0)}
"""Pretraining on frames without the indicator bar, which shows the speed."""
HUES = {
    "env": "scripts.studies.carracing.colours:random_hues",
    "frame_skip": 4,
    **CROPPED,
}
"""Pretraining on cropped frames whose hue is another one in each episode; an environment of another
name does not have CarRacing's defaults by itself."""
ARMS = {
    RECIPE: Arm("`pretrain_vae.py`, then `train_agent.py --shaping`", timesteps=TIMESTEPS),
    SHORT: Arm("the recipe with the clock of the controls"),
    "pixels": Arm("SB3's `CnnPolicy`", None),
    "random encoder": Arm("the recipe's network, never trained", {"steps": 1}, random=True),
    "hue invariance": Arm("the recipe with `--invariant-to hue_shift`", INVARIANT),
    "cropped": Arm("the recipe without the indicator bar", CROPPED),
    "random hues": Arm("the cropped recipe, its encoder pretrained on random hues", HUES),
    "fresh weights": Arm("the recipe's network, trained from fresh weights", {**GRID, "beta": 0.1}),
    "beta 1": Arm("the same with beta 1", {**GRID, "beta": 1.0}),
    "beta 4": Arm("the same with beta 4", {**GRID, "beta": 4.0}),
    "beta 8": Arm("the same with beta 8", {**GRID, "beta": 8.0}),
    "vector": Arm("a beta-VAE with one vector of 32 values", VECTOR),
    "ae": Arm("a plain autoencoder of 32 values", {"model": "ae", **VECTOR}),
    "pca": Arm("32 principal components", {"model": "pca", "latent_dim": 32, "frames": 8_000}),
    "no shaping": Arm("without `--shaping`", training={"shaping": False}),
    "stack 1": Arm("one latent in an observation", training={"stack": 1}),
    "dqn": Arm("DQN on latents, discrete actions", training={"algo": "dqn"}),
    "dqn pixels": Arm("DQN on pixels, discrete actions", None, {"algo": "dqn"}),
}
SEEDS = 3


@dataclass(frozen=True)
class Run:
    """One agent."""

    arm: str
    """Name in ``ARMS``."""
    seed: int
    """Seed of encoder, environments and agent."""

    @property
    def name(self) -> str:
        """Arm and seed as the name of a file."""
        return f"{self.arm.replace(' ', '_')}-{self.seed}"

    @property
    def result(self) -> Path:
        """The JSON file of the result; the learning curve is beside it, as CSV."""
        return RESULTS / f"{self.name}.json"

    @property
    def folder(self) -> Path:
        """Folder of the encoder, the agent and the log."""
        return FOLDER / self.name


def runs(arms: Sequence[str] = (), seeds: int = SEEDS) -> Iterator[Run]:
    """Yield the runs of these arms, all by default, the first seeds of all arms first.

    Raises:
        ValueError: an arm is unknown, or there are no seeds.
    """
    for arm in arms:
        if arm not in ARMS:
            raise ValueError(f"unknown arm {arm!r}; known: {', '.join(ARMS)}")
    if seeds < 1:
        raise ValueError(f"seeds must be at least 1, got {seeds}")
    for seed in range(seeds):
        yield from (Run(arm, seed) for arm in arms or ARMS)
