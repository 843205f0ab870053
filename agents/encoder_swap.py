"""Exchange the encoder of a learning agent, and translate the latents in its replay buffer."""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import numpy as np
import torch
from stable_baselines3.common.base_class import BaseAlgorithm
from stable_baselines3.common.buffers import ReplayBuffer
from stable_baselines3.common.off_policy_algorithm import OffPolicyAlgorithm
from stable_baselines3.common.vec_env import VecEnv, VecEnvWrapper, VecFrameStack, VecNormalize
from torch import Tensor

from latentrl.models.arrays import CHUNK
from latentrl.models.autoencoder import Autoencoder
from latentrl.models.preprocessing import is_image
from latentrl.types import Array, Encoder, LatentLayout, describe_space
from latentrl.wrappers.encode import LatentTransform
from latentrl.wrappers.episodic_count import VecEpisodicCount
from latentrl.wrappers.sb3 import LatentVecEnv

STEPS = 500
"""Steps of all environments that are translated at once: successive stacks repeat latents."""

ORDER = (VecNormalize, VecFrameStack, VecEpisodicCount)
"""Wrappers over ``LatentVecEnv``, from the outermost."""

Wrapper = TypeVar("Wrapper", bound=VecEnvWrapper)
Translate = Callable[[Array], Array]


def swap_encoder(model: BaseAlgorithm, encoder: Encoder | str | Path) -> Encoder:
    """Replace an agent's encoder by ``encoder``.

    Frames are not stored, so the old encoder decodes the latents of a replay buffer. Both encoders
    encode the result, and each latent changes by their difference: what a reconstruction loses
    counts on both sides, and an equal encoder changes nothing. The newest frame of each
    environment is available and encoded itself; the older latents in a stack are translated. Zeros
    that fill a stack after a reset stay zeros. The statistics of ``VecNormalize`` stay and adapt to
    the new latents, and a novelty bonus keeps its state. Episodic counts in the buffer stay, and
    counting starts again.

    Call it outside ``learn``, or from a callback's ``_on_rollout_start`` or ``_on_rollout_end``.
    Elsewhere SB3 is in the middle of a step, whose transition would mix both kinds of latents. PPO
    trains on a rollout that it has collected with the latents that it observed.

    Args:
        model: PPO, DQN or another algorithm of SB3, in ``VecNormalize`` over ``VecFrameStack`` over
            ``VecEpisodicCount`` over what ``wrap`` returns; the first three may be absent.
        encoder: one for the same observations, with latents of the same size, or the folder of a
            saved one. An ``Autoencoder`` is copied, and can continue to train.

    Returns:
        The agent's new encoder, a frozen copy of an ``Autoencoder``; save it with the agent.

    Raises:
        TypeError: ``encoder`` lacks ``latent_space`` or ``encode``.
        ValueError: the agent observes no latents, or they or the observations are not those of
            ``encoder``, or latents have to be translated and the old encoder cannot decode them to
            observations of the new one.
    """
    chain = _Chain.of(model)
    new = _frozen(_checked(chain.host, encoder))
    buffer = _filled(model)
    needed = buffer is not None or chain.stack is not None
    translate = _translation(chain.host, new) if needed else None
    if buffer is not None and translate is not None:
        _rewrite(buffer, chain, translate)
    chain.host.transform.encoder = new
    if model._last_obs is not None:
        _observe_again(model, chain, translate)
    return new


def latent_host(model: BaseAlgorithm) -> LatentVecEnv:
    """Return the wrapper that encodes the observations of an agent.

    Raises:
        ValueError: the agent observes no latents, or latents among other observations.
    """
    return _Chain.of(model).host


@dataclass(frozen=True)
class _Chain:
    """The wrappers between an agent and its encoder."""

    host: LatentVecEnv
    count: VecEpisodicCount | None
    stack: VecFrameStack | None
    normalize: VecNormalize | None

    @classmethod
    def of(cls, model: BaseAlgorithm) -> _Chain:
        wrappers = _wrappers(model.get_env())
        host = wrappers[-1] if wrappers else None
        if not isinstance(host, LatentVecEnv):
            raise ValueError(
                "the agent's environment has no encoder to swap: make it with latentrl.wrap"
            )
        if host.transform.key is not None:
            raise ValueError(
                f"the agent observes a Dict with latents under {host.transform.key!r}; "
                "only latents alone can be swapped"
            )
        known = [wrapper for wrapper in wrappers if isinstance(wrapper, ORDER)]
        if [type(wrapper) for wrapper in known] != [kind for kind in ORDER if _only(kind, known)]:
            raise ValueError(
                "latents are counted, stacked and then normalised, each at most once; here, from "
                f"the outermost, there are {', '.join(type(wrapper).__name__ for wrapper in known)}"
                ": make VecNormalize(VecFrameStack(VecEpisodicCount(wrap(...)), n))"
            )
        count, stack = _only(VecEpisodicCount, known), _only(VecFrameStack, known)
        return cls(host, count, stack, _only(VecNormalize, known))

    @property
    def latent_dim(self) -> int:
        return int(np.prod(self.host.transform.encoder.latent_space.shape))

    @property
    def width(self) -> int:
        """Number of values of a latent, and of its count if there is one."""
        return self.latent_dim + (self.count is not None)

    def translated(self, stacked: Array, translate: Translate) -> Array:
        """Return ``stacked (..., stack * width)`` with latents of the new encoder.

        Padding stays zero, and counts stay as they are.
        """
        entries = stacked.reshape(-1, stacked.shape[-1] // self.width, self.width)
        latents = entries[..., : self.latent_dim]
        # A stack fills from the end, so that after the first latent there is no padding. The newest
        # is never padding, though all its values may be zero.
        real = np.logical_or.accumulate(latents.any(-1), axis=1)
        real[:, -1] = True
        distinct, rows = _distinct(latents[real])
        starts = range(0, len(distinct), CHUNK)
        chunks = [translate(distinct[start : start + CHUNK]) for start in starts]
        result = entries.copy()
        result[real, : self.latent_dim] = np.concatenate(chunks)[rows]
        translated: Array = result.reshape(stacked.shape)
        return translated


def replace_encoder(venv: VecEnv, encoder: Encoder) -> None:
    """Encode with ``encoder`` from the next reset of ``venv`` on, as validation begins with one."""
    host = _wrappers(venv)[-1]
    assert isinstance(host, LatentVecEnv)
    host.transform.encoder = encoder


def _only(kind: type[Wrapper], wrappers: Sequence[VecEnvWrapper]) -> Wrapper | None:
    return next((wrapper for wrapper in wrappers if isinstance(wrapper, kind)), None)


def _wrappers(venv: VecEnv | None) -> Sequence[VecEnvWrapper]:
    """Return the wrappers from the outermost to ``LatentVecEnv``, or to the innermost."""
    wrappers: list[VecEnvWrapper] = []
    while isinstance(venv, VecEnvWrapper) and not (
        wrappers and isinstance(wrappers[-1], LatentVecEnv)
    ):
        wrappers.append(venv)
        venv = venv.venv
    return wrappers


def _frozen(encoder: Encoder) -> Encoder:
    if not isinstance(encoder, Autoencoder):
        return encoder
    frozen = copy.deepcopy(encoder).requires_grad_(False).eval()
    frozen.source = None  # that of a live copy is the folder of the model before its training
    return frozen


def _checked(host: LatentVecEnv, encoder: Encoder | str | Path) -> Encoder:
    new = LatentTransform(encoder, host.venv.observation_space, host.transform.key).encoder
    old_space, new_space = host.transform.encoder.latent_space, new.latent_space
    if (old_space.shape, old_space.dtype) != (new_space.shape, new_space.dtype):
        raise ValueError(
            f"the agent observes latents of {describe_space(old_space)}, those of the new encoder "
            f"are {describe_space(new_space)}; give one with latents of the same size"
        )
    old_grid, new_grid = (LatentLayout.of(each).grid for each in (host.transform.encoder, new))
    if old_grid != new_grid:
        raise ValueError(
            f"the agent observes latents {_on(old_grid)}, those of the new encoder are "
            f"{_on(new_grid)}; give one with the same backbone and preprocessing"
        )
    return new


def _on(grid: tuple[int, int] | None) -> str:
    return "that are vectors" if grid is None else f"on a grid of {grid[0]} x {grid[1]} cells"


def _filled(model: BaseAlgorithm) -> ReplayBuffer | None:
    """Return the replay buffer, None if it is empty or there is none."""
    buffer = model.replay_buffer if isinstance(model, OffPolicyAlgorithm) else None
    return None if buffer is None or buffer.size() == 0 else buffer


def _translation(host: LatentVecEnv, new: Encoder) -> Translate:
    """Return a function from latents ``(B, latent_dim)`` of the old encoder to those of ``new``."""
    old = host.transform.encoder
    decode = getattr(old, "decode", None)
    if decode is None or (isinstance(old, Autoencoder) and old.decoder is None):
        raise ValueError(
            "the agent's latents have to be translated, and its encoder, "
            f"{type(old).__name__}, has no decoder; use one that has, or an agent without replay "
            "buffer and VecFrameStack"
        )
    if isinstance(old, Autoencoder) and isinstance(new, Autoencoder) and _same_input(old, new):
        return lambda latents: _through_networks(old, new, latents)
    zeros = np.zeros((1, *old.latent_space.shape), np.float32)
    shape, wanted = decode(zeros).shape[1:], host.venv.observation_space
    if shape != wanted.shape:
        raise ValueError(
            f"the old encoder decodes to {shape}, the new one takes {describe_space(wanted)}; "
            "give two autoencoders with the same preprocessing"
        )

    def translate(latents: Array) -> Array:
        decoded = decode(latents)
        translated: Array = latents + (new.encode(decoded) - old.encode(decoded))
        return translated

    return translate


def _same_input(old: Autoencoder, new: Autoencoder) -> bool:
    if not is_image(old.observation_space) or old.config.preprocessing != new.config.preprocessing:
        return False
    # Images are scaled by the range of the data where the declared one is infinite or too wide.
    ranges = zip(old.preprocess.buffers(), new.preprocess.buffers(), strict=True)
    return all(torch.equal(before.cpu(), after.cpu()) for before, after in ranges)


@torch.inference_mode()
def _through_networks(old: Autoencoder, new: Autoencoder, latents: Array) -> Array:
    """Translate by cropped and resized images, whose size ``encode`` would refuse."""
    decoder = old.eval().decoder
    assert decoder is not None
    z = torch.from_numpy(np.require(latents, np.float32, ["C", "W"])).to(old.device)
    x = old.likelihood.mean(decoder(z)).float().clamp(0, 1)
    change = _latents(new, x.to(new.device)) - _latents(old, x)
    translated: Array = latents + change
    return translated


def _latents(model: Autoencoder, x: Tensor) -> Array:
    latents: Array = model.head(model.encoder(x)).mean.float().cpu().numpy()
    return latents


def _rewrite(buffer: ReplayBuffer, chain: _Chain, translate: Translate) -> None:
    """Translate the filled rows of a buffer, ``STEPS`` rows at once."""
    arrays = [buffer.observations]
    if not buffer.optimize_memory_usage:
        arrays.append(buffer.next_observations)
    # With optimize_memory_usage the next observation is the entry one row on, also at the end.
    filled = buffer.size() if buffer.full else buffer.pos + int(buffer.optimize_memory_usage)
    for start in range(0, filled, STEPS):
        rows = slice(start, min(start + STEPS, filled))
        translated = chain.translated(np.stack([array[rows] for array in arrays]), translate)
        for array, latents in zip(arrays, translated, strict=True):
            array[rows] = latents


def _distinct(latents: Array) -> tuple[Array, Array]:
    """Return the distinct rows of ``latents (N, size)``, and the index of each row among them."""
    rows = np.ascontiguousarray(latents)
    # One void value per row: np.unique sorts these much faster than rows with axis=0.
    as_bytes = rows.view(np.dtype((np.void, rows.dtype.itemsize * rows.shape[1]))).ravel()
    _, first, indices = np.unique(as_bytes, return_index=True, return_inverse=True)
    return rows[first], indices


def _observe_again(model: BaseAlgorithm, chain: _Chain, translate: Translate | None) -> None:
    """Give the agent the latents of the newest frames under the new encoder."""
    observed = chain.host.encode_again()
    if chain.count is not None:
        observed = chain.count.restart(observed)
    if chain.stack is not None and translate is not None:
        stack = chain.stack.stacked_obs
        newest = observed
        observed = chain.translated(stack.stacked_obs, translate)
        observed[:, -chain.width :] = newest
        stack.stacked_obs = observed
    if chain.normalize is None:
        model._last_obs = observed.copy()
        return
    chain.normalize.old_obs = observed
    model._last_original_obs = observed.copy()
    model._last_obs = chain.normalize.normalize_obs(observed)
