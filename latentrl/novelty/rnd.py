"""Prediction errors as bonuses: RND and ICM, on codes or on pixels."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from latentrl.models.backbones import BACKBONES, default_backbone, dense
from latentrl.novelty.base import NOVELTIES, Bonus
from latentrl.training.optimizer_state import PREFIX, load_optimizer_tensors, optimizer_tensors
from latentrl.types import Array

CLIP = 5.0
"""Normalised inputs lie in -5 to 5, as in both papers' code."""
GENERATOR = "generator"


class Normalised(nn.Module):
    """Running mean and variance of each value, and what they make of a batch."""

    mean: Tensor
    variance: Tensor
    count: Tensor

    def __init__(self, shape: tuple[int, ...]) -> None:
        """Start from mean 0 and variance 1."""
        super().__init__()
        self.register_buffer("mean", torch.zeros(shape))
        self.register_buffer("variance", torch.ones(shape))
        self.register_buffer("count", torch.tensor(1e-4, dtype=torch.float64))

    def forward(self, x: Tensor) -> Tensor:
        """Return ``x (B, *shape)`` standardised and clipped."""
        return ((x - self.mean) / (self.variance + 1e-8).sqrt()).clamp(-CLIP, CLIP)

    @torch.no_grad()
    def learn(self, x: Tensor) -> None:
        """Take a batch into the statistics (Chan et al. 1983)."""
        mean, variance, count = x.mean(0), x.var(0, correction=0), len(x)
        total, delta = self.count + count, mean - self.mean
        share = (count / total).to(x.dtype)
        self.variance += share * (variance - self.variance) + share * (1 - share) * delta.square()
        self.mean += share * delta
        self.count.copy_(total)


class _Predicting(Bonus):
    """What RND and ICM share: inputs, an optimizer and the saving of networks."""

    networks: nn.Module
    optimizer: torch.optim.Optimizer

    def __init__(self, of: Literal["latents", "pixels"], learning_rate: float, seed: int) -> None:
        if of not in ("latents", "pixels"):
            raise ValueError(f"unknown inputs {of!r}; known: latents, pixels")
        if not learning_rate > 0:
            raise ValueError(f"learning_rate must be positive, got {learning_rate}")
        self.of, self.learning_rate = of, learning_rate
        self.generator = torch.Generator().manual_seed(seed)
        self.seed, self.error = seed, 0.0
        self._pending: Mapping[str, Tensor] = {}
        self.ready = False

    def inputs(self, observations: Array, latents: Array) -> Tensor:
        """Return what is predicted, channels first for pixels.

        Raises:
            ValueError: pixels are to be predicted of what is no batch of images.
        """
        if self.of == "latents":
            return torch.from_numpy(np.require(latents, np.float32, ["C", "W"]))
        frames = (
            observations[..., None]
            if observations.ndim == 3 and observations.dtype == np.uint8
            else observations
        )
        if frames.ndim != 4:
            raise ValueError(
                f"of='pixels' needs images (B, H, W, C), got shape {observations.shape}; use of='latents'"
            )
        return (
            torch.from_numpy(np.require(frames, requirements=["C", "W"]))
            .permute(0, 3, 1, 2)
            .float()
            / 255
        )

    def prepare(self, x: Tensor) -> None:
        """Build the networks at the first batch, whose shape they need."""
        if self.ready:
            return
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(self.seed)
            self.networks = self.build(tuple(x.shape[1:]))
        weights = [weight for weight in self.networks.parameters() if weight.requires_grad]
        self.optimizer = torch.optim.Adam(weights, self.learning_rate)
        self.ready = True
        if self._pending:
            self._restore()

    def build(self, shape: tuple[int, ...]) -> nn.Module:
        """Return the networks for inputs of ``shape``."""
        raise NotImplementedError

    def descend(self, loss: Tensor) -> None:
        """Take one step."""
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        self.optimizer.step()

    def state_dict(self) -> dict[str, Tensor]:
        """Return the networks, the optimizer's moments and where the random numbers stand."""
        if not self.ready:
            return dict(self._pending)
        weights = {name: weight.clone() for name, weight in self.networks.state_dict().items()}
        return {
            **weights,
            **optimizer_tensors(self.optimizer),
            GENERATOR: self.generator.get_state(),
        }

    def load_state_dict(self, state: Mapping[str, Tensor]) -> None:
        """Take what ``state`` returned."""
        self._pending = dict(state)
        if self.ready:
            self._restore()

    def _restore(self) -> None:
        own = (name for name in self._pending if name != GENERATOR and not name.startswith(PREFIX))
        self.networks.load_state_dict({name: self._pending[name] for name in own})
        load_optimizer_tensors(self.optimizer, self._pending)
        self.generator.set_state(self._pending[GENERATOR])

    def metrics(self) -> dict[str, float]:
        """Return the newest mean error."""
        return {"prediction_error": self.error}


def _spread(layer: nn.Module) -> None:
    """Start a layer as the paper's code does, so that features vary with the input: PyTorch's own
    are nearly flat.
    """
    if isinstance(layer, nn.Linear | nn.Conv2d):
        nn.init.orthogonal_(layer.weight, 2**0.5)
        assert layer.bias is not None
        nn.init.zeros_(layer.bias)


@NOVELTIES.register("rnd")
class RND(_Predicting):
    """Error in predicting a fixed random network (Burda et al. 2018, arXiv:1810.12894).

    Inputs are normalised by running statistics and clipped to -5..5; a quarter of the states train
    the predictor. ``NormalizedBonus`` does the rest of the paper: warm-up and the unit of the
    returns.
    """

    def __init__(
        self,
        of: Literal["latents", "pixels"] = "latents",
        features: int = 64,
        share: float = 0.25,
        learning_rate: float = 1e-4,
        seed: int = 0,
    ) -> None:
        """Predict ``features`` random features of codes or pixels.

        Raises:
            ValueError: a value has no meaning.
        """
        super().__init__(of, learning_rate, seed)
        if features < 1 or not 0 < share <= 1:
            raise ValueError(
                f"RND needs features >= 1 and a share in (0, 1], got {features} and {share}"
            )
        self.features, self.share = features, share

    def build(self, shape: tuple[int, ...]) -> nn.Module:
        """Return normalisation, target and predictor; the predictor is two layers deeper."""
        backbone = BACKBONES.build(
            {"name": "mlp", "hidden": (128, 128)} if len(shape) == 1 else default_backbone(shape)
        )
        target = backbone.encoder(shape, self.features).requires_grad_(False)
        deeper = dense((self.features, 128, 128, self.features))
        predictor = nn.Sequential(backbone.encoder(shape, self.features), nn.ReLU(), deeper)
        return nn.ModuleDict(
            {"normalised": Normalised(shape), "target": target, "predictor": predictor}
        ).apply(_spread)

    def _errors(self, x: Tensor) -> Tensor:
        assert isinstance(self.networks, nn.ModuleDict)
        x = self.networks["normalised"](x)
        errors: Tensor = (
            (self.networks["predictor"](x) - self.networks["target"](x)).square().mean(1)
        )
        return errors

    @torch.no_grad()
    def score(self, observations: Array, latents: Array) -> Array:
        """Return the mean squared errors."""
        x = self.inputs(observations, latents)
        self.prepare(x)
        return self._errors(x).numpy()

    def update(self, observations: Array, latents: Array) -> None:
        """Learn statistics from all states, and the prediction from a share of them."""
        x = self.inputs(observations, latents)
        self.prepare(x)
        assert isinstance(self.networks, nn.ModuleDict)
        normalised = self.networks["normalised"]
        assert isinstance(normalised, Normalised)
        normalised.learn(x)
        chosen = torch.rand(len(x), generator=self.generator) < self.share
        if chosen.any():
            loss = self._errors(x[chosen]).mean()
            self.error = float(loss.detach())
            self.descend(loss)


@NOVELTIES.register("icm")
class ICM(_Predicting):
    """Error in predicting the features of the next state from the action (Pathak et al. 2017,
    arXiv:1705.05363).

    Features are those that tell the action apart: the inverse model trains them, the forward model
    does not. For discrete actions.
    """

    def __init__(
        self,
        actions: int,
        of: Literal["latents", "pixels"] = "latents",
        features: int = 64,
        inverse: float = 0.8,
        learning_rate: float = 1e-3,
        seed: int = 0,
    ) -> None:
        """Predict for ``actions`` discrete actions; ``inverse`` is the inverse model's share of the
        loss.

        Raises:
            ValueError: a value has no meaning.
        """
        super().__init__(of, learning_rate, seed)
        if actions < 2 or features < 1 or not 0 < inverse < 1:
            raise ValueError(
                "ICM needs at least 2 discrete actions, features >= 1 and 0 < inverse < 1, got "
                f"actions={actions}, features={features}, inverse={inverse}"
            )
        self.actions, self.features, self.inverse = actions, features, inverse
        self._chosen = torch.zeros(0, dtype=torch.int64)
        self._before: Tensor | None = None
        self._rows: Tensor | None = None

    def build(self, shape: tuple[int, ...]) -> nn.Module:
        """Return normalisation, features, forward and inverse model."""
        backbone = BACKBONES.build(
            {"name": "mlp", "hidden": (128,)} if len(shape) == 1 else default_backbone(shape)
        )
        parts = {
            "normalised": Normalised(shape),
            "features": backbone.encoder(shape, self.features),
            "forward_model": dense((self.features + self.actions, 128, self.features)),
            "inverse_model": dense((2 * self.features, 128, self.actions)),
        }
        return nn.ModuleDict(parts)

    def act(self, actions: Array) -> None:
        """Keep the actions that lead to the next states.

        Raises:
            ValueError: they are not whole numbers from 0 to ``actions - 1``, one for each
                environment.
        """
        chosen = np.asarray(actions)
        if (
            chosen.dtype.kind not in "iu"
            or chosen.ndim != 1
            or not ((chosen >= 0) & (chosen < self.actions)).all()
        ):
            raise ValueError(
                f"ICM is for discrete actions (B,), here 0 to {self.actions - 1}, got {chosen.dtype} {chosen.tolist()}"
            )
        self._chosen = torch.from_numpy(chosen.astype(np.int64))

    def begin(self, observations: Array, latents: Array, rows: Array) -> None:
        """Take these states as the ones that the next actions leave."""
        x, chosen = self.inputs(observations, latents), torch.from_numpy(rows)
        if self._before is None or len(self._before) != len(x):
            self._before = x.clone()
        self._before[chosen] = x[chosen]

    def select(self, rows: Array) -> None:
        """Take the next batch for these environments."""
        self._rows = torch.from_numpy(rows)

    def _models(self, x: Tensor, before: Tensor, taken: Tensor) -> tuple[Tensor, Tensor]:
        assert isinstance(self.networks, nn.ModuleDict)
        network = self.networks
        left, after = (network["features"](network["normalised"](part)) for part in (before, x))
        action = F.one_hot(taken, self.actions).float()
        predicted = network["forward_model"](torch.cat([left.detach(), action], 1))
        errors = 0.5 * (predicted - after.detach()).square().mean(1)
        guess = network["inverse_model"](torch.cat([left, after], 1))
        return errors, F.cross_entropy(guess, taken)

    def _left(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return the states that were left, the actions taken there, and the numbers of their
        environments.
        """
        rows = torch.arange(len(x)) if self._rows is None else self._rows
        if self._before is None or len(self._chosen) != len(self._before):
            raise ValueError(
                "ICM needs begin() with the first states and act() before every step; wrap() calls both"
            )
        return self._before[rows], self._chosen[rows], rows

    @torch.no_grad()
    def score(self, observations: Array, latents: Array) -> Array:
        """Return the forward model's errors.

        Raises:
            ValueError: the states that were left, or the actions, are not known.
        """
        x = self.inputs(observations, latents)
        self.prepare(x)
        before, taken, _ = self._left(x)
        return self._models(x, before, taken)[0].numpy()

    def update(self, observations: Array, latents: Array) -> None:
        """Train both models, and step on to the states reached."""
        x = self.inputs(observations, latents)
        self.prepare(x)
        before, taken, rows = self._left(x)
        assert isinstance(self.networks, nn.ModuleDict)
        normalised = self.networks["normalised"]
        assert isinstance(normalised, Normalised)
        normalised.learn(x)
        errors, surprise = self._models(x, before, taken)
        self.error = float(errors.detach().mean())
        self.descend((1 - self.inverse) * errors.mean() + self.inverse * surprise)
        assert self._before is not None
        self._before[rows] = x
