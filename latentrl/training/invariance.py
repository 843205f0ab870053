"""Latents that do not depend on colours, or on whatever else a corruption changes."""

from __future__ import annotations

import dataclasses
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Generator, Tensor

from latentrl.data.frames import Frames, evenly_spaced
from latentrl.models.autoencoder import Autoencoder
from latentrl.models.batches import Observations
from latentrl.models.builder import Part, as_spec
from latentrl.models.config import Spec
from latentrl.models.corruptions import CORRUPTIONS, corrupt
from latentrl.models.stored import frames_of
from latentrl.training.config import FitConfig
from latentrl.training.refine import LEAST_STD, check_refinable, refined

INVARIANCE = "invariance"
"""Key of ``Invariance`` in a model's data card."""
OF_OTHER_WEIGHTS = ("quality", "factors")
"""Keys of what was measured before, on other weights."""
ANCHOR = 300.0
"""Weight of the distance to the latents of clean observations: it outweighs the reconstruction."""
LEAST_R2 = 0.8
"""R2 below which latents still depend on a corruption."""
MEASURED, BATCH = 512, 64
"""Most held-out frames that R2 is measured on, and how many at a time."""
CONFIG = FitConfig(steps=1_500, batch_size=16, learning_rate=1e-3)
"""Hyperparameters by default."""


@dataclass(frozen=True)
class Invariance:
    """Whether latents depend on corruptions of the observation, measured on held-out frames."""

    corruptions: list[dict[str, Any]]
    """Specs of the corruptions, applied in order."""
    before: float
    """R2 of the latents of corrupted frames before the training: 1 where they are the clean ones,
    0 or less where they are as far from them as those of other frames."""
    after: float
    """The same after the training."""

    @property
    def names(self) -> str:
        """Names of the corruptions, separated by commas."""
        return ", ".join(spec["name"] for spec in self.corruptions)

    @property
    def reached(self) -> bool:
        """Whether the latents no longer depend on the corruptions: R2 is 0.8 or more."""
        return self.after >= LEAST_R2


def invariant(
    model: Autoencoder,
    frames: Observations,
    corruptions: Part | Sequence[Part],
    config: FitConfig = CONFIG,
    *,
    progress: bool = True,
) -> Autoencoder:
    """Return a copy of a fitted model whose latents do not depend on corruptions of its inputs.

    It is trained further, on the model's device, until the latents of corrupted observations are
    those of ``model`` for the clean ones:

        model = lrl.invariant(model, frames, "hue_shift")

    The data card of the copy gets an ``Invariance`` as "invariance", and loses the metrics of
    ``model``, which are those of other weights.

    Args:
        model: a fitted model, which stays as it is.
        frames: the frames that it was fitted on, or others of its observations; anything that
            ``as_frames`` takes.
        corruptions: name or spec of a corruption, or a sequence of them, applied in order.
        config: hyperparameters; validation and seed of ``fit`` give the same held-out frames.
        progress: whether to show a progress bar.

    Raises:
        ValueError: the model is not fitted, not trained by gradient steps or has collapsed, a
            corruption is unknown or does not suit it, none is given, or the frames are of another
            space.
        FloatingPointError: the loss is no longer finite.

    Warns:
        UserWarning: the latents still depend on the corruptions, with R2 below 0.8.
    """
    model.check_fitted()
    frames = frames_of(model, frames)
    parts = [corruptions] if isinstance(corruptions, (str, Mapping)) else corruptions
    specs = [dict(as_spec(part)) for part in parts]
    check_corruptible(model, specs)
    if not (model.latent_std > LEAST_STD).any():
        raise ValueError("the latents of this model are constant, and depend on nothing already")
    training, validation = frames.split(config.validation, config.seed)
    result = refined(
        model, training, validation, config, anchor=ANCHOR, corruptions=specs, progress=progress
    )
    found = Invariance(specs, *(r2(m, model, validation, specs) for m in (model, result)))
    for key in OF_OTHER_WEIGHTS:
        result.metadata.pop(key, None)
    result.metadata[INVARIANCE] = dataclasses.asdict(found)
    if not found.reached:
        warnings.warn(
            f"the latents still depend on {found.names}: R2 of those of corrupted frames is "
            f"{found.after:.2f} and was {found.before:.2f}; train for more steps, or with a weaker "
            "corruption",
            stacklevel=2,
        )
    return result


def check_corruptible(model: Autoencoder, corruptions: Sequence[Spec]) -> None:
    """Check that ``invariant`` can train a model like this with these corruptions.

    Raises:
        ValueError: the model is not trained by gradient steps, a corruption is unknown or does not
            suit it, or there is none.
    """
    check_refinable(model)
    if not corruptions:
        raise ValueError("name at least one corruption, such as 'hue_shift'")
    Autoencoder(dataclasses.replace(model.config, corruptions=corruptions))


@torch.inference_mode()
def r2(
    encoder: Autoencoder, reference: Autoencoder, frames: Frames, corruptions: Sequence[Spec]
) -> float:
    """Return R2 of an encoder's latents of corrupted frames: 1 where they are the clean ones.

    All dimensions count alike, but for those that are constant.

    Args:
        encoder: the model that gets the corrupted frames.
        reference: the model whose latents of the clean frames are the right ones.
        frames: held-out frames; at most 512 are used.
        corruptions: specs, drawn with a fixed seed.
    """
    generator = Generator(encoder.device).manual_seed(0)
    parts = [CORRUPTIONS.build(spec) for spec in corruptions]
    clean, found = [], []
    chosen = evenly_spaced(len(frames), MEASURED)
    for indices in np.array_split(chosen, -(-len(chosen) // BATCH)):
        x = encoder.preprocess(torch.from_numpy(frames[indices]).to(encoder.device))
        clean.append(_latents(reference, x))
        found.append(_latents(encoder, corrupt(parts, x, generator)[0]))
    right = torch.cat(clean)
    variance = right.var(0, correction=0)
    error = (torch.cat(found) - right).square().mean(0)
    varies = reference.latent_std > LEAST_STD
    # The variance of a few frames can be 0 where that of all is not.
    return 1 - float((error / variance.clamp_min(LEAST_STD**2))[varies].mean())


def _latents(model: Autoencoder, x: Tensor) -> Tensor:
    return model.eval().head(model.encoder(x)).mean.float()
