"""What the tests of bonuses share: transitions, a tiny model, and one bonus of each kind."""

from __future__ import annotations

import functools

import numpy as np
import torch
from gymnasium import spaces

import latentrl as lrl
from latentrl.novelty import (
    BONUSES,
    ICM,
    RND,
    Adaptive,
    Elliptical,
    FirstVisits,
    HashCounts,
    NormalizedBonus,
    Product,
    ReconstructionGain,
    Sum,
    TemporalDistance,
    TokenCounts,
    make_bonus,
)
from latentrl.types import LatentLayout, Transitions
from latentrl.utils.io import read_tensors, write_tensors

B, DIM, ACTIONS = 6, 4, 3
MLP = {"name": "mlp", "hidden": (16,)}
NO_FRAMES = np.zeros((B, 1), np.uint8)


def tiny_model(likelihood="gaussian", size=(8, 8, 3), seed=0):
    torch.manual_seed(seed)
    return lrl.beta_vae(size, latent_dim=DIM, beta=1.0, likelihood=likelihood, backbone=MLP)


def states(seed, count=B):
    """Draw distinct frames, and latents that go with them."""
    rng = np.random.default_rng(seed)
    frames = rng.integers(0, 256, (count, 8, 8, 3), dtype=np.uint8)
    return frames, (3 * rng.standard_normal((count, DIM))).astype(np.float32)


def between(before, after, actions=None, env_ids=None):
    """Build transitions from (observations, latents) ``before`` to those ``after``."""
    count = len(after[1])
    env_ids = np.arange(count) if env_ids is None else env_ids
    actions = np.arange(count) % ACTIONS if actions is None else actions
    never = np.zeros(count, bool)
    return Transitions(env_ids, *before, actions, *after, never, never)


def transitions(seed, count=B):
    """Build transitions to the states of ``seed``, from other states."""
    return between(states(1000 + seed, count), states(seed, count))


def reaching(latents, env_ids=None):
    """Build transitions of which only the next latents matter."""
    latents = np.asarray(latents, np.float32)
    frames = np.zeros((len(latents), 1), np.uint8)
    return between((frames, latents), (frames, latents), env_ids=env_ids)


def reset(bonus, latents, env_ids=None):
    """Start episodes at ``latents``, in all environments unless ``env_ids`` names them."""
    latents = np.asarray(latents, np.float32)
    env_ids = np.arange(len(latents)) if env_ids is None else np.asarray(env_ids)
    bonus.reset(env_ids, np.zeros((len(latents), 1), np.uint8), latents)


def start(bonus, seed=1000, count=B):
    bonus.reset(np.arange(count), *states(seed, count))


QUICK = {
    "HashCounts": HashCounts,
    "FirstVisits": FirstVisits,
    "Elliptical": Elliptical,
    "RND": lambda: RND(learning_rate=3e-3, fraction=1.0),
    "ICM": lambda: ICM(ACTIONS, learning_rate=3e-3),
    "ReconstructionGain": lambda: ReconstructionGain(LatentLayout((2, 2), 1)),
    "TokenCounts": lambda: TokenCounts(LatentLayout(None, DIM)),
    "Adaptive": lambda: Adaptive(LatentLayout(None, DIM)),
    "TemporalDistance": lambda: TemporalDistance(
        window=16, interval=2, gradient_steps=1, batch_size=8
    ),
    "Product": lambda: Product([HashCounts(), FirstVisits()]),
    "Sum": lambda: Sum([RND(learning_rate=3e-3, fraction=1.0), Elliptical()], [1.0, 0.5]),
    "NormalizedBonus": lambda: NormalizedBonus(HashCounts(), weight=1.0, clip=100.0, warmup=0),
}
"""Each class, with hyperparameters with which it learns within a few updates."""


def named(name):
    return make_bonus(name, tiny_model(), spaces.Discrete(ACTIONS), seed=3)


PIXELS = {"RND-pixels": lambda: RND("pixels"), "ICM-pixels": lambda: ICM(ACTIONS, "pixels")}
EVERY = {**QUICK, **PIXELS, **{name: functools.partial(named, name) for name in BONUSES}}
"""The classes, and what the registry builds."""


def visited(make, times=10):
    """Return a bonus that was updated ``times`` times with the same transitions."""
    bonus = make()
    start(bonus)
    for _ in range(times):
        bonus.step(transitions(0))
    return bonus


def on_disk(state, path):
    write_tensors(path / "state.safetensors", state, {"note": 1})
    return read_tensors(path / "state.safetensors", "note")[0]


def same_state(first, second):
    """Whether two state dicts have the same names and equal tensors."""
    return first.keys() == second.keys() and all(
        torch.equal(first[name], second[name]) for name in first
    )
