"""Codes: the Gaussian's KL and samples against torch.distributions."""

from __future__ import annotations

import pytest
import torch
from torch.distributions import Normal, kl_divergence

from latentrl.heads import HEADS, Code


@pytest.mark.parametrize("name", list(HEADS))
def test_reads_a_code_of_the_stated_kind(name: str) -> None:
    head = HEADS.build({"name": name})
    code = head(torch.randn(6, head.outputs_per_latent * 5))
    assert code.mean.shape == (6, 5)
    noise = torch.randn(6, 5)
    assert torch.equal(code.sample(torch.zeros(6, 5)), code.mean)
    assert torch.equal(code.sample(noise), code.mean) is not head.stochastic
    if head.stochastic:
        assert (code.kl() >= 0).all()


def test_gaussian_kl_and_sample_equal_torch_distributions() -> None:
    outputs = torch.randn(64, 10) * 2
    code = HEADS.build({"name": "gaussian"})(outputs)
    posterior = Normal(outputs[:, :5], (outputs[:, 5:] / 2).exp())
    torch.testing.assert_close(code.kl(), kl_divergence(posterior, Normal(0.0, 1.0)))
    noise = torch.randn(64, 5)
    torch.testing.assert_close(code.sample(noise), posterior.loc + posterior.scale * noise)


def test_huge_log_variances_stay_finite() -> None:
    code = HEADS.build({"name": "gaussian"})(torch.full((1, 2), 1e4))
    assert torch.isfinite(code.kl()[:, :1] - code.mean.square()).all()
    assert torch.isfinite(code.sample(torch.ones(1, 1))).all()


def test_half_precision_outputs_give_float32_codes() -> None:
    code = HEADS.build({"name": "gaussian"})(torch.randn(2, 4, dtype=torch.bfloat16))
    assert code.mean.dtype == torch.float32


def test_a_point_has_no_kl() -> None:
    with pytest.raises(TypeError, match="a point code has no KL divergence; use head 'gaussian'"):
        Code(torch.zeros(1, 2)).kl()
