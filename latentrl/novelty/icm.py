"""Intrinsic curiosity module."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
import torch
from gymnasium import spaces
from torch import Tensor, nn
from torch.nn import functional as F

from latentrl.models.backbones import BACKBONES, default_backbone, dense
from latentrl.novelty.base import BONUSES
from latentrl.novelty.prediction import PredictionBonus, RunningNormalizer
from latentrl.training.optimizer_state import gradient_step
from latentrl.types import Array, Transitions

HIDDEN = 128


class ICM(PredictionBonus):
    """Error of a forward model that predicts the features of the next state from the action.

    Pathak et al. 2017, arXiv:1705.05363. An inverse model, which predicts the action from the
    features of both states, trains the features: they keep what the agent controls. For discrete
    actions.
    """

    def __init__(
        self,
        actions: int,
        of: Literal["latents", "pixels"] = "latents",
        features: int = 64,
        inverse_weight: float = 0.8,
        learning_rate: float = 1e-3,
        seed: int = 0,
    ) -> None:
        """Predict the next state under each of ``actions`` discrete actions.

        Args:
            actions: number of actions.
            of: "latents", or "pixels" of image observations.
            features: number of features.
            inverse_weight: 1 - beta of equation 7; the forward model has the weight beta.
            learning_rate: Adam learning rate.
            seed: of the networks.

        Raises:
            ValueError: a value is out of range.
        """
        super().__init__(of, learning_rate, seed)
        if actions < 2 or features < 1 or not 0 < inverse_weight < 1:
            raise ValueError(
                "ICM needs at least 2 discrete actions, features >= 1 and 0 < inverse_weight < 1, "
                f"got actions={actions}, features={features}, inverse_weight={inverse_weight}"
            )
        self.actions, self.features, self.inverse_weight = actions, features, inverse_weight

    def build(self, shape: tuple[int, ...]) -> dict[str, nn.Module]:
        """Return normaliser, features, forward and inverse model."""
        vector = {"name": "mlp", "hidden": (HIDDEN,)}
        backbone = BACKBONES.build(vector if len(shape) == 1 else default_backbone(shape))
        return {
            "normalizer": RunningNormalizer(shape),
            "features": backbone.encoder(shape, self.features),
            "forward_model": dense((self.features + self.actions, HIDDEN, self.features)),
            "inverse_model": dense((2 * self.features, HIDDEN, self.actions)),
        }

    def score(self, transitions: Transitions) -> Array:
        """Return the forward model's errors, float32 ``(B,)``.

        Raises:
            ValueError: the actions are not integers from 0 to ``actions - 1``.
        """
        with torch.no_grad():
            return self._losses(transitions)[0].numpy()

    def update(self, transitions: Transitions) -> None:
        """Train both models, and update the normaliser."""
        self.step(transitions)

    def step(self, transitions: Transitions) -> Array:
        """Score, then update, from one pass through the networks."""
        errors, inverse_loss, x, networks = self._losses(transitions)
        scores = errors.detach()
        self.error = float(scores.mean())
        forward_weight = 1 - self.inverse_weight
        gradient_step(
            forward_weight * errors.mean() + self.inverse_weight * inverse_loss, self.optimizer
        )
        self.normalize_by(networks, x)
        return scores.numpy()

    def _losses(self, transitions: Transitions) -> tuple[Tensor, Tensor, Tensor, nn.ModuleDict]:
        """Return forward errors ``(B,)``, the inverse model's loss, next states and networks."""
        actions = self._actions(transitions.actions)
        x = self.inputs(transitions.observations, transitions.latents)
        next_x = self.inputs(transitions.next_observations, transitions.next_latents)
        networks = self.networks(next_x)
        features = networks["features"](networks["normalizer"](x))
        next_features = networks["features"](networks["normalizer"](next_x))
        # Equations 5 and 6. Both features are detached: the forward model must not train them, or
        # they would become constant, which is easy to predict.
        one_hot = F.one_hot(actions, self.actions).float()
        predicted = networks["forward_model"](torch.cat([features.detach(), one_hot], 1))
        errors = 0.5 * (predicted - next_features.detach()).square().mean(1)
        # Equation 3.
        logits = networks["inverse_model"](torch.cat([features, next_features], 1))
        return errors, F.cross_entropy(logits, actions), next_x, networks

    def _actions(self, actions: Array) -> Tensor:
        integers = actions.dtype.kind in "iu" and actions.ndim == 1
        if not integers or not ((actions >= 0) & (actions < self.actions)).all():
            raise ValueError(
                f"ICM is for discrete actions (B,), here 0 to {self.actions - 1}, "
                f"got {actions.dtype} {actions.tolist()}"
            )
        return torch.from_numpy(actions.astype(np.int64))


@BONUSES.register("icm")
def icm(action_space: spaces.Space[Any] | None, seed: int) -> ICM:
    """Prediction error of the next latent's features from the action."""
    if not isinstance(action_space, spaces.Discrete):
        raise ValueError(
            f"novelty 'icm' needs discrete actions, and these are {action_space}; use 'rnd'"
        )
    if action_space.start != 0:
        raise ValueError(
            f"novelty 'icm' counts actions from 0, and these are {action_space}: wrap the "
            "environment with gymnasium.wrappers.TransformAction, or use 'rnd'"
        )
    return ICM(int(action_space.n), seed=seed)
