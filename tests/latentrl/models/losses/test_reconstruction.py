"""The reconstruction error, and the terms on corrupted and badly reconstructed values."""

from __future__ import annotations

import dataclasses

import pytest
import torch

from latentrl.models.corruptions import CORRUPTIONS
from latentrl.models.heads import Posterior
from tests.latentrl.models.losses.helpers import (
    INPUTS,
    MASK,
    NOISE,
    X,
    batch_of,
    build,
    make_model,
    terms_and_gradient,
)

POINTS = Posterior(torch.zeros(16, 3))


def test_the_reconstruction_is_the_nll_of_all_values() -> None:
    model = make_model()
    terms, batch = model.losses(X, INPUTS, MASK, NOISE, 0)
    expected = -model.likelihood.log_prob(batch.outputs, X)
    torch.testing.assert_close(batch.nll, expected)
    torch.testing.assert_close(terms["reconstruction"], expected.sum(1).mean())
    assert model.has_pixel_likelihood


def test_the_hole_weighs_removed_values() -> None:
    nll = torch.randn(16, 8)
    expected = sum(float(nll[i, j]) for i in range(16) for j in range(8) if bool(MASK[i, j]))
    term = build("hole", weight=4.0)(batch_of(POINTS, nll=nll))
    assert float(term) == pytest.approx(4 * expected / 16, rel=1e-5)
    assert float(build("hole")(batch_of(POINTS, nll=nll, inputs=X, mask=None))) == 0


def test_the_hole_weighs_changed_values_without_a_mask() -> None:
    inputs = X.clone()
    inputs[:, 2] += 1
    term = build("hole", weight=1.0)(batch_of(POINTS, inputs=inputs, mask=None))
    assert float(term) == 1  # one value of nll 1 per observation


def test_a_black_hole_counts_where_the_target_is_black() -> None:
    x = torch.rand(16, 3, 8, 8)
    x[:, :, :, :4] = 0.0
    cutout = CORRUPTIONS.build({"name": "cutout", "smallest": 0.5, "largest": 0.9})
    inputs, mask = cutout(x, torch.Generator().manual_seed(0))
    batch = dataclasses.replace(
        batch_of(POINTS), x=x, inputs=inputs, mask=mask, nll=torch.ones_like(x)
    )
    expected = mask.expand_as(x).flatten(1).sum(1).float().mean()
    torch.testing.assert_close(build("hole", weight=1.0)(batch), expected)


def test_a_hole_is_an_addition_to_the_reconstruction() -> None:
    plain, _ = terms_and_gradient(make_model(head="point"))
    terms, _ = terms_and_gradient(make_model({"name": "hole", "weight": 0.0}, head="point"))
    assert torch.equal(torch.stack(list(terms.values())).sum(), plain["reconstruction"])


def test_topk_weighs_the_worst_values() -> None:
    nll = torch.randn(16, 50)
    batch = batch_of(POINTS, nll=nll)
    expected = nll.sort(1, descending=True).values[:, :5].sum(1).mean()
    torch.testing.assert_close(build("topk", weight=3.0, fraction=0.1)(batch), 3 * expected)
    one = build("topk", weight=1.0, fraction=0.001)(batch)  # at least one value
    torch.testing.assert_close(one, nll.max(1).values.mean())
