"""Give a learning agent another encoder, and say in its codes what the agent remembers."""

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

from latentrl.models.arrays import CHUNK
from latentrl.models.autoencoder import Autoencoder
from latentrl.models.preprocessing import is_image
from latentrl.types import Array, Encoder, describe_space
from latentrl.wrappers.encode import LatentTransform
from latentrl.wrappers.episodic_count import VecEpisodicCount
from latentrl.wrappers.sb3 import LatentVecEnv

STEPS = 500
"""Steps of all environments that are translated at once: neighbours share most of their codes."""

ORDER = (VecNormalize, VecFrameStack, VecEpisodicCount)
"""Wrappers over the one that encodes, from the outside."""

Wrapper = TypeVar("Wrapper", bound=VecEnvWrapper)
Recode = Callable[[Array], Array]


def swap_encoder(model: BaseAlgorithm, encoder: Encoder | str | Path) -> Encoder:
    """Let an agent see through ``encoder`` from now on; what it remembers is said in the new codes.

    Frames are not kept, so the codes of a replay buffer are decoded by the old encoder and encoded
    by the new one: what the old codes had lost stays lost. The newest frame of each environment is
    at hand and is encoded itself; the codes before it in a stack are translated. Zeros that fill a
    stack after a reset stay zeros. The statistics of ``VecNormalize`` stay and follow the new codes
    in time, and a novelty keeps what it learned of the old ones. Visits that are remembered stay,
    and are counted anew from here.

    Call it outside ``learn``, or from a callback's ``_on_rollout_start`` or ``_on_rollout_end``.
    Elsewhere SB3 is in the middle of a step, whose transition would mix both codes. A rollout that
    PPO has collected is learned from as it was seen.

    Args:
        model: PPO, DQN or another algorithm of SB3, in ``VecNormalize`` over ``VecFrameStack`` over
            ``VecEpisodicCount`` over what ``wrap`` returns; the first three may be absent.
        encoder: one of the same observations, with codes of the same size, or the folder of a saved
            one. An ``Autoencoder`` is copied, so that ``ReconstructionNovelty.live`` can be given
            and go on learning.

    Returns: The encoder that the agent has now, a frozen copy of an ``Autoencoder``; save it with
        the agent.

    Raises:
        TypeError: ``encoder`` lacks ``latent_space`` or ``encode``.
        ValueError: the agent sees no codes, or they or the observations are not those of
            ``encoder``, or there are codes to translate and the old encoder cannot decode them to
            what the new one encodes.
    """
    view = _View.of(model)
    new = _frozen(_fitting(view.host, encoder))
    buffer = _filled(model)
    recode = _translation(view.host, new) if buffer is not None or view.stack is not None else None
    if buffer is not None and recode is not None:
        _rewrite(buffer, view, recode)
    view.host.transform.encoder = new
    if model._last_obs is not None:
        _look_again(model, view, recode)
    return new


@dataclass(frozen=True)
class _View:
    """The wrappers through which an agent sees codes."""

    host: LatentVecEnv
    visits: VecEpisodicCount | None
    stack: VecFrameStack | None
    normalise: VecNormalize | None

    @classmethod
    def of(cls, model: BaseAlgorithm) -> _View:
        wrappers = _wrappers(model.get_env())
        host = wrappers[-1] if wrappers else None
        if not isinstance(host, LatentVecEnv):
            raise ValueError(
                "the agent's environment has no encoder to swap: make it with latentrl.wrap"
            )
        if host.transform.key is not None:
            raise ValueError(
                f"the agent sees a Dict with codes under {host.transform.key!r}; only codes alone can be swapped"
            )
        known = [wrapper for wrapper in wrappers if isinstance(wrapper, ORDER)]
        if [type(wrapper) for wrapper in known] != [kind for kind in ORDER if _only(kind, known)]:
            raise ValueError(
                "codes get their visits, are stacked and then normalised, each once at most; here, from the outside, "
                f"there are {', '.join(type(wrapper).__name__ for wrapper in known)}: make "
                "VecNormalize(VecFrameStack(VecEpisodicCount(wrap(...)), n))"
            )
        return cls(
            host,
            _only(VecEpisodicCount, known),
            _only(VecFrameStack, known),
            _only(VecNormalize, known),
        )

    @property
    def size(self) -> int:
        return int(np.prod(self.host.transform.encoder.latent_space.shape))

    @property
    def width(self) -> int:
        """Values of a code with its visits, if they are counted."""
        return self.size + (self.visits is not None)

    def said_again(self, stacked: Array, recode: Recode) -> Array:
        """Return codes ``(..., stack * width)`` in the words of the new encoder; padding stays
        zero, visits stay.
        """
        entries = stacked.reshape(-1, stacked.shape[-1] // self.width, self.width)
        codes = entries[..., : self.size]
        seen = np.logical_or.accumulate(codes.any(-1), axis=1)
        seen[:, -1] = True  # the newest code is never padding, though it may be zero
        distinct, places = _distinct(codes[seen])
        chunks = [
            recode(distinct[start : start + CHUNK]) for start in range(0, len(distinct), CHUNK)
        ]
        said = entries.copy()
        said[seen, : self.size] = np.concatenate(chunks)[places]
        again: Array = said.reshape(stacked.shape)
        return again


def _only(kind: type[Wrapper], wrappers: Sequence[VecEnvWrapper]) -> Wrapper | None:
    return next((wrapper for wrapper in wrappers if isinstance(wrapper, kind)), None)


def _wrappers(venv: VecEnv | None) -> Sequence[VecEnvWrapper]:
    """Return the wrappers from the outermost to the one that encodes, or to the last."""
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
    frozen.source = None  # a live copy names the folder that it began from
    return frozen


def _fitting(host: LatentVecEnv, encoder: Encoder | str | Path) -> Encoder:
    new = LatentTransform(encoder, host.venv.observation_space, host.transform.key).encoder
    old_space, new_space = host.transform.encoder.latent_space, new.latent_space
    if (old_space.shape, old_space.dtype) != (new_space.shape, new_space.dtype):
        raise ValueError(
            f"the agent sees codes of {describe_space(old_space)}, those of the new encoder are "
            f"{describe_space(new_space)}; give one with codes of the same size"
        )
    return new


def _filled(model: BaseAlgorithm) -> ReplayBuffer | None:
    """Return the replay buffer, None where nothing is in it."""
    buffer = model.replay_buffer if isinstance(model, OffPolicyAlgorithm) else None
    return None if buffer is None or buffer.size() == 0 else buffer


def _translation(host: LatentVecEnv, new: Encoder) -> Recode:
    """Return what turns codes ``(B, latent_dim)`` of the old encoder into the new one's."""
    old = host.transform.encoder
    decode = getattr(old, "decode", None)
    if decode is None or (isinstance(old, Autoencoder) and old.decoder is None):
        raise ValueError(
            f"the agent's codes have to be translated, and its encoder, {type(old).__name__}, has no decoder; "
            "use one that has, or an agent without replay buffer and VecFrameStack"
        )
    if isinstance(old, Autoencoder) and isinstance(new, Autoencoder) and _see_alike(old, new):
        return lambda codes: _through_networks(old, new, codes)
    shape, wanted = (
        decode(np.zeros((1, *old.latent_space.shape), np.float32)).shape[1:],
        host.venv.observation_space,
    )
    if shape != wanted.shape:
        raise ValueError(
            f"the old encoder decodes to {shape}, the new one takes {describe_space(wanted)}; "
            "give two autoencoders with the same preprocessing"
        )
    return lambda codes: new.encode(decode(codes))


def _see_alike(old: Autoencoder, new: Autoencoder) -> bool:
    return is_image(old.observation_space) and old.config.preprocessing == new.config.preprocessing


@torch.inference_mode()
def _through_networks(old: Autoencoder, new: Autoencoder, codes: Array) -> Array:
    """Decode and encode cropped and resized images, which ``encode`` would not take."""
    decoder = old.eval().decoder
    assert decoder is not None
    z = torch.from_numpy(np.require(codes, np.float32, ["C", "W"])).to(old.device)
    x = old.likelihood.mean(decoder(z)).float().clamp(0, 1).to(new.device)
    said: Array = new.head(new.encoder(x)).mean.float().cpu().numpy()
    return said


def _rewrite(buffer: ReplayBuffer, view: _View, recode: Recode) -> None:
    """Translate the filled part of a buffer, a stretch of time at once."""
    arrays = (
        [buffer.observations]
        if buffer.optimize_memory_usage
        else [buffer.observations, buffer.next_observations]
    )
    filled = buffer.size() if buffer.full else buffer.pos + int(buffer.optimize_memory_usage)
    for start in range(0, filled, STEPS):
        part = slice(start, min(start + STEPS, filled))
        said = view.said_again(np.stack([array[part] for array in arrays]), recode)
        for array, codes in zip(arrays, said, strict=True):
            array[part] = codes


def _distinct(codes: Array) -> tuple[Array, Array]:
    """Return the different rows of ``(N, size)``, and for each of the N which of them it is."""
    rows = np.ascontiguousarray(codes)
    as_bytes = rows.view(np.dtype((np.void, rows.dtype.itemsize * rows.shape[1]))).ravel()
    _, first, places = np.unique(as_bytes, return_index=True, return_inverse=True)
    return rows[first], places


def _look_again(model: BaseAlgorithm, view: _View, recode: Recode | None) -> None:
    """Show the agent the newest frames through the new encoder."""
    transform = view.host.transform
    transform.last_codes = seen = transform.encoder.encode(transform.last_frames)
    if view.visits is not None:
        seen = view.visits.restart(seen)
    if view.stack is not None and recode is not None:
        newest, seen = seen, view.said_again(view.stack.stacked_obs.stacked_obs, recode)
        seen[:, -view.width :] = newest
        view.stack.stacked_obs.stacked_obs = seen
    if view.normalise is None:
        model._last_obs = seen.copy()
        return
    view.normalise.old_obs = seen
    model._last_original_obs, model._last_obs = seen.copy(), view.normalise.normalize_obs(seen)
