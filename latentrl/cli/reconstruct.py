"""Verb ``reconstruct``: encode observations and decode them again."""

from __future__ import annotations

from dataclasses import dataclass

from latentrl.cli.base import VERBS, Metrics, Output, at_least
from latentrl.cli.data import DataVerb, in_batches, reconstruction_metrics
from latentrl.data.frames import evenly_spaced
from latentrl.models.autoencoder import Autoencoder
from latentrl.training.health import health
from latentrl.viz.decoded import reconstruction_sheet


@VERBS.register("reconstruct")
@dataclass(frozen=True, kw_only=True)
class Reconstruct(DataVerb):
    """Encode observations and decode them again."""

    count: int = 10
    """Number of observations in the image."""

    def run(self, model: Autoencoder, output: Output) -> Metrics:
        """Write reconstructions.npy and reconstructions.png."""
        at_least(1, count=self.count)
        frames = self.read_complete(self.data, model)
        decoded = in_batches(frames, "reconstructing", model.reconstruct)
        output.stream("reconstructions.npy", decoded, len(frames), model.preprocess.output_space)
        some = frames[evenly_spaced(len(frames), self.count)]
        output.figure("reconstructions.png", reconstruction_sheet(model, some))
        return reconstruction_metrics(model, health(model, frames))
