"""A user's own registered components: built by name, trained, saved, loaded, resumed."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Generator, Tensor, nn

import latentrl as lrl
from latentrl.cli.options import parse_options
from latentrl.models import make
from latentrl.models.autoencoder import Autoencoder
from latentrl.models.backbones import BACKBONES, Backbone, Shape
from latentrl.models.corruptions import CORRUPTIONS, Corruption, corrupt
from latentrl.models.heads import GaussianPosterior
from latentrl.models.losses import LOSSES, Batch, Loss
from latentrl.utils.registry import Registry
from tests.latentrl.models.helpers import SHORT, same_bits, scaled, seeded

TRAINED = [
    lrl.ae,
    lrl.beta_tcvae,
    lrl.beta_vae,
    lrl.binary_ae,
    lrl.contractive_ae,
    lrl.dae_beta_vae,
    lrl.denoising_ae,
    lrl.dip_vae,
    lrl.factor_vae,
    lrl.inpainting_ae,
    lrl.psd_ae,
    lrl.sparse_ae,
    lrl.vae,
]
WARM = pytest.mark.filterwarnings("ignore:the latents have collapsed")  # too short to learn


@dataclass(frozen=True)
class Smoothness(Loss):
    """A user's loss: weight * squared difference of neighbouring latents."""

    weight: float = 1.0

    def __call__(self, batch: Batch) -> Tensor:
        return self.weight * (batch.z[:, 1:] - batch.z[:, :-1]).square().sum(1).mean()


class GaussianOnly(Smoothness):
    """A user's loss that needs a Gaussian posterior."""

    needs = GaussianPosterior


@dataclass(frozen=True)
class FirstValue(Corruption):
    """A user's corruption: removes the first value of each vector."""

    def __call__(self, x: Tensor, generator: Generator) -> tuple[Tensor, Tensor]:
        mask = torch.zeros_like(x, dtype=torch.bool)
        mask[:, 0] = True
        return torch.where(mask, 0.0, x), mask


class OneLayer(Backbone):
    """A user's backbone, for vectors."""

    def encoder(self, shape: Shape, outputs: int) -> nn.Module:
        return nn.Sequential(nn.Linear(shape[0], outputs), nn.Tanh())

    def decoder(self, latent_dim: int, shape: Shape) -> nn.Module:
        return nn.Linear(latent_dim, shape[0])


def added(registry: Registry[Any], **components: Any) -> Iterator[None]:
    for name, component in components.items():
        registry.register(name)(component)
    yield
    for name in components:
        del registry._parts[name]


@pytest.fixture(autouse=True)
def registered() -> Iterator[None]:
    """Register the components above for the time of a test."""
    for _ in added(LOSSES, smoothness=Smoothness, gaussian_only=GaussianOnly):
        for _ in added(CORRUPTIONS, first_value=FirstValue):
            yield from added(BACKBONES, one_layer=OneLayer)


def make_mine() -> Autoencoder:
    return seeded(
        lrl.beta_vae,
        (8,),
        3,
        backbone="one_layer",
        losses=[{"name": "smoothness", "weight": 2.0}],
        corruptions=["first_value", {"name": "gaussian_noise", "std": 0.1}],
    )


@pytest.mark.parametrize("function", TRAINED, ids=lambda function: function.__name__)
def test_every_model_function_takes_losses_and_corruptions(function: Any, vectors: Any) -> None:
    plain = function((8,), 3)
    model = function((8,), 3, losses=["smoothness"], corruptions=["first_value"])
    assert model.config.losses == [*plain.config.losses, {"name": "smoothness"}]
    assert model.config.corruptions == [*plain.config.corruptions, {"name": "first_value"}]
    x = scaled(model, vectors[:16])
    inputs, mask, noise = model.sample_noise(x, Generator().manual_seed(0))
    assert mask[:, 0].all()
    terms, batch = model.losses(x, inputs, mask, noise, 0)
    assert list(terms)[-1] == "smoothness"
    assert batch.mask is mask
    expected = (batch.z[:, 1:] - batch.z[:, :-1]).square().sum(1).mean()
    torch.testing.assert_close(terms["smoothness"], expected)


@WARM
def test_a_users_model_is_trained_saved_loaded_and_resumed(vectors: Any, tmp_path: Path) -> None:
    whole, interrupted, resumed = make_mine(), make_mine(), make_mine()
    expected = lrl.fit(whole, vectors, SHORT, progress=False)
    assert expected.epochs[-1]["train/smoothness"] > 0
    with pytest.raises(KeyboardInterrupt):
        lrl.fit(interrupted, vectors, SHORT, path=tmp_path, callbacks=[Stop()], progress=False)
    assert lrl.fit(resumed, vectors, SHORT, path=tmp_path, resume=True, progress=False) == expected
    assert same_bits(resumed, whole)
    loaded = lrl.load(tmp_path, "cpu")
    assert same_bits(loaded, whole)
    assert isinstance(loaded.loss_terms[-1], Smoothness)


class Stop:
    """Interrupts a fit after its first epoch."""

    def on_epoch_end(self, model: Any, validation: Any, row: Any, health: Any) -> None:
        if row["step"] < 20:
            raise KeyboardInterrupt


def test_options_in_words_reach_a_users_component() -> None:
    options = parse_options("vae", ["losses=[{name: smoothness, weight: 3}]", "backbone=one_layer"])
    model = make("vae", (8,), latent_dim=3, **options)
    assert model.loss_terms[-1] == Smoothness(3)


def test_mistakes_are_named_by_the_users_own_names() -> None:
    with pytest.raises(ValueError, match="loss 'smoothness' has no 'wieght'; it takes: weight"):
        lrl.vae((8,), 3, losses=[{"name": "smoothness", "wieght": 1.0}])
    with pytest.raises(
        ValueError, match=r"loss 'gaussian_only' needs a Gaussian posterior .*, not head 'point'"
    ):
        lrl.ae((8,), 3, losses=["gaussian_only"])
    with pytest.raises(ValueError, match="loss 'kl' is given twice: a model has one term of each"):
        lrl.vae((8,), 3, losses=[{"name": "kl", "beta": 2.0}])
    with pytest.raises(ValueError, match=r"unknown loss 'smothness'; known: .*smoothness"):
        lrl.vae((8,), 3, losses=["smothness"])


# Corruptions that do not keep to the protocol


def own(function: Any) -> Corruption:
    """A user's corruption, whose ``__call__`` is ``function``."""
    return type("Own", (Corruption,), {"__call__": lambda self, *args: function(*args)})()


def in_place(x: Tensor, generator: Generator) -> tuple[Tensor, None]:
    x += torch.randn(x.shape, generator=generator)
    return x, None


def by_numpy(x: Tensor, generator: Generator) -> tuple[Tensor, None]:
    x.numpy()[:, 0] = 7
    return x, None


@pytest.mark.parametrize("function", [in_place, by_numpy])
def test_a_corruption_in_place_leaves_the_target_clean(function: Any) -> None:
    x = torch.rand(6, 8)
    kept = x.clone()
    corrupted, _ = corrupt([own(function), own(function)], x, Generator().manual_seed(0))
    assert torch.equal(x, kept)
    assert not torch.equal(corrupted, kept)
    assert corrupt([], x, Generator())[0] is x


@pytest.mark.parametrize(
    ("returned", "error", "message"),
    [
        (lambda x: x, TypeError, "a pair, .* got Tensor"),
        (lambda x: (x, None, None), TypeError, "a pair, .* got tuple"),
        (
            lambda x: (x[:, 1:], None),
            ValueError,
            r"a batch of shape \(6, 8\), got float32 \(6, 7\)",
        ),
        (lambda x: (None, None), ValueError, r"a batch of shape \(6, 8\), got NoneType"),
        (
            lambda x: (x.double(), None),
            TypeError,
            r"float32 on cpu as it got, not float64 on cpu: return corrupted\.to\(x\)",
        ),
        (lambda x: (255 * x.byte(), None), TypeError, "float32 on cpu as it got, not uint8 on cpu"),
        (lambda x: (x > 0.5, x > 0.5), TypeError, "float32 on cpu as it got, not bool on cpu"),
        (lambda x: (x.to("meta"), None), TypeError, "as it got, not float32 on meta"),
        (lambda x: (x, x), TypeError, r"a bool tensor as its mask, .*, got float32 \(6, 8\)"),
        (lambda x: (x, x.numpy() > 0), TypeError, "a bool tensor as its mask, .*, got ndarray"),
        (lambda x: (x, x[:4] > 0), ValueError, r"broadcasts to \(6, 8\), got \(4, 8\)"),
        (lambda x: (x, x[:, :6] > 0), ValueError, r"broadcasts to \(6, 8\), got \(6, 6\)"),
        (lambda x: (x, x[None] > 0), ValueError, r"broadcasts to \(6, 8\), got \(1, 6, 8\)"),
    ],
)
def test_what_a_corruption_returns_is_checked(returned: Any, error: Any, message: str) -> None:
    with pytest.raises(error, match=f"corruption Own must return .*{message}"):
        corrupt([own(lambda x, generator: returned(x))], torch.rand(6, 8), Generator())


# Losses that do not keep to the protocol


@pytest.fixture
def own_loss() -> Iterator[Any]:
    """Train with a user's loss of the batch and the step for 6 steps."""

    def train(function: Any, vectors: Any) -> None:
        @LOSSES.register("own")
        class Own(Loss):
            def __call__(self, batch: Batch) -> Any:
                return function(batch)

        model = seeded(lrl.beta_vae, (8,), 3, losses=["smoothness", "own"])
        config = lrl.FitConfig(steps=6, batch_size=16)
        lrl.fit(model, vectors[:64], config, progress=False)

    yield train
    LOSSES._parts.pop("own", None)


@pytest.mark.parametrize(
    ("function", "error", "message"),
    [
        (lambda batch: batch.z.sum(1), ValueError, r"a scalar, the mean over .* shape \(16,\)"),
        (lambda batch: batch.z, ValueError, r"a scalar, the mean over .* shape \(16, 3\)"),
        (lambda batch: None, TypeError, "a scalar tensor, got NoneType"),
        (lambda batch: 0.5, TypeError, "a scalar tensor, got float"),
    ],
)
def test_what_a_loss_returns_is_checked(
    function: Any, error: Any, message: str, own_loss: Any, vectors: Any
) -> None:
    with pytest.raises(error, match=f"loss 'own' must return {message}"):
        own_loss(function, vectors)


@pytest.mark.parametrize("first", [0, 3])
def test_the_term_that_was_not_finite_first_is_named(
    first: int, own_loss: Any, vectors: Any
) -> None:
    def function(batch: Batch) -> Tensor:
        return batch.z.mean() * (float("nan") if batch.step >= first else 1.0)

    message = "the loss is not finite at step 4, at first in own; lower learning_rate"
    with pytest.raises(FloatingPointError, match=message):
        own_loss(function, vectors)


def test_a_metric_that_is_not_finite_in_a_validation_is_named(own_loss: Any, vectors: Any) -> None:
    def function(batch: Batch) -> Tensor:
        return batch.z.mean() * (1.0 if batch.z.requires_grad else float("inf"))

    with pytest.raises(FloatingPointError, match="at first in validation/loss; lower"):
        own_loss(function, vectors)
