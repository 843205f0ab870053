"""Verb ``reconstruct``: encode observations and decode them again."""

from __future__ import annotations

from dataclasses import dataclass

from latentrl.cli.base import VERBS, Metrics, Output, at_least
from latentrl.cli.data import DataVerb, in_batches, reconstruction_metrics
from latentrl.data.frames import evenly_spaced
from latentrl.models.autoencoder import Autoencoder
from latentrl.models.preprocessing import is_image
from latentrl.training.health import health
from latentrl.types import Array
from latentrl.viz.figures import Figure
from latentrl.viz.images import model_images
from latentrl.viz.plots import comparison_sheet
from latentrl.viz.sheets import Labels, image_sheet


@VERBS.register("reconstruct")
@dataclass(frozen=True, kw_only=True)
class Reconstruct(DataVerb):
    """Encode observations and decode them again."""

    count: int = 10
    """Number of observations in the image."""

    def run(self, model: Autoencoder, output: Output) -> Metrics:
        """Write reconstructions.npy and reconstructions.png."""
        at_least(1, count=self.count)
        frames = self.read(self.data, model)
        decoded = in_batches(frames, "reconstructing", model.reconstruct)
        output.stream("reconstructions.npy", decoded, len(frames), model.preprocess.output_space)
        some = frames[evenly_spaced(len(frames), self.count)]
        pair = model.preprocessed(some), model.reconstruct(some)
        output.figure("reconstructions.png", pair_sheet(model, ("observed", "decoded"), *pair))
        return reconstruction_metrics(model, health(model, frames))


def pair_sheet(model: Autoencoder, names: tuple[str, str], first: Array, second: Array) -> Figure:
    """Draw two batches: images in two rows, sequences and vectors in the same plots."""
    if is_image(model.observation_space):
        rows = [model_images(model, batch) for batch in (first, second)]
        return image_sheet(rows, Labels(rows=names, fold=True))
    return comparison_sheet(model, names, [(first, second)])
