"""Verb ``denoise``: restore corrupted observations."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Generator, Tensor

from latentrl.cli.base import VERBS, Metrics, Output, at_least
from latentrl.cli.data import DataVerb, Errors, in_batches
from latentrl.cli.options import parse_specs
from latentrl.data.frames import Frames, evenly_spaced
from latentrl.models.autoencoder import Autoencoder
from latentrl.models.config import Spec
from latentrl.models.corruptions import CORRUPTIONS, Corruption, corrupt
from latentrl.models.preprocessing import ImagePreprocessor, is_image
from latentrl.types import Array, describe_space
from latentrl.viz.decoded import pair_sheet
from latentrl.viz.figures import Figure
from latentrl.viz.images import model_images
from latentrl.viz.plots import comparison_sheet
from latentrl.viz.sheets import Labels, image_sheet


@VERBS.register("denoise")
@dataclass(frozen=True, kw_only=True)
class Denoise(DataVerb):
    """Restore corrupted observations: noise, blur, missing colour, as in the model's training."""

    corrupt: str | None = None
    """Corrupt the data first and measure the restoration: a corruption such as gaussian_noise or
    '{name: blur, sigma: 2}'; auto means those of the model's training. Default: the data is
    corrupted already."""
    clean: Path | None = None
    """The same observations without corruption, to measure the restoration."""
    count: int = 10
    """Number of observations in the image."""

    def run(self, model: Autoencoder, output: Output) -> Metrics:
        """Write restored.npy, restored.png and, with --corrupt, corrupted.npy."""
        at_least(1, count=self.count)
        data = self.read_complete(self.data, model)
        clean = data if self.corrupt else None
        if self.clean and not self.corrupt:
            clean = self.read_complete(self.clean, model)
        if clean is not None and len(clean) != len(data):
            raise ValueError(f"{self.clean} has {len(clean)} observations, {self.data} {len(data)}")
        if not (model.corruptions or self.corrupt):
            warnings.warn(
                f"the model in {self.model} was trained without corruptions, and can keep what it "
                "should remove: train a denoising_ae",
                UserWarning,
                stacklevel=2,
            )
        corrupted = self._corrupted(data, model, output) if self.corrupt else data
        errors = Errors(model)
        restored = _restored(model, corrupted, clean, errors)
        output.stream("restored.npy", restored, len(data), model.preprocess.output_space)
        output.figure("restored.png", self._figure(model, clean, corrupted))
        return errors.metrics()

    def _corrupted(self, clean: Frames, model: Autoencoder, output: Output) -> Frames:
        corruptions = self._corruptions(model)
        generator = Generator().manual_seed(self.seed)
        batches = in_batches(
            clean,
            "corrupting",
            lambda batch: corrupt_observations(model, batch, corruptions, generator),
        )
        # The file is read back: the network gets the values that the user gets, after rounding.
        file = output.stream("corrupted.npy", batches, len(clean), clean.space)
        return Frames(clean.space, [np.load(file, mmap_mode="r")], np.arange(len(clean)))

    def _corruptions(self, model: Autoencoder) -> list[Corruption]:
        if self.clean:
            raise ValueError("--corrupt corrupts --data, which is then clean: omit --clean")
        auto = self.corrupt == "auto"
        specs = list(model.config.corruptions) if auto else parse_specs(self.corrupt or "")
        if not specs:
            raise ValueError(
                f"the {model.config.model!r} model was trained without corruptions: "
                f"name one with --corrupt {'|'.join(CORRUPTIONS)}"
            )
        corruptions = [_build(spec) for spec in specs]
        rgb = model.observation_space.shape[2:] == (3,)
        if not rgb and any(corruption.colour_only for corruption in corruptions):
            raise ValueError(
                "'greyscale' removes the colour of images (H, W, 3), "
                f"the model takes {describe_space(model.observation_space)}"
            )
        return corruptions

    def _figure(self, model: Autoencoder, clean: Frames | None, corrupted: Frames) -> Figure:
        chosen = evenly_spaced(len(corrupted), self.count)
        before, after = model.preprocessed(corrupted[chosen]), model.reconstruct(corrupted[chosen])
        if clean is None:
            return pair_sheet(model, ("corrupted", "restored"), before, after)
        target = model.preprocessed(clean[chosen])
        if is_image(model.observation_space):
            rows = [model_images(model, batch) for batch in (target, before, after)]
            return image_sheet(rows, Labels(rows=("clean", "corrupted", "restored"), fold=True))
        return comparison_sheet(
            model,
            ("corrupted or restored", "clean"),
            [(before, target), (after, target)],
            Labels(rows=("corrupted", "restored"), fold=True),
        )


def _build(spec: Spec) -> Corruption:
    try:
        return CORRUPTIONS.build(spec)
    except TypeError as error:
        raise ValueError(f"corruption {dict(spec)} cannot be built: {error}") from error


def _restored(
    model: Autoencoder, corrupted: Frames, clean: Frames | None, errors: Errors
) -> Iterator[Array]:
    done = 0
    for batch in in_batches(corrupted, "restoring"):
        restored = model.reconstruct(batch)
        if clean is not None:
            target = model.preprocessed(clean[done : done + len(batch)])
            errors.add("corrupted", model.preprocessed(batch), target)
            errors.add("restored", restored, target)
        done += len(batch)
        yield restored


def corrupt_observations(
    model: Autoencoder, observations: Array, corruptions: Sequence[Corruption], generator: Generator
) -> Array:
    """Return corrupted copies of observations in the environment's units and dtype.

    Corruptions act in the network's units, as in training, so that their strength is the same.
    """
    x, _ = corrupt(corruptions, _scaled(model, torch.from_numpy(observations)), generator)
    corrupted = model.preprocess.inverse(x.to(model.device)).cpu().numpy()
    return corrupted.reshape(observations.shape).astype(observations.dtype)


def _scaled(model: Autoencoder, observations: Tensor) -> Tensor:
    """Scale observations as the preprocessing does, without its cropping and resizing."""
    pre = model.preprocess
    if not isinstance(pre, ImagePreprocessor):
        x: Tensor = pre(observations.to(model.device))
        return x.cpu()
    # The file of corrupted images keeps their full size; the network resizes it when restoring.
    images = observations if observations.ndim == 4 else observations[..., None]
    return pre.scale(images.permute(0, 3, 1, 2).to(model.device)).cpu()
