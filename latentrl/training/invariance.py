"""Latents that do not depend on colours, or on whatever else a corruption changes."""

from __future__ import annotations

import dataclasses
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Generator

from latentrl.data.frames import Frames, as_frames, evenly_spaced
from latentrl.models.autoencoder import Autoencoder
from latentrl.models.builder import Part, as_spec
from latentrl.models.config import Spec
from latentrl.models.corruptions import CORRUPTIONS, corrupt
from latentrl.training.config import FitConfig
from latentrl.training.fit import check_space
from latentrl.training.refine import check_refinable, refined
from latentrl.types import Array

INVARIANCE = "invariance"
"""Key of the corruptions and of R2 in the data card."""
ANCHOR = 300.0
"""Weight of the distance to the latents of clean observations: it outweighs the reconstruction."""
LEAST_R2 = 0.8
"""R2 below which latents still depend on a corruption."""
STATISTICS = ("latent_mean", "latent_std", "latent_quantiles")
MEASURED = 512
"""Most held-out frames that R2 is measured on."""
CONFIG = FitConfig(steps=500, batch_size=16, learning_rate=1e-3)


def invariant(
    model: Autoencoder,
    frames: Frames | Array | str | Path,
    corruptions: Part | Sequence[Part],
    config: FitConfig = CONFIG,
    *,
    progress: bool = True,
) -> Autoencoder:
    """Return a copy of a fitted model whose latents do not depend on corruptions of its inputs.

    It is trained further until the latents of corrupted observations are those of ``model`` for
    the clean ones:

        model = lrl.invariant(model, frames, "hue_shift")

    Then agents and detectors that use ``model`` can use the copy. The data card gets R2 of these
    latents on held-out frames, before and after, as "invariance".

    Args:
        model: a fitted model, which stays as it is.
        frames: the frames that it was fitted on, or others of its observations; anything that
            ``as_frames`` takes.
        corruptions: name or spec of a corruption, or a sequence of them, applied in order.
        config: hyperparameters; validation and seed of ``fit`` give the same held-out frames.
        progress: whether to show a progress bar.

    Raises:
        ValueError: the model is not fitted or not trained by gradient steps, a corruption is
            unknown or does not suit it, none is given, or the frames are of another space.
        FloatingPointError: the loss is no longer finite.

    Warns:
        UserWarning: the latents still depend on the corruptions, with R2 below 0.8.
    """
    model.check_fitted()
    frames = as_frames(frames, space=model.observation_space)
    check_space(model, frames)
    parts = [corruptions] if isinstance(corruptions, (str, Mapping)) else corruptions
    specs = [as_spec(part) for part in parts]
    check_corruptible(model, specs)
    training, validation = frames.split(config.validation, config.seed)
    result = refined(
        model, training, validation, config, anchor=ANCHOR, corruptions=specs, progress=progress
    )
    before, after = (invariance(encoder, model, validation, specs) for encoder in (model, result))
    for name in STATISTICS:  # those of clean latents, by which agents standardise them
        getattr(result, name).copy_(getattr(model, name))
    result.metadata[INVARIANCE] = {"corruptions": specs, "before": before, "after": after}
    if after < LEAST_R2:
        names = ", ".join(spec["name"] for spec in specs)
        warnings.warn(
            f"the latents still depend on {names}: R2 of those of corrupted frames is {after:.2f} "
            f"and was {before:.2f}; train for more steps, or with a weaker corruption",
            stacklevel=2,
        )
    return result


def check_corruptible(model: Autoencoder, corruptions: Sequence[Spec]) -> None:
    """Check that ``invariant`` can train a model like this with these corruptions.

    Raises:
        ValueError: the model is not trained by gradient steps, or a corruption is unknown or does
            not suit it.
    """
    check_refinable(model)
    if not corruptions:
        raise ValueError("name at least one corruption, such as 'hue_shift'")
    Autoencoder(dataclasses.replace(model.config, corruptions=corruptions))


@torch.inference_mode()
def invariance(
    encoder: Autoencoder, reference: Autoencoder, frames: Frames, corruptions: Sequence[Spec]
) -> float:
    """Return R2 of an encoder's latents of corrupted frames: 1 where they are the clean ones.

    Args:
        encoder: the model that gets the corrupted frames.
        reference: the model whose latents of the clean frames are the right ones.
        frames: held-out frames; at most 512 are used.
        corruptions: specs, drawn with a fixed seed.
    """
    generator = Generator(encoder.device).manual_seed(0)
    parts = [CORRUPTIONS.build(spec) for spec in corruptions]
    right, found = [], []
    chosen = evenly_spaced(len(frames), MEASURED)
    for indices in np.array_split(chosen, -(-len(chosen) // 64)):
        x = encoder.preprocess(torch.from_numpy(frames[indices]).to(encoder.device))
        right.append(reference.eval().head(reference.encoder(x)).mean.float())
        corrupted = corrupt(parts, x, generator)[0]
        found.append(encoder.eval().head(encoder.encoder(corrupted)).mean.float())
    clean, difference = torch.cat(right), torch.cat(found) - torch.cat(right)
    variance = (clean - clean.mean(0)).square().sum()
    return float(1 - difference.square().sum() / variance.clamp_min(1e-12))
