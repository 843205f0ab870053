"""Every body makes the two halves of a network, for all shapes or none."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from latentrl.networks import BODIES, Shape, default_body

SHAPES = [(1, 16, 16), (3, 17, 31), (2, 33, 16), (12, 40, 56), (5,), (1,)]


def build(name: str, shape: Shape) -> tuple[nn.Module, nn.Module]:
    """Return encoder and decoder; a body that is not for such inputs must say so itself."""
    body = BODIES.build({"name": name})
    try:
        return body.encoder(shape, 7), body.decoder(4, shape)
    except ValueError as error:
        assert f"body {name!r}" in str(error)  # noqa: PT017 - a refusal is allowed, a bad message is not
        pytest.skip(str(error))


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("name", list(BODIES))
def test_both_halves_fit_the_shape(name: str, shape: Shape) -> None:
    encoder, decoder = build(name, shape)
    x = torch.randn(2, *shape)
    outputs = encoder(x)
    assert outputs.shape == (2, 7)
    assert decoder(outputs[:, :4]).shape == x.shape


@pytest.mark.parametrize("shape", [(3, 17, 31), (5,)], ids=str)
@pytest.mark.parametrize("name", list(BODIES))
def test_every_weight_gets_a_gradient_and_every_value_counts(name: str, shape: Shape) -> None:
    torch.manual_seed(0)
    encoder, decoder = build(name, shape)
    x = torch.rand(8, *shape, requires_grad=True)
    decoder(encoder(x)[:, :4]).square().sum().backward()
    assert all(p.grad is not None and p.grad.any() for p in [*encoder.parameters(), *decoder.parameters()])
    # A strided convolution may drop the last row or column of an odd side, never more.
    assert x.grad is not None
    assert (x.grad.abs().sum(0) > 0).float().mean() > 0.9


@pytest.mark.parametrize("shape", [(3, 17, 31), (5,)], ids=str)
def test_default_body_suits_the_shape(shape: Shape) -> None:
    assert default_body(shape) == {"name": "conv" if len(shape) == 3 else "mlp"}
    build(default_body(shape)["name"], shape)


def test_convolutions_refuse_vectors() -> None:
    with pytest.raises(ValueError, match=r"body 'conv' is for images \(C, H, W\), not inputs of shape \(5,\)"):
        BODIES.build({"name": "conv"}).encoder((5,), 7)


def test_linear_body_is_affine() -> None:
    encoder, _ = build("linear", (2, 3, 3))
    a, b, zero = torch.randn(1, 2, 3, 3), torch.randn(1, 2, 3, 3), torch.zeros(1, 2, 3, 3)
    torch.testing.assert_close(encoder(a + b) + encoder(zero), encoder(a) + encoder(b))
