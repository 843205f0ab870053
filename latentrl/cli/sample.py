"""Verb ``sample``: decode latents drawn from the prior."""

from __future__ import annotations

from dataclasses import dataclass

from latentrl.cli.base import VERBS, Metrics, Output, Verb
from latentrl.latents import generate
from latentrl.models.autoencoder import Autoencoder
from latentrl.viz.plots import observation_sheet
from latentrl.viz.sheets import Labels


class PriorVerb(Verb):
    """A use of the prior, which only variational models have."""

    def check(self, model: Autoencoder) -> None:
        """Raise ``TypeError`` if the latents of ``model`` have no known distribution."""
        generate.sample(model, 1)


@VERBS.register("sample")
@dataclass(frozen=True, kw_only=True)
class Sample(PriorVerb):
    """Decode latents drawn from the prior: new observations."""

    count: int = 64
    """Number of samples."""
    temperature: float = 1.0
    """Standard deviation of the latents; below 1 samples are more typical and less diverse."""

    def run(self, model: Autoencoder, output: Output) -> Metrics:
        """Write samples.npy and samples.png."""
        samples = generate.sample(model, self.count, self.temperature, self.seed)
        output.array("samples.npy", samples)
        output.figure("samples.png", observation_sheet(model, [samples], Labels(fold=True)))
        return {}
