"""Every registered backbone builds encoder and decoder, or names itself in a refusal."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from latentrl.models.backbones import BACKBONES, Shape, default_backbone
from latentrl.models.backbones.base import hold_unit_columns

SHAPES = [
    (1, 16, 16),
    (3, 17, 31),
    (2, 33, 16),
    (12, 40, 56),
    (1, 8, 8),
    (12, 4),
    (1, 3),
    (5,),
    (1,),
]
KINDS = [(3, 17, 31), (12, 4), (5,)]


def build(name: str, shape: Shape, **options: Any) -> tuple[nn.Module, nn.Module]:
    """Return encoder and decoder; a backbone that is not for such inputs names itself."""
    backbone = BACKBONES.build({"name": name, **options})
    try:
        encoder, decoder = backbone.encoder(shape, 7), backbone.decoder(4, shape)
    except ValueError as error:
        assert f"backbone {name!r}" in str(error)  # noqa: PT017 - a refusal is allowed, a bad message is not
        pytest.skip(str(error))
    backbone.tie(encoder, decoder)
    return encoder, decoder


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("name", list(BACKBONES))
def test_encoder_and_decoder_fit_the_shape(name: str, shape: Shape) -> None:
    encoder, decoder = build(name, shape)
    x = torch.randn(2, *shape)
    outputs = encoder(x)
    assert outputs.shape == (2, 7)
    assert decoder(outputs[:, :4]).shape == x.shape


@pytest.mark.parametrize("shape", KINDS, ids=str)
@pytest.mark.parametrize("name", list(BACKBONES))
def test_every_weight_gets_a_gradient_and_every_value_counts(name: str, shape: Shape) -> None:
    torch.manual_seed(0)
    encoder, decoder = build(name, shape)
    x = torch.rand(8, *shape, requires_grad=True)
    decoder(encoder(x)[:, :4]).square().sum().backward()
    assert all(
        p.grad is not None and p.grad.any() for p in [*encoder.parameters(), *decoder.parameters()]
    )
    # A strided convolution may drop the last row or column of an odd side, never more.
    assert x.grad is not None
    assert (x.grad.abs().sum(0) > 0).float().mean() > 0.9


@pytest.mark.parametrize("shape", KINDS, ids=str)
def test_default_backbone_suits_the_shape(shape: Shape) -> None:
    assert default_backbone(shape) == {"name": {3: "conv", 2: "recurrent", 1: "mlp"}[len(shape)]}
    build(default_backbone(shape)["name"], shape)


def test_other_shapes_are_refused() -> None:
    with pytest.raises(
        ValueError, match=r"'conv' is for images \(C, H, W\), not inputs of shape \(5,\); use 'mlp'"
    ):
        BACKBONES.build({"name": "conv"}).encoder((5,), 7)
    with pytest.raises(
        ValueError, match=r"backbone 'conv' is for images .* \(12, 4\); use 'recurrent'"
    ):
        BACKBONES.build({"name": "conv"}).decoder(4, (12, 4))
    with pytest.raises(
        ValueError,
        match=r"backbone 'recurrent' is for sequences \(T, D\), .* \(3, 17, 31\); use 'conv'",
    ):
        BACKBONES.build({"name": "recurrent"}).encoder((3, 17, 31), 7)
    with pytest.raises(ValueError, match=r"backbone 'recurrent' is for .* \(5,\); use 'mlp'"):
        BACKBONES.build({"name": "recurrent"}).decoder(4, (5,))
    with pytest.raises(ValueError, match="cell of backbone 'recurrent' is one of 'gru', 'lstm'"):
        BACKBONES.build({"name": "recurrent", "cell": "rnn"})


def test_linear_backbone_is_affine() -> None:
    encoder, _ = build("linear", (2, 3, 3))
    a, b, zero = torch.randn(1, 2, 3, 3), torch.randn(1, 2, 3, 3), torch.zeros(1, 2, 3, 3)
    torch.testing.assert_close(encoder(a + b) + encoder(zero), encoder(a) + encoder(b))


@pytest.mark.parametrize("shape", KINDS, ids=str)
def test_a_dictionary_decodes_to_a_sum_of_atoms(shape: Shape) -> None:
    encoder, decoder = build("dictionary", shape)
    atoms, nothing, h = decoder(torch.eye(4)), decoder(torch.zeros(1, 4)), torch.randn(2, 4)
    expected = nothing + torch.einsum("bm,m...->b...", h, atoms - nothing)
    torch.testing.assert_close(decoder(h), expected, atol=1e-5, rtol=0)
    x = torch.randn(3, *shape)
    # The encoder is deep, and so not affine.
    assert not torch.allclose(encoder(2 * x) + encoder(0 * x), 2 * encoder(x), atol=1e-3)


def test_tied_weights_are_the_transpose() -> None:
    encoder, decoder = build("sigmoid", (2, 3), tied=True)
    weight, bias = encoder.linear.weight, encoder.linear.bias
    x, h = torch.randn(5, 2, 3), torch.randn(5, 4)
    torch.testing.assert_close(encoder(x), torch.sigmoid(x.flatten(1) @ weight.T + bias))
    torch.testing.assert_close(decoder(h), (h @ weight[:4] + decoder.bias).view(5, 2, 3))
    assert list(decoder.state_dict()) == ["bias"]


def test_tied_weights_give_one_output_for_each_value() -> None:
    backbone = BACKBONES.build({"name": "sigmoid", "tied": True})
    with pytest.raises(
        ValueError, match="one output for each value: use likelihood 'gaussian' or 'bernoulli'"
    ):
        backbone.tie(backbone.encoder((5,), 4), backbone.decoder(4, (10,)))


@pytest.mark.parametrize("shape", KINDS, ids=str)
@pytest.mark.parametrize("name", list(BACKBONES))
def test_unit_columns_hold_the_first_layer(name: str, shape: Shape) -> None:
    torch.manual_seed(0)
    _, decoder = build(name, shape)
    first = next(module for module in decoder.modules() if isinstance(module, nn.Linear))
    directions = F.normalize(first.weight.detach().clone(), dim=0)
    hold_unit_columns(decoder)
    unit = next(module for module in decoder.modules() if isinstance(module, nn.Linear))
    torch.testing.assert_close(unit.columns, directions)
    torch.testing.assert_close(
        unit(torch.eye(4)) - unit(torch.zeros(4, 4)), directions.T, atol=1e-5, rtol=1e-4
    )


def test_unit_columns_need_a_linear_layer() -> None:
    _, decoder = build("sigmoid", (5,), tied=True)
    with pytest.raises(
        ValueError, match="unit_columns needs a decoder that begins with a linear layer, which tied"
    ):
        hold_unit_columns(decoder)


@pytest.mark.parametrize("cell", ["gru", "lstm"])
@pytest.mark.parametrize("layers", [1, 2])
def test_recurrent_latents_depend_on_the_order_of_all_steps(cell: str, layers: int) -> None:
    torch.manual_seed(0)
    encoder, decoder = build("recurrent", (12, 4), hidden=16, layers=layers, cell=cell)
    x = torch.randn(3, 12, 4, requires_grad=True)
    latents = encoder(x)
    last = encoder.cell(x)[1]
    torch.testing.assert_close(latents, encoder.linear((last if cell == "gru" else last[0])[-1]))
    assert (latents - encoder(x.flip(1))).abs().amax(1).min() > 1e-3
    latents.sum().backward()
    assert (x.grad[:, 0].abs() > 0).all()
    steps = decoder(torch.randn(3, 4))
    differences = (steps[:, 1:] - steps[:, :-1]).abs().amax((0, 2))
    assert differences.min() > 0  # no two steps in a row are equal


def test_the_last_step_is_decoded_first() -> None:
    torch.manual_seed(0)
    _, long = build("recurrent", (12, 4), hidden=16)
    z = torch.randn(3, 4)
    whole = long(z)
    long.steps = 5
    torch.testing.assert_close(long(z), whole[:, -5:])


def test_each_patch_has_its_own_cell() -> None:
    torch.manual_seed(0)
    backbone = BACKBONES.build({"name": "patches", "size": 4})
    encoder, decoder = backbone.encoder((3, 8, 12), 5 * 6), backbone.decoder(5 * 6, (3, 8, 12))
    x = torch.rand(1, 3, 8, 12)
    changed, swapped = x.clone(), x.clone()
    changed[:, :, 4:, 4:8] = 0
    swapped[:, :, :4, :4], swapped[:, :, 4:, 8:] = x[:, :, 4:, 8:], x[:, :, :4, :4]
    cells, other, exchanged = (encoder(image).reshape(5, 6) for image in (x, changed, swapped))
    assert (cells != other).any(0).tolist() == [False, False, False, False, True, False]
    torch.testing.assert_close(exchanged, cells[:, [5, 1, 2, 3, 4, 0]])
    moved = cells.clone()
    moved[:, 1] += 1
    difference = (decoder(moved.reshape(1, -1)) != decoder(cells.reshape(1, -1))).any(1)[0]
    assert difference[:4, 4:8].all()
    assert difference.sum() == 16


def test_patches_must_divide_the_image_and_the_latent() -> None:
    backbone = BACKBONES.build({"name": "patches"})
    with pytest.raises(
        ValueError,
        match=r"'patches' needs images .* of its size 8, not inputs of shape \(3, 17, 31\);",
    ):
        backbone.encoder((3, 17, 31), 7)
    with pytest.raises(
        ValueError, match=r"into 4 patches and cannot divide 7 values evenly .* a multiple of 4"
    ):
        backbone.encoder((3, 16, 16), 7)


@pytest.mark.parametrize("name", list(BACKBONES))
def test_only_patches_has_a_grid(name: str) -> None:
    assert (BACKBONES.build({"name": name}).grid((3, 16, 24)) == (2, 3)) == (name == "patches")
