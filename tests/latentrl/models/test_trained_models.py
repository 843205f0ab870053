"""What the models of the family promise once they are trained: against closed forms, and against
one another."""

from __future__ import annotations

import copy
import functools
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from gymnasium import spaces
from scipy.stats import multivariate_normal
from torch import Tensor, nn

import latentrl as lrl
from latentrl.models.autoencoder import Autoencoder
from latentrl.models.inference import INFERENCES
from latentrl.models.losses.latent import squared_jacobian
from latentrl.training.fit import FitConfig

BACKBONE = {"name": "mlp", "hidden": (16,)}
LINEAR = {"name": "linear"}
SHORT = FitConfig(epochs=2, batch_size=64, device="cpu", precision="float32", seed=3)
WARM = pytest.mark.filterwarnings("ignore:the code has collapsed")  # too short to learn


def fit(
    model: Autoencoder, data: Any, steps: int = 300, rate: float = 5e-3, **options: Any
) -> lrl.History:
    settings = {
        "steps": steps,
        "learning_rate": rate,
        "batch_size": 64,
        "device": "cpu",
        "precision": "float32",
    }
    return lrl.fit(model, data, FitConfig(**settings), progress=False, **options)


def seeded(make: Callable[..., Autoencoder], *arguments: Any, **options: Any) -> Autoencoder:
    torch.manual_seed(0)
    return make(*arguments, **options)


def scaled(model: Autoencoder, data: Any) -> Tensor:
    return model.preprocess(torch.from_numpy(data))


def first_linear(network: nn.Module) -> nn.Linear:
    return next(module for module in network.modules() if isinstance(module, nn.Linear))


def same_bits(a: Autoencoder, b: Autoencoder) -> bool:
    first, second = a.state_dict(), b.state_dict()
    return first.keys() == second.keys() and all(
        torch.equal(first[name], second[name]) for name in first
    )


# vae: the evidence lower bound of a linear model, whose evidence is known.

SIGMA = 0.4


def linear_vae() -> Autoencoder:
    return lrl.vae((5,), 2, likelihood={"name": "gaussian", "sigma": SIGMA}, backbone=LINEAR)


def set_to_the_optimum(model: Autoencoder) -> None:
    """Write a decoder with orthogonal columns, and the posterior that goes with it (Tipping &
    Bishop 1999)."""
    generator = torch.Generator().manual_seed(0)
    columns = torch.linalg.qr(torch.randn(5, 2, generator=generator))[0] * torch.tensor([1.5, 0.7])
    offset = torch.randn(5, generator=generator)
    precision = columns.square().sum(0) + SIGMA**2  # W'W + sigma^2 I, which is diagonal
    mean = columns.T / precision[:, None]
    encoder, decoder = first_linear(model.encoder), first_linear(model.decoder)
    with torch.no_grad():
        decoder.weight.copy_(columns)
        decoder.bias.copy_(offset)
        encoder.weight.copy_(torch.cat([mean, torch.zeros(2, 5)]))
        encoder.bias.copy_(torch.cat([-mean @ offset, (SIGMA**2 / precision).log()]))


def evidence(model: Autoencoder, x: Tensor) -> Any:
    decoder = first_linear(model.decoder)
    weight, offset = (
        decoder.weight.detach().double().numpy(),
        decoder.bias.detach().double().numpy(),
    )
    return multivariate_normal(offset, weight @ weight.T + SIGMA**2 * np.eye(5)).logpdf(
        x.double().numpy()
    )


@torch.no_grad()
def lower_bound(model: Autoencoder, x: Tensor) -> Any:
    """Return the bound for each of ``x``; four points at a distance of sqrt(2) average squares
    exactly."""
    points = math.sqrt(2) * torch.cat([torch.eye(2), -torch.eye(2)])
    noise = torch.stack([points, points])
    bounds = []
    for row in x:
        terms, _ = model.losses(row.expand(4, 5), row.expand(4, 5), noise, 0)
        bounds.append(-float(sum(terms.values())))
    return np.array(bounds)


def test_the_bound_is_the_evidence_at_the_optimum() -> None:
    model, x = linear_vae(), 2 * torch.randn(40, 5, generator=torch.Generator().manual_seed(1))
    set_to_the_optimum(model)
    np.testing.assert_allclose(lower_bound(model, x), evidence(model, x), rtol=1e-5, atol=1e-4)


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("half", ["encoder", "decoder"])
def test_the_bound_is_below_the_evidence_elsewhere(half: str, seed: int) -> None:
    model, x = linear_vae(), 2 * torch.randn(40, 5, generator=torch.Generator().manual_seed(1))
    set_to_the_optimum(model)
    torch.manual_seed(seed)
    with torch.no_grad():
        for weight in getattr(model, half).parameters():
            weight.add_(0.1 * torch.randn_like(weight))
    gap = evidence(model, x) - lower_bound(model, x)
    assert gap.min() > 1e-3


def test_training_closes_the_gap() -> None:
    truth = linear_vae()
    set_to_the_optimum(truth)
    rng = np.random.default_rng(0)
    decoder = first_linear(truth.decoder)
    clean = (
        rng.standard_normal((3000, 2)) @ decoder.weight.detach().numpy().T
        + decoder.bias.detach().numpy()
    )
    x = (clean + SIGMA * rng.standard_normal((3000, 5))).astype(np.float32)
    model = seeded(linear_vae)
    model.preprocess.fit = lambda sample: None  # the units of the truth
    fit(model, x, 1000, 0.05)
    bound, own, best = (
        float(score.mean())
        for score in (
            lower_bound(model, torch.from_numpy(x[:500])),
            evidence(model, torch.from_numpy(x[:500])),
            evidence(truth, torch.from_numpy(x[:500])),
        )
    )
    assert own - 0.03 < bound < own
    assert bound == pytest.approx(best, abs=0.03)


def test_free_bits_are_carried_where_others_collapse(vectors: Any) -> None:
    for free_bits in (0.5, 1.0):
        model = seeded(lrl.beta_vae, (8,), 3, beta=1000.0, free_bits=free_bits, backbone=BACKBONE)
        fit(model, vectors, 300, 0.01)
        # a minibatch scatters around its mean, and only what is above the floor pushes
        assert (0.7 * free_bits < model.latent_kl).all()
        assert (model.latent_kl < free_bits).all()
    collapsed = seeded(lrl.beta_vae, (8,), 3, beta=1000.0, backbone=BACKBONE)
    with pytest.warns(UserWarning, match="the code has collapsed"):
        fit(collapsed, vectors, 300, 0.01)
    assert collapsed.latent_kl.max() < 0.001


def test_dip_vae_whitens_its_codes(vectors: Any) -> None:
    distances = []
    for make in (lrl.vae, functools.partial(lrl.dip_vae, off_diagonal=50.0)):
        model = seeded(make, (8,), 3, backbone=LINEAR)
        fit(model, vectors, 300, 0.02)
        distances.append(np.square(np.cov(model.encode(vectors), rowvar=False) - np.eye(3)).sum())
    assert distances[1] < 0.1 * distances[0]


# Likelihoods.


def test_the_noise_of_every_observation_is_learned() -> None:
    rng = np.random.default_rng(0)
    side = rng.choice([-1.0, 1.0], (3000, 1))
    noise = np.where(side < 0, 0.1, 1.0) * rng.standard_normal((3000, 4))
    x = np.concatenate([side + 0.05 * rng.standard_normal((3000, 4)), noise], 1).astype(np.float32)
    model = seeded(lrl.ae, (8,), 1, likelihood="diagonal_gaussian", backbone=BACKBONE)
    fit(model, x, 600, 0.01)
    with torch.no_grad():
        spread = model.likelihood.std(model(scaled(model, x))[2]) * model.preprocess.std
    for sign, expected in [(-1, 0.1), (1, 1.0)]:
        found = spread[side[:, 0] == sign, 4:].mean(0)
        np.testing.assert_allclose(found, expected, rtol=0.15)


# Sparse codes.


def test_more_weight_makes_more_zeros(vectors: Any) -> None:
    shares = []
    for weight in (1e-3, 10.0, 100.0):
        model = seeded(lrl.sparse_ae, (8,), 12, weight=weight, backbone=BACKBONE)
        fit(model, vectors, 200)
        shares.append(float((np.abs(model.encode(vectors)) < 0.05).mean()))
    assert shares[0] + 0.1 < shares[1] < shares[2] - 0.1


def test_the_default_weight_makes_codes_sparse(images: Any) -> None:
    shares = []
    for make in (lrl.ae, lrl.sparse_ae):
        model = seeded(make, images.shape[1:], 32, backbone={"name": "mlp", "hidden": (64,)})
        fit(model, images, 300)
        shares.append(float((np.abs(model.encode(images)) < 0.05).mean()))
    assert shares[1] > 3 * shares[0]


@pytest.mark.parametrize("target", [0.1, 0.3])
def test_mean_activations_come_to_the_target(target: float, vectors: Any) -> None:
    model = seeded(
        lrl.sparse_ae, (8,), 12, prior="kl", weight=1000.0, target=target, backbone=BACKBONE
    )
    fit(model, vectors)
    np.testing.assert_allclose(model.encode(vectors).mean(0), target, atol=0.04)


@pytest.mark.parametrize("kind", ["vectors", "images"])
@pytest.mark.parametrize("make", [lrl.sparse_ae, lrl.contractive_ae, lrl.psd_ae])
def test_columns_keep_their_length(make: Any, kind: str, request: pytest.FixtureRequest) -> None:
    data = request.getfixturevalue(kind)
    model = seeded(
        make,
        data.shape[1:],
        6,
        preprocessing=lrl.Preprocessing(size=(8, 8) if kind == "images" else None),
    )
    layer = first_linear(model.decoder)
    before = layer.columns.detach().clone()
    fit(model, data, 20, 0.02)
    assert not torch.allclose(layer.columns, before, atol=1e-3)
    moves = layer(torch.eye(6)) - layer(torch.zeros(6, 6))
    torch.testing.assert_close(moves.norm(dim=1), torch.ones(6), atol=1e-4, rtol=1e-4)


def test_predicted_codes_come_close_to_inferred_ones(vectors: Any) -> None:
    model = seeded(lrl.psd_ae, (8,), 12, sparsity=3.0)
    inference = INFERENCES.build({"name": "fista", "sparsity": 3.0, "steps": 100})
    gaps, energies = [], []
    for steps in (1, 100):
        fit(model, vectors, steps)
        x = scaled(model, vectors)

        def reconstruction(h: Tensor, x: Tensor = x) -> Tensor:
            return -model.likelihood.log_prob(model.decoder(h), x).sum(1)

        with torch.no_grad():
            guess = model.head(model.encoder(x)).mean
            best = inference(reconstruction, guess)
            gaps.append(float((guess - best).square().sum() / best.square().sum()))
            energies.append(float((reconstruction(guess) + 3 * guess.abs().sum(1)).mean()))
    assert gaps[0] > 0.5
    assert gaps[1] < 0.1
    assert energies[1] < 0.1 * energies[0]


# Insensitive codes.


def test_tied_weights_stay_tied(vectors: Any, tmp_path: Path) -> None:
    model = seeded(lrl.contractive_ae, (8,), 3, tied=True)
    before = model.encoder.linear.weight.detach().clone()
    fit(model, vectors, 50, path=tmp_path)
    for version in (model, copy.deepcopy(model), lrl.load(tmp_path, "cpu")):
        weight = version.encoder.linear.weight
        assert same_bits(version, model)
        assert not torch.allclose(weight, before, atol=1e-2)
        atoms = version.decoder(torch.eye(3)) - version.decoder(torch.zeros(1, 3))
        torch.testing.assert_close(atoms, weight)
    for version in (copy.deepcopy(model), lrl.load(tmp_path, "cpu")):
        with torch.no_grad():
            version.encoder.linear.weight.zero_()  # of one alone
        assert not version.decoder(torch.eye(3)).std(0).any()
        assert model.decoder(torch.eye(3)).std(0).all()


def test_contraction_flattens_the_encoder(vectors: Any) -> None:
    norms = []
    for weight in (0.0, 1000.0):
        model = seeded(lrl.contractive_ae, (8,), 3, weight=weight, backbone={"name": "sigmoid"})
        fit(model, vectors)
        x = scaled(model, vectors)
        norms.append(float(squared_jacobian(model.losses(x, x, None, 0)[1]).mean().detach()))
    assert norms[1] < 0.5 * norms[0]


# Bits.


def test_noise_makes_bits_decide(vectors: Any) -> None:
    doubts = []
    for noise, steps in [(4.0, 1), (0.0, 500), (4.0, 500)]:
        model = seeded(lrl.binary_ae, (8,), 6, noise=noise, saturation=0.0, backbone=BACKBONE)
        fit(model, vectors, steps)
        with torch.no_grad():
            probability = model.head(model.encoder(scaled(model, vectors))).logits.sigmoid()
        doubts.append(float((probability * (1 - probability)).mean()))
    start, without, with_noise = doubts
    assert with_noise < 0.3 * start
    assert with_noise < 0.5 * without


def test_bits_tell_observations_apart(vectors: Any) -> None:
    model = seeded(lrl.binary_ae, (8,), 8, backbone=BACKBONE)
    fit(model, vectors, 500)
    bits = model.encode(vectors)
    assert set(np.unique(bits)) == {0.0, 1.0}
    assert len(np.unique(bits, axis=0)) > 30
    error = np.square(model.reconstruct(vectors) - vectors).sum()
    assert error < 0.5 * np.square(vectors - vectors.mean(0)).sum()


# Damaged inputs.


@WARM
def test_a_hole_of_no_weight_is_a_plain_corruption(images: Any) -> None:
    backbone = {"name": "conv", "channels": (4,), "hidden": 8}
    inpainting = seeded(lrl.inpainting_ae, (32, 32, 3), 3, weight=0.0, backbone=backbone)
    plain = seeded(lrl.denoising_ae, (32, 32, 3), 3, corruption="cutout", backbone=backbone)
    histories = [
        lrl.fit(model, images, SHORT, progress=False).epochs for model in (inpainting, plain)
    ]
    assert same_bits(inpainting, plain)
    for filled, restored in zip(*histories, strict=True):
        assert filled.pop("train/hole") == 0
        assert filled == restored


def gratings(count: int, seed: int) -> Any:
    """Draw stripes of random direction, phase and colour, ``(count, 16, 16, 3)`` uint8."""
    rng = np.random.default_rng(seed)
    phase, angle = rng.uniform(0, [[6.3], [3.1]], (2, count))[..., None, None, None]
    rows, columns = np.mgrid[:16, :16][..., None]
    waves = np.sin(0.8 * (columns * np.cos(angle) + rows * np.sin(angle)) + phase)
    return (128 + rng.uniform(60, 127, (count, 1, 1, 3)) * waves).astype(np.uint8)


def test_holes_are_filled_better_than_by_opencv() -> None:
    model, test = (
        seeded(lrl.inpainting_ae, (16, 16, 3), 32, backbone={"name": "mlp", "hidden": (128,)}),
        gratings(100, 1),
    )
    fit(model, gratings(1500, 0), 400, 3e-3)
    visible = model.corruptions[0](torch.ones(100, 3, 16, 16), torch.Generator().manual_seed(0))
    hole = ~visible.bool().permute(0, 2, 3, 1).numpy()
    damaged = np.where(hole, 0, test).astype(np.uint8)
    pairs = list(zip(damaged, hole[..., 0], strict=True))
    answers = {
        "model": model.reconstruct(damaged),
        "opencv": np.stack(
            [cv2.inpaint(image, gap.astype(np.uint8), 3, cv2.INPAINT_TELEA) for image, gap in pairs]
        ),
        "mean colour": np.stack(
            [np.broadcast_to(image[~gap].mean(0), image.shape) for image, gap in pairs]
        ),
    }
    errors = {
        name: np.square(filled.astype(float) - test)[hole].mean()
        for name, filled in answers.items()
    }
    assert errors["model"] < 0.4 * min(errors["opencv"], errors["mean colour"])


# Sequences.


@pytest.mark.parametrize("cell", ["gru", "lstm"])
def test_sequences_are_learned(cell: str) -> None:
    phases, rates = np.random.default_rng(0).uniform([0, 0.3], [6.3, 0.9], (600, 2)).T
    steps = np.arange(16)
    waves = np.sin(phases[:, None] + rates[:, None] * steps)[..., None].astype(np.float32)
    space = spaces.Box(-np.inf, np.inf, (16, 1), np.float32)
    model = seeded(lrl.ae, space, 4, backbone={"name": "recurrent", "hidden": 16, "cell": cell})
    history = fit(model, waves, 300, 0.02)
    error = np.square(model.reconstruct(waves) - waves).mean()
    assert error < 0.04 * waves.var()
    assert history.epochs[-1]["psnr"] > history.epochs[0]["psnr"] + 10


# Features of another model.


def make_dae() -> Autoencoder:
    return seeded(lrl.dae_beta_vae, (8,), 3, backbone=BACKBONE)


@pytest.fixture(scope="module")
def trained_dae(vectors: Any) -> Autoencoder:
    model = make_dae()
    lrl.fit(model, vectors, SHORT, progress=False)
    return model


def test_features_are_trained_first_and_as_if_alone(trained_dae: Autoencoder, vectors: Any) -> None:
    alone = make_dae().features
    alone.requires_grad_(True)
    alone.likelihood.requires_grad_(False)  # a fixed sigma
    lrl.fit(alone, vectors, SHORT, progress=False)
    assert same_bits(trained_dae.features, alone)
    assert alone.config.model == "denoising_ae"
    assert not any(weight.requires_grad for weight in trained_dae.features.parameters())


def test_no_gradient_reaches_the_features(trained_dae: Autoencoder, vectors: Any) -> None:
    x = scaled(trained_dae, vectors[:32])
    terms, _ = trained_dae.losses(
        x, *trained_dae.sample_noise(x, torch.Generator().manual_seed(0)), step=0
    )
    terms["reconstruction"].backward()
    assert all(weight.grad is None for weight in trained_dae.features.parameters())
    halves = [*trained_dae.encoder.parameters(), *trained_dae.decoder.parameters()]
    assert all(weight.grad is not None and weight.grad.any() for weight in halves)
    trained_dae.zero_grad()


def test_the_loss_in_features_equals_a_direct_computation(
    trained_dae: Autoencoder, vectors: Any
) -> None:
    features = trained_dae.features

    def standardised(observations: Any) -> Any:
        return (
            features.encode(observations) - features.latent_mean.numpy()
        ) / features.latent_std.numpy()

    x = vectors[:32]
    distance = standardised(trained_dae.reconstruct(x)) - standardised(x)
    sigma = 0.1
    nll = 0.5 * np.square(distance / sigma) + math.log(sigma) + 0.5 * math.log(2 * math.pi)
    terms, batch = trained_dae.losses(scaled(trained_dae, x), scaled(trained_dae, x), None, 0)
    np.testing.assert_allclose(batch.nll.detach(), nll, rtol=1e-3, atol=1e-2)
    assert float(terms["reconstruction"].detach()) == pytest.approx(nll.sum(1).mean(), rel=1e-4)
    _, validation = lrl.as_frames(vectors).split(SHORT.validation, SHORT.seed)
    codes = standardised(validation[:])
    np.testing.assert_allclose([codes.mean(0), codes.std(0)], [[0] * 8, [1] * 8], atol=1e-4)


@WARM
def test_given_features_are_copied_and_stay(vectors: Any) -> None:
    given = seeded(lrl.ae, (8,), 5, backbone=BACKBONE)
    lrl.fit(given, vectors, SHORT, progress=False)
    model = seeded(lrl.dae_beta_vae, (8,), 3, features=given, backbone=BACKBONE)
    assert same_bits(model.features, given)
    lrl.fit(model, vectors, SHORT, progress=False)
    assert same_bits(model.features, given)
    with torch.no_grad():
        first_linear(given.encoder).weight.zero_()
    assert first_linear(model.features.encoder).weight.any()


def test_features_are_checked() -> None:
    with pytest.raises(
        ValueError, match="features must be a fitted model, for a model that measures"
    ):
        lrl.dae_beta_vae((8,), 3, features=lrl.ae((8,), 5))
    fitted = lrl.ae((8,), 5)
    fitted.latent_quantiles.fill_(1.0)
    with pytest.raises(
        ValueError, match="features must be a fitted model, for a model that measures"
    ):
        lrl.vae((8,), 3).take_features(fitted)
    with pytest.raises(
        ValueError, match="features are measured by likelihood 'gaussian', with one sigma for all"
    ):
        lrl.dae_beta_vae((16, 16, 3), 3, likelihood="bernoulli")


class Stop:
    """Interrupts a fit in the middle of a training step, counted over both stages; once."""

    def __init__(self, step: int) -> None:
        self.step, self.done, self.losses = step, 0, Autoencoder.losses

    def __call__(self, model: Autoencoder, *arguments: Any) -> Any:
        self.done += model.training
        if self.done == self.step + 1 and model.training:
            raise KeyboardInterrupt
        return self.losses(model, *arguments)


@WARM
@pytest.mark.parametrize("step", [4, 15, 29, 33, 45])  # stage one has 30 steps
@pytest.mark.parametrize("again", ["same object", "new process"])
def test_both_stages_resume_to_the_same_bits(
    step: int, again: str, vectors: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole, interrupted = make_dae(), make_dae()
    expected = lrl.fit(whole, vectors, SHORT, progress=False)
    with monkeypatch.context() as patched:
        stop = Stop(step)
        patched.setattr(Autoencoder, "losses", lambda *arguments: stop(*arguments))
        with pytest.raises(KeyboardInterrupt):
            lrl.fit(interrupted, vectors, SHORT, path=tmp_path, progress=False)
    assert not any(weight.requires_grad for weight in interrupted.features.parameters())
    resumed = interrupted if again == "same object" else make_dae()
    assert lrl.fit(resumed, vectors, SHORT, path=tmp_path, resume=True, progress=False) == expected
    assert same_bits(resumed, whole)
    assert same_bits(lrl.load(tmp_path, "cpu"), whole)
