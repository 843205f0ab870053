"""Recipes of novelty bonuses by name, and their state beside an agent's."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from gymnasium import spaces

from agents.venv import token_width
from latentrl.models.autoencoder import Autoencoder
from latentrl.novelty import (
    ICM,
    RND,
    Bonus,
    Elliptical,
    FirstVisits,
    HashCounts,
    NormalizedBonus,
    Product,
    ReconstructionNovelty,
    Sum,
    TokenCounts,
)
from latentrl.utils.io import read_tensors, write_tensors
from latentrl.utils.registry import Registry

RECIPES: Registry[Bonus] = Registry("novelty")
STATE = "novelty.safetensors"
DEFAULT_WEIGHT = 0.005
COUNTS_BESIDE_PARTS = 0.01
"""Weight of new views where parts have 1: views are new at most steps, parts at few."""
DEFAULT_NOVELTY = "reconstruction"
"""What ``--novelty`` without a name means: what is paid falls as the autoencoder learns, and
nothing counts visits."""


@RECIPES.register("parts")
def parts(encoder: Autoencoder, seed: int) -> Bonus:
    """1 / sqrt(n) for each part of the code that is new in its episode: patches, or dimensions
    where there are none.
    """
    return TokenCounts(_cells(encoder), width=0.1 * token_width(encoder), seed=seed)


@RECIPES.register("places")
def places(encoder: Autoencoder, seed: int) -> Bonus:
    """As ``parts``, with the same patch at another place another part: for a camera that never
    moves.
    """
    return TokenCounts(_cells(encoder), alike=False, width=0.1 * token_width(encoder), seed=seed)


@RECIPES.register("reconstruction")
def reconstruction(encoder: Autoencoder, seed: int) -> Bonus:
    """Error of a copy of the encoder that keeps learning, at first visits in an episode."""
    return Product(
        [
            ReconstructionNovelty(encoder, seed=seed),
            FirstVisits(width=token_width(encoder), seed=seed),
        ]
    )


@RECIPES.register("counts")
def counts(encoder: Autoencoder, seed: int) -> Bonus:
    """1 / sqrt(visits) of the code, at first visits in an episode."""
    width = token_width(encoder)
    return Product([HashCounts(width=width, seed=seed), FirstVisits(width=width, seed=seed)])


@RECIPES.register("parts_counts")
def parts_counts(encoder: Autoencoder, seed: int) -> Bonus:
    """``parts`` and a hundredth of ``counts``: events, and where none is near, going on to look for
    one.
    """
    return Sum([parts(encoder, seed), counts(encoder, seed)], weights=[1.0, COUNTS_BESIDE_PARTS])


@RECIPES.register("simhash")
def simhash(seed: int) -> Bonus:
    """1 / sqrt(visits) of the signs of 32 random projections, at first visits in an episode."""
    return Product([HashCounts("sign", 32, seed=seed), FirstVisits("sign", 32, seed=seed)])


@RECIPES.register("elliptical")
def elliptical() -> Bonus:
    """E3B on codes: how far a state lies outside the ellipse of its episode's."""
    return Elliptical()


@RECIPES.register("rnd")
def rnd(seed: int) -> Bonus:
    """Error in predicting a random network's features of the code."""
    return RND(seed=seed)


@RECIPES.register("icm")
def icm(seed: int, action_space: spaces.Space[Any]) -> Bonus:
    """Error in predicting the features of the next code from the action."""
    if not isinstance(action_space, spaces.Discrete):
        raise ValueError(
            f"novelty 'icm' needs discrete actions, and these are {action_space}; use 'rnd'"
        )
    return ICM(int(action_space.n), seed=seed)


def _cells(encoder: Autoencoder) -> int | None:
    layout = encoder.latent_layout
    return None if layout.grid is None else layout.cells


def make_novelty(
    name: str,
    weight: float | None,
    encoder: Autoencoder,
    action_space: spaces.Space[Any],
    gamma: float,
    seed: int,
) -> NormalizedBonus:
    """Return the scaled bonus called ``name``.

    Raises:
        ValueError: the name is unknown, the weight negative, or the bonus does not suit encoder or
            actions.
    """
    bonus = RECIPES.build({"name": name}, encoder=encoder, seed=seed, action_space=action_space)
    return NormalizedBonus(bonus, DEFAULT_WEIGHT if weight is None else weight, gamma)


def save_novelty(folder: Path, novelty: NormalizedBonus) -> None:
    """Write the state of a bonus to ``folder``, atomically."""
    write_tensors(folder / STATE, novelty.state_dict(), {"novelty": {"seen": novelty.seen}})


def restore_novelty(folder: Path, novelty: NormalizedBonus) -> None:
    """Load what ``save_novelty`` wrote."""
    novelty.load_state_dict(read_tensors(folder / STATE, "novelty")[0])
