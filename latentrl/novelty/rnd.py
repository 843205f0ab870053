"""Random network distillation."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor, nn

from latentrl.models.backbones import BACKBONES, default_backbone, dense
from latentrl.novelty.base import BONUSES
from latentrl.novelty.prediction import PredictionBonus, RunningNormalizer
from latentrl.training.optimizer_state import gradient_step
from latentrl.types import Array, Transitions

HIDDEN = (128, 128)


class RND(PredictionBonus):
    """Error of a network that predicts the output of a fixed random network.

    Burda et al. 2018, arXiv:1810.12894. Where states were visited often, the predictor is accurate.
    Inputs are normalised and clipped as in section 2.4, and a random fraction of the states trains
    the predictor (section 3.4). ``NormalizedBonus`` adds warm-up and the unit of the returns.
    """

    def __init__(
        self,
        of: Literal["latents", "pixels"] = "latents",
        features: int = 64,
        fraction: float = 0.25,
        learning_rate: float = 1e-4,
        seed: int = 0,
    ) -> None:
        """Predict random features of the next state.

        Args:
            of: "latents", or "pixels" of image observations.
            features: number of random features.
            fraction: of the states that train the predictor, so that many parallel environments do
                not train it faster.
            learning_rate: Adam learning rate.
            seed: of the networks and of the choice of states.

        Raises:
            ValueError: a value is out of range.
        """
        super().__init__(of, learning_rate, seed)
        if features < 1 or not 0 < fraction <= 1:
            raise ValueError(
                "RND needs features >= 1 and a fraction in (0, 1], "
                f"got features={features}, fraction={fraction}"
            )
        self.features, self.fraction = features, fraction

    def build(self, shape: tuple[int, ...]) -> dict[str, nn.Module]:
        """Return normaliser, target and predictor, which is two layers deeper."""
        vector = {"name": "mlp", "hidden": HIDDEN}
        backbone = BACKBONES.build(vector if len(shape) == 1 else default_backbone(shape))
        target = backbone.encoder(shape, self.features).requires_grad_(False)
        deeper = dense((self.features, *HIDDEN, self.features))
        predictor = nn.Sequential(backbone.encoder(shape, self.features), nn.ReLU(), deeper)
        for network in (target, predictor):
            network.apply(_orthogonal)
        return {"normalizer": RunningNormalizer(shape), "target": target, "predictor": predictor}

    def score(self, transitions: Transitions) -> Array:
        """Return the mean squared prediction error of each next state, float32 ``(B,)``."""
        x = self.inputs(transitions.next_observations, transitions.next_latents)
        with torch.no_grad():
            return self._errors(self.networks(x), x).numpy()

    def update(self, transitions: Transitions) -> None:
        """Train the predictor, and update the normaliser."""
        self.step(transitions)

    def step(self, transitions: Transitions) -> Array:
        """Score, then update; each state passes through the networks once."""
        x = self.inputs(transitions.next_observations, transitions.next_latents)
        networks = self.networks(x)
        chosen = torch.rand(len(x), generator=self.generator) < self.fraction
        errors = torch.empty(len(x))
        # Two passes over disjoint rows: the states that do not train need no graph.
        with torch.no_grad():
            errors[~chosen] = self._errors(networks, x[~chosen])
        if chosen.any():
            trained = self._errors(networks, x[chosen])
            errors[chosen] = trained.detach()
            self.error = float(trained.detach().mean())
            gradient_step(trained.mean(), self.optimizer)
        # After the gradient step: the scores are those of the statistics before this batch.
        self.normalize_by(networks, x)
        return errors.numpy()

    def _errors(self, networks: nn.ModuleDict, x: Tensor) -> Tensor:
        """Return the mean squared error over the features of each of ``x (B, *shape)``."""
        x = networks["normalizer"](x)
        errors: Tensor = (networks["predictor"](x) - networks["target"](x)).square().mean(1)
        return errors


def _orthogonal(layer: nn.Module) -> None:
    # As the paper's code: with PyTorch's default the features of a random network are nearly
    # constant over its inputs, and there is nothing to predict.
    if isinstance(layer, nn.Linear | nn.Conv2d):
        nn.init.orthogonal_(layer.weight, 2**0.5)
        assert layer.bias is not None
        nn.init.zeros_(layer.bias)


@BONUSES.register("rnd")
def rnd(seed: int) -> RND:
    """Prediction error of a random network's features of the latent."""
    return RND(seed=seed)
