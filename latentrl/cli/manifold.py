"""Verb ``manifold``: decode a grid over two dimensions of the latent."""

from __future__ import annotations

from dataclasses import dataclass

from latentrl.cli.base import VERBS, Metrics, Output
from latentrl.cli.sample import PriorVerb
from latentrl.latents import generate
from latentrl.models.autoencoder import Autoencoder
from latentrl.training.health import latent_order
from latentrl.viz.plots import observation_sheet


@VERBS.register("manifold")
@dataclass(frozen=True, kw_only=True)
class Manifold(PriorVerb):
    """Decode a grid of normal quantiles over two dimensions of the latent."""

    steps: int = 15
    """Positions along each dimension."""
    dimensions: tuple[int, int] | None = None
    """Dimension that changes between rows, and between columns. Default: the two most
    informative."""

    def run(self, model: Autoencoder, output: Output) -> Metrics:
        """Write manifold.npy ``(steps, steps, *shape)`` and manifold.png."""
        decoded = generate.manifold(model, self.steps, self.dimensions)
        output.array("manifold.npy", decoded)
        output.figure("manifold.png", observation_sheet(model, list(decoded)))
        rows, columns = (int(k) for k in self.dimensions or latent_order(model)[:2])
        return {"dimension between rows": rows, "dimension between columns": columns}
