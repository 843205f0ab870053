"""Every penalty adds a named term and moves a gradient; values against closed forms, autograd and
brute force."""

from __future__ import annotations

import dataclasses
import inspect
import itertools
import math
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.distributions import MultivariateNormal, Normal, kl_divergence

from latentrl.models.autoencoder import Autoencoder
from latentrl.models.config import AutoencoderConfig
from latentrl.models.corruptions import CORRUPTIONS
from latentrl.models.heads import HEADS, BinaryPosterior, GaussianPosterior, Posterior
from latentrl.models.losses import LOSSES, Batch, Loss
from latentrl.models.losses.disentanglement import total_correlation
from latentrl.models.losses.latent import squared_jacobian
from latentrl.types import as_space, space_to_json

X = torch.randn(16, 8, generator=torch.Generator().manual_seed(0))
INPUTS = X * (torch.rand(16, 8, generator=torch.Generator().manual_seed(2)) > 0.3)
NOISE = torch.randn(2, 16, 3, generator=torch.Generator().manual_seed(1))
SPACE = space_to_json(as_space((8,)))
MLP = {"name": "mlp", "hidden": (16,)}
LATENT_DIM = {"latent_dim": 3}
WEIGHTS = [
    (name, option)
    for name in LOSSES
    for option in ("weight", "beta", "gamma")
    if option in inspect.signature(LOSSES[name]).parameters
]


def make_model(
    *losses: Mapping[str, Any], head: str | Mapping[str, Any] = "gaussian", **parts: Any
) -> Autoencoder:
    torch.manual_seed(0)
    head = {"name": head} if isinstance(head, str) else head
    return Autoencoder(
        AutoencoderConfig("test", SPACE, 3, head, losses=losses, **{"backbone": MLP, **parts})
    )


def terms_and_gradient(model: Autoencoder) -> tuple[dict[str, Tensor], Tensor]:
    terms, _ = model.losses(X, INPUTS, NOISE, step=0)
    torch.stack(list(terms.values())).sum().backward()
    return terms, torch.cat(
        [p.grad.flatten() for p in model.encoder.parameters() if p.grad is not None]
    )


def batch_of(code: Posterior, **changes: Any) -> Batch:
    none = nn.Identity()
    batch = Batch(
        X,
        INPUTS,
        code,
        code.mean,
        X,
        torch.ones(16, 8),
        none,
        HEADS.build({"name": "point"}),
        NOISE[1],
        0,
    )
    return dataclasses.replace(batch, **changes)


def some_code(rows: int = 16) -> tuple[GaussianPosterior, Tensor]:
    code = GaussianPosterior(torch.randn(rows, 3), torch.randn(rows, 3))
    return code, kl_divergence(Normal(code.mean, (code.log_variance / 2).exp()), Normal(0.0, 1.0))


def build(name: str, **options: Any) -> Loss:
    return LOSSES.build({"name": name, **options}, **LATENT_DIM)


def heads(name: str) -> Iterator[str]:
    """Name the heads that a penalty is defined for."""
    return (
        head
        for head in HEADS
        if issubclass(HEADS.build({"name": head}).posterior, build(name).needs)
    )


@pytest.mark.parametrize("name", list(LOSSES))
def test_adds_a_term_and_moves_a_gradient(name: str) -> None:
    moved = []
    for head in heads(name):
        plain, without = terms_and_gradient(make_model(head=head))
        model = make_model({"name": name}, head=head)
        terms, gradient = terms_and_gradient(model)
        assert list(terms) == ["reconstruction", model.loss_terms[0].name]
        assert terms[model.loss_terms[0].name].shape == ()
        assert torch.equal(terms["reconstruction"], plain["reconstruction"])
        moved.append((gradient - without).norm() > 1e-5 * without.norm())
    assert any(moved)


@pytest.mark.parametrize("name", list(LOSSES))
def test_a_wrong_head_is_named(name: str) -> None:
    for head in set(HEADS) - set(heads(name)):
        message = f"loss '{build(name).name}' needs a .* code \\(head '.*'\\), not head '{head}'"
        with pytest.raises(ValueError, match=message):
            make_model({"name": name}, head=head)


@pytest.mark.parametrize(("name", "option"), WEIGHTS)
def test_weights_scale_the_term_and_cannot_be_negative(name: str, option: str) -> None:
    once, thrice = build(name, **{option: 1.0}), build(name, **{option: 3.0})
    if name != "density_ratio":  # which adds its classifier's own loss
        logits = torch.randn(16, 3)
        code = (
            BinaryPosterior(logits.sigmoid(), logits, 0.0)
            if once.needs is BinaryPosterior
            else some_code()[0]
        )
        batch = batch_of(code, z=code.mean + 1, encoder=nn.Linear(8, 3))
        torch.testing.assert_close(thrice(batch), 3 * once(batch))
    with pytest.raises(ValueError, match=option):
        build(name, **{option: -1.0})


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ({"name": "kl", "beta": -1.0}, r"beta cannot be negative, got -1\.0"),
        (
            {"name": "kl", "free_bits": -1.0},
            r"free_bits are nats for each dimension and cannot be negative, got -1\.0",
        ),
        (
            {"name": "capacity", "gamma": -1.0},
            r"capacity needs gamma >= 0, capacity >= 0 .* got gamma=-1\.0",
        ),
        ({"name": "capacity", "capacity": -1.0}, r"capacity needs .* got .*capacity=-1\.0"),
        ({"name": "capacity", "steps": 0}, r"steps >= 1, got .*steps=0"),
        ({"name": "sparsity", "weight": -1.0}, r"weight cannot be negative, got -1\.0"),
        ({"name": "sparsity", "prior": "l0"}, "unknown prior 'l0'; known: l1, l2, kl"),
        (
            {"name": "sparsity", "target": 1.0},
            r"target is a mean activation between 0 and 1, got 1\.0",
        ),
        ({"name": "moments", "off_diagonal": -1.0}, r"off_diagonal cannot be negative, got -1\.0"),
        ({"name": "moments", "diagonal": -1.0}, r"diagonal cannot be negative, got -1\.0"),
        (
            {"name": "moments", "of": "median"},
            "unknown covariance of 'median'; known: mean, sample",
        ),
    ],
)
def test_values_are_checked(spec: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        LOSSES.build(spec, **LATENT_DIM)


# The divergence from the prior.


def test_kl_term_is_beta_times_the_divergence() -> None:
    code, exact = some_code()
    torch.testing.assert_close(build("kl", beta=3.0)(batch_of(code)), 3 * exact.sum(1).mean())


def test_free_bits_cost_a_constant_below_the_floor() -> None:
    code, exact = some_code()
    means = exact.mean(0)
    floor = float(means.sort().values[:2].mean())  # one dimension below it, two above
    code = GaussianPosterior(code.mean.requires_grad_(), code.log_variance.requires_grad_())
    term = build("kl", beta=2.0, free_bits=floor)(batch_of(code))
    torch.testing.assert_close(term, torch.tensor(2 * sum(max(float(kl), floor) for kl in means)))
    term.backward()
    for gradient in (code.mean.grad, code.log_variance.grad):
        assert torch.equal(gradient.any(0), means > floor)


@pytest.mark.parametrize(("step", "target"), [(0, 0.0), (250, 5.0), (1000, 20.0), (5000, 20.0)])
def test_capacity_term_equals_hand_computation(step: int, target: float) -> None:
    code, exact = some_code()
    penalty = build("capacity", gamma=7.0, capacity=20.0, steps=1000)
    torch.testing.assert_close(
        penalty(batch_of(code, step=step)), 7 * (exact.sum(1).mean() - target).abs()
    )


# The dependence between dimensions.

CORRELATION = torch.tensor([[1.0, 0.6, -0.3], [0.6, 1.0, 0.2], [-0.3, 0.2, 1.0]])
EXACT_TC = float(-0.5 * torch.logdet(CORRELATION))  # 0.41 nats


def correlated(count: int, covariance: Tensor, seed: int = 0) -> Tensor:
    draws = torch.randn(count, len(covariance), generator=torch.Generator().manual_seed(seed))
    return draws @ torch.linalg.cholesky(covariance).T


def log_ratio(z: Tensor) -> Tensor:
    """Return log p(z) - sum of log p(z_j) for draws of the correlated normal: its mean is the total
    correlation."""
    joint = MultivariateNormal(torch.zeros(3), CORRELATION).log_prob(z)
    return joint - Normal(0.0, 1.0).log_prob(z).sum(1)


def test_total_correlation_equals_its_definition() -> None:
    code, _ = some_code(7)
    z = code.sample(torch.randn(7, 3))
    q = Normal(code.mean, (code.log_variance / 2).exp())
    joint = torch.stack([q.log_prob(row).sum(1).exp().mean() for row in z])
    marginals = torch.stack([q.log_prob(row).exp().mean(0) for row in z])
    expected = (joint.log() - marginals.log().sum(1)).mean()
    torch.testing.assert_close(total_correlation(z, code), expected)
    torch.testing.assert_close(
        build("total_correlation", weight=5.0)(batch_of(code, z=z)), 5 * expected
    )


def test_total_correlation_of_correlated_normals() -> None:
    share, scale = (
        0.2,
        torch.tensor([1.0, 2.0, 0.8]),
    )  # the posteriors' share of the variance; the means have the rest
    means = scale * correlated(2000, CORRELATION - share * torch.eye(3))
    code = GaussianPosterior(means, (share * scale.square()).log().expand(2000, 3))
    z = code.sample(correlated(2000, torch.eye(3), 1))
    estimate = float(total_correlation(z, code))
    assert estimate == pytest.approx(float(log_ratio(z / scale).mean()), abs=0.01)
    assert estimate == pytest.approx(
        EXACT_TC, abs=0.05
    )  # 2000 draws have a standard error of 0.016


def test_a_trained_classifier_finds_the_total_correlation() -> None:
    torch.manual_seed(0)
    penalty = LOSSES.build({"name": "density_ratio", "hidden": (64, 64)}, latent_dim=3)
    optimizer = torch.optim.Adam(penalty.parameters(), 3e-3)
    scheduler = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, 1000)
    for step in range(1000):
        z, spare = (
            correlated(1024, CORRELATION, 2 * step),
            correlated(1024, torch.eye(3), 2 * step + 1),
        )
        optimizer.zero_grad()
        penalty.classification(z, spare).backward()
        optimizer.step()
        scheduler.step()
    z = correlated(20_000, CORRELATION, 9999)
    estimate = float(penalty.total_correlation(z).detach())
    assert estimate == pytest.approx(float(log_ratio(z).mean()), abs=0.02)
    assert estimate == pytest.approx(
        EXACT_TC, abs=0.03
    )  # 20,000 draws have a standard error of 0.005


def test_codes_and_classifier_get_their_own_gradients() -> None:
    penalty = build("density_ratio", gamma=10.0)
    z = torch.randn(16, 3, requires_grad=True)
    weights = list(penalty.classifier.parameters())
    estimate = torch.autograd.grad(penalty.total_correlation(z), [z, *weights], allow_unused=True)
    assert estimate[0].abs().min() > 0
    assert all(gradient is None for gradient in estimate[1:])
    own = torch.autograd.grad(penalty.classification(z, NOISE[1]), [z, *weights], allow_unused=True)
    assert own[0] is None
    assert all(gradient is not None and gradient.any() for gradient in own[1:])
    both = torch.autograd.grad(penalty(batch_of(Posterior(z))), [z, *weights])
    torch.testing.assert_close(both[0], 10 * estimate[0])
    assert all(torch.equal(a, b) for a, b in zip(both[1:], own[1:], strict=True))


def test_the_classifier_tells_codes_from_shuffled_ones() -> None:
    seen: list[Tensor] = []
    penalty = build("density_ratio")
    penalty.classifier.register_forward_hook(
        lambda _, inputs, outputs: seen.append(torch.cat([*inputs, outputs], 1))
    )
    z = correlated(2000, CORRELATION)
    loss = penalty.classification(z, torch.randn(2000, 3))
    together, apart = seen[0].chunk(2)
    assert torch.equal(together[:, :3], z)
    assert torch.equal(apart[:, :3].sort(0).values, z.sort(0).values)  # the marginals, to the bit
    assert (torch.corrcoef(apart[:, :3].T) - torch.eye(3)).abs().max() < 0.08
    labels = torch.cat([torch.ones(2000), torch.zeros(2000)])
    expected = nn.functional.binary_cross_entropy_with_logits(seen[0][:, 3], labels)
    torch.testing.assert_close(loss, expected)


@pytest.mark.parametrize("of", ["mean", "sample"])
def test_moments_equal_numpy(of: str) -> None:
    code, _ = some_code()
    covariance = np.cov(code.mean.numpy(), rowvar=False)
    if of == "sample":
        covariance = covariance + np.diag(code.log_variance.exp().mean(0).numpy())
    expected = sum(
        (2.0 * covariance[i, j] ** 2) if i != j else 5.0 * (covariance[i, i] - 1) ** 2
        for i, j in itertools.product(range(3), repeat=2)
    )
    term = build("moments", of=of, off_diagonal=2.0, diagonal=5.0)(batch_of(code))
    assert float(term) == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("of", ["mean", "sample"])
def test_moments_of_samples_are_their_covariance(of: str) -> None:
    code = GaussianPosterior(
        correlated(20_000, 2 * CORRELATION), torch.full((20_000, 3), math.log(0.5))
    )
    sampled = code.mean if of == "mean" else code.sample(correlated(20_000, torch.eye(3), 1))
    distance = (torch.cov(sampled.T) - torch.eye(3)).square()
    expected = 2 * (distance.sum() - distance.trace()) + 5 * distance.trace()
    term = build("moments", of=of, off_diagonal=2.0, diagonal=5.0)(batch_of(code))
    torch.testing.assert_close(term, expected, rtol=0.02, atol=0)


@pytest.mark.parametrize(
    "name", [name for name in LOSSES if build(name).needs in (Posterior, GaussianPosterior)]
)
def test_a_batch_of_one_is_finite(name: str) -> None:
    model = make_model({"name": name})
    terms, _ = model.losses(X[:1], INPUTS[:1], NOISE[:, :1], step=0)
    assert all(torch.isfinite(term) for term in terms.values())


@pytest.mark.parametrize("name", ["moments", "total_correlation"])
def test_one_dimension_depends_on_nothing(name: str) -> None:
    options = {"diagonal": 0.0} if name == "moments" else {}
    code = GaussianPosterior(torch.randn(16, 1), torch.randn(16, 1))
    assert float(build(name, **options)(batch_of(code))) == pytest.approx(0, abs=1e-5)


# Single codes.


@pytest.mark.parametrize("prior", ["l1", "l2", "kl"])
def test_sparsity_equals_brute_force(prior: str) -> None:
    z = torch.rand(16, 3, dtype=torch.float64) - (0 if prior == "kl" else 0.5)
    rows = z.tolist()
    norms = {"l1": abs, "l2": lambda value: value**2}
    if prior == "kl":
        means = [sum(row[j] for row in rows) / 16 for j in range(3)]
        expected = sum(
            0.2 * math.log(0.2 / mean) + 0.8 * math.log(0.8 / (1 - mean)) for mean in means
        )
    else:
        expected = sum(norms[prior](value) for row in rows for value in row) / 16
    term = build("sparsity", prior=prior, weight=3.0, target=0.2)(
        batch_of(Posterior(torch.zeros(16, 3)), z=z)
    )
    assert float(term) == pytest.approx(3 * expected, rel=1e-5)


def test_sparsity_ends_at_the_target_and_stays_finite() -> None:
    penalty = build("sparsity", prior="kl", target=0.05)
    assert float(penalty(batch_of(Posterior(torch.full((16, 3), 0.05))))) == pytest.approx(
        0, abs=1e-6
    )
    assert all(
        torch.isfinite(penalty(batch_of(Posterior(torch.full((16, 3), z))))) for z in (0.0, 1.0)
    )


def jacobians(model: Autoencoder, x: Tensor) -> Tensor:
    """Return d mean / d x of every observation, ``(B, latent_dim, 8)``."""
    return torch.func.vmap(
        torch.func.jacrev(lambda row: model.head(model.encoder(row[None])).mean[0])
    )(x)


@pytest.mark.parametrize("tied", [False, True])
def test_contraction_of_a_sigmoid_layer_equals_jacrev(tied: bool) -> None:
    backbone = {"name": "sigmoid", "tied": tied}
    model = make_model({"name": "contraction", "weight": 2.0}, head="point", backbone=backbone)
    terms, batch = model.losses(X, INPUTS, NOISE, 0)
    expected = jacobians(model, INPUTS).square().sum((1, 2))
    torch.testing.assert_close(squared_jacobian(batch), expected)
    torch.testing.assert_close(terms["contraction"], 2 * expected.mean())
    weight = model.encoder.linear.weight
    exact, brute = (
        torch.autograd.grad(value, weight)[0]
        for value in (terms["contraction"], 2 * expected.mean())
    )
    torch.testing.assert_close(exact, brute)


@pytest.mark.parametrize("grad", [True, False])
@pytest.mark.parametrize(
    ("head", "backbone"),
    [
        ({"name": "point"}, MLP),
        ({"name": "point", "activation": "sigmoid"}, {"name": "sigmoid"}),
        ({"name": "gaussian"}, {"name": "sigmoid"}),
        ({"name": "binary"}, {"name": "sigmoid"}),
    ],
    ids=str,
)
def test_contraction_by_random_directions_equals_jacrev_on_average(
    head: Any, backbone: Any, grad: bool
) -> None:
    model = make_model({"name": "contraction"}, head=head, backbone=backbone)
    _, batch = model.losses(INPUTS, INPUTS, None, 0)
    generator = torch.Generator().manual_seed(0)
    expected = jacobians(model, INPUTS).square().sum((1, 2))
    draws = 4000
    spare = torch.randn(draws * 16, 3, generator=generator)
    many = dataclasses.replace(batch, inputs=INPUTS.repeat(draws, 1), extra_noise=spare)
    with torch.set_grad_enabled(grad):
        estimate = squared_jacobian(many).view(draws, 16).mean(0)
    assert estimate.requires_grad == grad
    torch.testing.assert_close(estimate, expected, rtol=0.1, atol=0)
    torch.testing.assert_close(estimate.sum(), expected.sum(), rtol=0.03, atol=0)


def test_saturation_equals_brute_force() -> None:
    logits = torch.randn(16, 3)
    code = HEADS.build({"name": "binary"})(logits)
    odds = [[1 / (1 + math.exp(-value)) for value in row] for row in logits.tolist()]
    expected = 0.7 * sum(4 * p * (1 - p) for row in odds for p in row) / 16
    assert float(build("saturation", weight=0.7)(batch_of(code))) == pytest.approx(
        expected, rel=1e-5
    )


def test_prediction_moves_the_encoder_towards_the_code() -> None:
    z, mean = torch.randn(16, 3, requires_grad=True), torch.randn(16, 3, requires_grad=True)
    term = build("prediction", weight=3.0)(batch_of(Posterior(mean), z=z))
    expected = (
        3
        * sum(
            (a - b) ** 2 for a, b in zip(z.flatten().tolist(), mean.flatten().tolist(), strict=True)
        )
        / 16
    )
    assert float(term.detach()) == pytest.approx(expected, rel=1e-5)
    to_code, to_mean = torch.autograd.grad(term, [z, mean], allow_unused=True)
    assert to_code is None
    torch.testing.assert_close(to_mean, 6 * (mean - z).detach() / 16)


# What was damaged.


def test_the_hole_counts_again_what_was_changed() -> None:
    nll = torch.randn(16, 8)
    expected = sum(
        float(nll[row, place])
        for row in range(16)
        for place in range(8)
        if float(X[row, place]) != float(INPUTS[row, place])
    )
    code = Posterior(torch.zeros(16, 3))
    assert float(build("hole", weight=4.0)(batch_of(code, nll=nll))) == pytest.approx(
        4 * expected / 16, rel=1e-5
    )
    assert float(build("hole")(batch_of(code, nll=nll, inputs=X))) == 0


def test_a_black_hole_counts_where_the_target_is_black() -> None:
    x = torch.rand(16, 3, 8, 8)
    x[:, :, :, :4] = 0.0
    cut = CORRUPTIONS.build({"name": "cutout", "smallest": 0.5, "largest": 0.9})(
        x, torch.Generator().manual_seed(0)
    )
    nll, code = torch.ones_like(x), Posterior(torch.zeros(16, 3))
    inside = CORRUPTIONS.build({"name": "cutout", "smallest": 0.5, "largest": 0.9})(
        torch.ones_like(x), torch.Generator().manual_seed(0)
    )
    batch = dataclasses.replace(batch_of(code), x=x, inputs=cut, nll=nll)
    assert float(build("hole", weight=1.0)(batch)) == pytest.approx(
        float((inside == 0).flatten(1).sum(1).float().mean())
    )


def test_a_hole_is_part_of_the_reconstruction() -> None:
    plain, _ = terms_and_gradient(make_model(head="point"))
    terms, _ = terms_and_gradient(make_model({"name": "hole", "weight": 0.0}, head="point"))
    assert torch.equal(torch.stack(list(terms.values())).sum(), plain["reconstruction"])


def test_the_hardest_values_count_again() -> None:
    nll = torch.randn(16, 50)
    expected = nll.sort(1, descending=True).values[:, :5].sum(1).mean()
    batch = batch_of(Posterior(torch.zeros(16, 3)), nll=nll)
    torch.testing.assert_close(build("topk", weight=3.0, share=0.1)(batch), 3 * expected)
    torch.testing.assert_close(
        build("topk", weight=1.0, share=0.001)(batch), nll.max(1).values.mean()
    )


@pytest.mark.parametrize("share", [0.0, 1.5])
def test_the_share_of_the_hardest_is_a_share(share: float) -> None:
    with pytest.raises(ValueError, match=rf"share must lie in \(0, 1\], got {share}"):
        build("topk", share=share)
