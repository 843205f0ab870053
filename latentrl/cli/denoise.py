"""Observations from damaged ones: reconstruct, denoise."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Generator, Tensor

from latentrl import Frames, health
from latentrl.cli.base import VERBS, Figures, Output, at_least
from latentrl.cli.data import DataVerb, Meter, in_batches, open_data, quality, spread
from latentrl.cli.options import parse_value
from latentrl.models.autoencoder import Autoencoder
from latentrl.models.config import Spec
from latentrl.models.corruptions import CORRUPTIONS, Corruption
from latentrl.models.preprocessing import ImagePreprocessor, is_image
from latentrl.types import Array, describe_space
from latentrl.viz.images import shown
from latentrl.viz.plots import compared
from latentrl.viz.sheets import sheet


@VERBS.register("reconstruct")
@dataclass(frozen=True, kw_only=True)
class Reconstruct(DataVerb):
    """Encode observations and decode them again."""

    count: int = 10
    """How many to show."""

    def run(self, model: Autoencoder, output: Output) -> Figures:
        """Write reconstructions.npy and reconstructions.png."""
        at_least(1, count=self.count)
        frames = open_data(self.data, model)
        restored = in_batches(frames, "reconstructing", model.reconstruct)
        output.stream("reconstructions.npy", restored, len(frames), model.preprocess.output_space)
        some = frames[spread(frames, self.count)]
        rows = [model.preprocessed(some), model.reconstruct(some)]
        output.picture("reconstructions.png", lambda: _pairs(model, ("observed", "decoded"), *rows))
        state = health(model, frames)
        similarity = {} if state.ssim is None else {"SSIM": state.ssim}
        figures = quality(model, "reconstruction", 10 ** (-state.psnr / 10))
        return {**figures, **similarity, "-log p(x | code), nats": state.reconstruction}


@VERBS.register("denoise")
@dataclass(frozen=True, kw_only=True)
class Denoise(DataVerb):
    """Restore damaged observations: noise, blur, missing colour, whatever the model was trained
    against.
    """

    corrupt: str | None = None
    """Damage the data first, and measure: a corruption such as gaussian_noise or '{name: blur,
    sigma: 2}'; auto is the one that the model was trained against. Where not given, the data is
    taken to be damaged already."""
    clean: Path | None = None
    """The same observations undamaged, to measure against."""
    count: int = 10
    """How many to show."""

    def run(self, model: Autoencoder, output: Output) -> Figures:
        """Write restored.npy and restored.png, and damaged.npy where the damage was done here."""
        at_least(1, count=self.count)
        given = open_data(self.data, model)
        clean = given if self.corrupt else open_data(self.clean, model) if self.clean else None
        if clean is not None and len(clean) != len(given):
            raise ValueError(
                f"{self.clean} has {len(clean)} observations, {self.data} {len(given)}"
            )
        damaged = self._damaged(given, model, output) if self.corrupt else given
        meter = Meter(model)
        restored = _restored(model, damaged, clean, meter)
        output.stream("restored.npy", restored, len(given), model.preprocess.output_space)
        output.picture("restored.png", lambda: self._picture(model, clean, damaged))
        return meter.figures()

    def _damaged(self, clean: Frames, model: Autoencoder, output: Output) -> Frames:
        corruptions = self._corruptions(model)
        generator = Generator().manual_seed(self.seed)
        batches = in_batches(
            clean, "damaging", lambda batch: damage(model, batch, corruptions, generator)
        )
        file = output.stream("damaged.npy", batches, len(clean), clean.space)
        return Frames(clean.space, [np.load(file, mmap_mode="r")], np.arange(len(clean)))

    def _corruptions(self, model: Autoencoder) -> list[Corruption]:
        if self.clean:
            raise ValueError("--corrupt damages clean data itself: leave --clean out")
        specs = (
            list(model.config.corruptions) if self.corrupt == "auto" else _specs(self.corrupt or "")
        )
        if not specs:
            raise ValueError(
                f"a {model.config.model!r} model was trained without damage: name it, --corrupt {'|'.join(CORRUPTIONS)}"
            )
        corruptions = [_build(spec) for spec in specs]
        if any(part.colour_only for part in corruptions) and model.observation_space.shape[2:] != (
            3,
        ):
            space = describe_space(model.observation_space)
            raise ValueError(
                f"'greyscale' takes the colour from images (H, W, 3), these are {space}"
            )
        return corruptions

    def _picture(self, model: Autoencoder, clean: Frames | None, damaged: Frames) -> Array:
        chosen = spread(damaged, self.count)
        rows = [model.preprocessed(damaged[chosen]), model.reconstruct(damaged[chosen])]
        if clean is None:
            return _pairs(model, ("damaged", "restored"), *rows)
        target = model.preprocessed(clean[chosen])
        if is_image(model.observation_space):
            return _named_rows(model, ["clean", "damaged", "restored"], [target, *rows])
        return compared(
            model,
            ("damaged, restored", "clean"),
            [(row, target) for row in rows],
            ["damaged", "restored"],
        )


def _specs(text: str) -> list[Spec]:
    value = parse_value(text)
    items = value if isinstance(value, list) else [value]
    return [item if isinstance(item, dict) else {"name": item} for item in items]


def _build(spec: Spec) -> Corruption:
    try:
        return CORRUPTIONS.build(spec)
    except TypeError as error:
        raise ValueError(f"corruption {dict(spec)} cannot be built: {error}") from error


def _restored(
    model: Autoencoder, damaged: Frames, clean: Frames | None, meter: Meter
) -> Iterator[Array]:
    done = 0
    for batch in in_batches(damaged, "restoring"):
        restored = model.reconstruct(batch)
        if clean is not None:
            target = model.preprocessed(clean[done : done + len(batch)])
            meter.add("damaged", model.preprocessed(batch), target)
            meter.add("restored", restored, target)
        done += len(batch)
        yield restored


def damage(
    model: Autoencoder, observations: Array, corruptions: Sequence[Corruption], generator: Generator
) -> Array:
    """Return damaged copies of observations in their own units, images within their range.

    The strength of a corruption is in the network's units, as in training.
    """
    x = _scaled(model, torch.from_numpy(observations))
    for corrupt in corruptions:
        x, _ = corrupt(x, generator)
    damaged = model.preprocess.inverse(x.to(model.device)).cpu().numpy()
    return damaged.reshape(observations.shape).astype(observations.dtype)


def _scaled(model: Autoencoder, observations: Tensor) -> Tensor:
    """Return what the network would see without cropping and resizing."""
    pre = model.preprocess
    if not isinstance(pre, ImagePreprocessor):
        x: Tensor = pre(observations.to(model.device))
        return x.cpu()
    images = observations if observations.ndim == 4 else observations[..., None]
    return (images.permute(0, 3, 1, 2).float() - pre.low) / (pre.high - pre.low)


def _pairs(model: Autoencoder, names: tuple[str, str], given: Array, made: Array) -> Array:
    if is_image(model.observation_space):
        return _named_rows(model, names, [given, made])
    return compared(model, names, [(given, made)])


def _named_rows(model: Autoencoder, names: Sequence[str], rows: Sequence[Array]) -> Array:
    return sheet([shown(model, row) for row in rows], names, fold=True)
