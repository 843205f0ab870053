"""Backbones: pairs of encoder and decoder networks, chosen from the observation's shape."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from latentrl.utils.registry import Registry

Shape = tuple[int, ...]


class Backbone(Protocol):
    """Makes the two halves of a network for inputs of ``shape``: ``(C, H, W)``, ``(T, D)`` or
    ``(D,)``.
    """

    def encoder(self, shape: Shape, outputs: int) -> nn.Module:
        """Return a module that maps ``(B, *shape)`` to ``(B, outputs)``."""

    def decoder(self, latent_dim: int, shape: Shape) -> nn.Module:
        """Return a module that maps ``(B, latent_dim)`` to ``(B, *shape)``."""

    def tie(self, encoder: nn.Module, decoder: nn.Module) -> None:
        """Share weights between the halves, where the backbone does."""
        return None  # noqa: RET501 - an empty backbone would make it abstract

    def grid(self, shape: Shape) -> tuple[int, int] | None:
        """Return rows and columns of the latent's grid of cells; None where it is a vector."""
        return None


BACKBONES: Registry[Backbone] = Registry("backbone")


def default_backbone(shape: Shape) -> dict[str, str]:
    """Return the spec of the backbone for inputs of ``shape``: of images, of sequences, or of
    vectors.
    """
    return {"name": {3: "conv", 2: "recurrent"}.get(len(shape), "mlp")}


@BACKBONES.register("conv")
@dataclass(frozen=True)
class Conv(Backbone):
    """Strided convolutions that halve the image down to about 4 pixels a side.

    The default sizes are those of Locatello et al. 2019 (https://arxiv.org/abs/1811.12359).
    """

    channels: Sequence[int] = (32, 32, 64, 64)
    hidden: int = 256

    def encoder(self, shape: Shape, outputs: int) -> nn.Module:
        """Return kernel-4 stride-2 convolutions and one hidden layer."""
        sizes, widths = self._plan(shape)
        layers: list[nn.Module] = []
        for before, after in itertools.pairwise(widths):
            layers += [nn.Conv2d(before, after, 4, 2, 1), nn.ReLU()]
        flat = widths[-1] * math.prod(sizes[-1])
        return nn.Sequential(
            *layers,
            nn.Flatten(),
            nn.Linear(flat, self.hidden),
            nn.ReLU(),
            nn.Linear(self.hidden, outputs),
        )

    def decoder(self, latent_dim: int, shape: Shape) -> nn.Module:
        """Return the mirror image of ``encoder``; odd sizes come back exactly."""
        sizes, widths = self._plan(shape)
        layers: list[nn.Module] = []
        for small, large, before, after in _upwards(sizes, widths):
            padding = (large[0] - 2 * small[0], large[1] - 2 * small[1])
            layers += [
                nn.ConvTranspose2d(before, after, 4, 2, 1, output_padding=padding),
                nn.ReLU(),
            ]
        flat = widths[-1] * math.prod(sizes[-1])
        return nn.Sequential(
            nn.Linear(latent_dim, self.hidden),
            nn.ReLU(),
            nn.Linear(self.hidden, flat),
            nn.ReLU(),
            nn.Unflatten(1, (widths[-1], *sizes[-1])),
            *layers[:-1],
        )

    def _plan(self, shape: Shape) -> tuple[list[tuple[int, int]], list[int]]:
        if len(shape) != 3:
            raise ValueError(
                f"backbone 'conv' is for images (C, H, W), not inputs of shape {shape}; use '{default_backbone(shape)['name']}'"
            )
        channels, height, width = shape
        depth = max(1, int(math.log2(min(height, width) / 4)))
        sizes = [(height >> level, width >> level) for level in range(depth + 1)]
        widths = [self.channels[min(level, len(self.channels) - 1)] for level in range(depth)]
        return sizes, [channels, *widths]


def _upwards(
    sizes: list[tuple[int, int]], widths: list[int]
) -> Iterator[tuple[tuple[int, int], tuple[int, int], int, int]]:
    return zip(sizes[:0:-1], sizes[-2::-1], widths[:0:-1], widths[-2::-1], strict=True)


@BACKBONES.register("patches")
@dataclass(frozen=True)
class Patches(Backbone):
    """One small network for every patch of an image, as for the tokens of a ViT (arXiv:2010.11929).

    Each part of the code knows one patch and each patch one part, so that nothing small is lost in
    the whole: for tiles, text and sprites on a grid. Codes are laid out ``(latent_dim / patches,
    patches)``. With units that never die (GELU: arXiv:1606.08415): few numbers a patch need all of
    them.
    """

    size: int = 8
    """Side of a patch in pixels."""
    hidden: int = 64

    def encoder(self, shape: Shape, outputs: int) -> nn.Module:
        """Return two hidden layers for every patch."""
        channels, _ = self._plan(shape, outputs)
        return nn.Sequential(
            nn.Conv2d(shape[0], self.hidden, self.size, self.size),
            nn.GELU(),
            nn.Conv2d(self.hidden, self.hidden, 1),
            nn.GELU(),
            nn.Conv2d(self.hidden, channels, 1),
            nn.Flatten(),
        )

    def decoder(self, latent_dim: int, shape: Shape) -> nn.Module:
        """Return the mirror image of ``encoder``."""
        channels, sides = self._plan(shape, latent_dim)
        return nn.Sequential(
            nn.Unflatten(1, (channels, *sides)),
            nn.Conv2d(channels, self.hidden, 1),
            nn.GELU(),
            nn.Conv2d(self.hidden, self.hidden, 1),
            nn.GELU(),
            nn.ConvTranspose2d(self.hidden, shape[0], self.size, self.size),
        )

    def grid(self, shape: Shape) -> tuple[int, int]:
        """Return rows and columns of patches."""
        return shape[1] // self.size, shape[2] // self.size

    def _plan(self, shape: Shape, values: int) -> tuple[int, tuple[int, int]]:
        if len(shape) != 3 or shape[1] % self.size or shape[2] % self.size:
            raise ValueError(
                f"backbone 'patches' of size {self.size} is for images (C, H, W) that such patches fill, not inputs of "
                f"shape {shape}; set size to a divisor of both sides"
            )
        patches = math.prod(self.grid(shape))
        if values % patches:
            raise ValueError(
                f"backbone 'patches' cuts these images into {patches}, and cannot share {values} values out evenly: "
                f"use a latent_dim that is a multiple of {patches}"
            )
        return values // patches, self.grid(shape)


@BACKBONES.register("mlp")
@dataclass(frozen=True)
class MLP(Backbone):
    """Fully connected layers with ReLU."""

    hidden: Sequence[int] = (256, 256)

    def encoder(self, shape: Shape, outputs: int) -> nn.Module:
        """Return the layers from the flattened input to ``outputs``."""
        return nn.Sequential(nn.Flatten(), dense((math.prod(shape), *self.hidden, outputs)))

    def decoder(self, latent_dim: int, shape: Shape) -> nn.Module:
        """Return the layers from the code to an output of ``shape``."""
        return nn.Sequential(
            dense((latent_dim, *reversed(self.hidden), math.prod(shape))), nn.Unflatten(1, shape)
        )


@BACKBONES.register("linear")
@dataclass(frozen=True)
class Linear(Backbone):
    """One affine map each way: what PCA is, and what a linear autoencoder learns."""

    def encoder(self, shape: Shape, outputs: int) -> nn.Module:
        """Return the affine map from the flattened input."""
        return nn.Sequential(nn.Flatten(), nn.Linear(math.prod(shape), outputs))

    def decoder(self, latent_dim: int, shape: Shape) -> nn.Module:
        """Return the affine map to an output of ``shape``."""
        return nn.Sequential(nn.Linear(latent_dim, math.prod(shape)), nn.Unflatten(1, shape))


@BACKBONES.register("dictionary")
@dataclass(frozen=True)
class Dictionary(Backbone):
    """A deep encoder and a linear decoder: the observation is a sum of the code's atoms."""

    def encoder(self, shape: Shape, outputs: int) -> nn.Module:
        """Return the encoder of the backbone that suits the shape."""
        return BACKBONES.build(default_backbone(shape)).encoder(shape, outputs)

    def decoder(self, latent_dim: int, shape: Shape) -> nn.Module:
        """Return the affine map to an output of ``shape``."""
        return Linear().decoder(latent_dim, shape)


@BACKBONES.register("sigmoid")
@dataclass(frozen=True)
class Sigmoid(Backbone):
    """One layer and a sigmoid to the code, one layer back: the shape of the first autoencoders."""

    tied: bool = False
    """Make the decoder's weights the transpose of the encoder's."""

    def encoder(self, shape: Shape, outputs: int) -> nn.Module:
        """Return the layer, which knows its Jacobian."""
        return SigmoidLayer(math.prod(shape), outputs)

    def decoder(self, latent_dim: int, shape: Shape) -> nn.Module:
        """Return an affine map to an output of ``shape``."""
        if self.tied:
            return TransposedLayer(shape)
        return Linear().decoder(latent_dim, shape)

    def tie(self, encoder: nn.Module, decoder: nn.Module) -> None:
        """Show the decoder the encoder's weights."""
        if isinstance(encoder, SigmoidLayer) and isinstance(decoder, TransposedLayer):
            if encoder.linear.in_features != math.prod(decoder.shape):
                raise ValueError(
                    "tied weights give one output for each value: use likelihood 'gaussian' or 'bernoulli'"
                )
            decoder.other = (encoder.linear,)


class SigmoidLayer(nn.Module):
    """sigmoid(W x + b) of the flattened input."""

    def __init__(self, inputs: int, outputs: int) -> None:
        """Build the layer with fresh weights."""
        super().__init__()
        self.linear = nn.Linear(inputs, outputs)

    def forward(self, x: Tensor) -> Tensor:
        """Map ``(B, *shape)`` to ``(B, outputs)`` in (0, 1)."""
        return torch.sigmoid(self.linear(x.flatten(1)))

    def squared_jacobian(self, x: Tensor) -> Tensor:
        """Return the squared norm of each output's gradient by ``x``, ``(B, outputs)`` (Rifai et
        al. 2011).
        """
        h = self(x)
        slopes: Tensor = (h * (1 - h)).square()
        return slopes * self.linear.weight.square().sum(1)


class TransposedLayer(nn.Module):
    """W' h + c, with the W of another layer."""

    def __init__(self, shape: Shape) -> None:
        """Build the offset; ``Sigmoid.tie`` gives the weights."""
        super().__init__()
        self.shape = shape
        self.other: tuple[
            nn.Linear, ...
        ] = ()  # a tuple hides it from state_dict, where it would come twice
        self.bias = nn.Parameter(torch.zeros(math.prod(shape)))

    def forward(self, h: Tensor) -> Tensor:
        """Map ``(B, latent_dim)`` to ``(B, *shape)``."""
        weight = self.other[0].weight[
            : h.shape[1]
        ]  # a head may read more than the mean from the outputs
        return F.linear(h, weight.T, self.bias).view(-1, *self.shape)


@BACKBONES.register("recurrent")
@dataclass(frozen=True)
class Recurrent(Backbone):
    """A recurrent network for sequences ``(T, D)``; the code is read from its last state.

    The decoder is fed the code at every step, and runs backwards in time, so that the last step,
    which the code remembers best, is decoded first (Srivastava et al. 2015, arXiv:1502.04681).
    """

    hidden: int = 128
    layers: int = 1
    cell: Literal["gru", "lstm"] = "gru"

    def __post_init__(self) -> None:
        """Refuse an unknown cell."""
        if self.cell not in CELLS:
            raise ValueError(f"unknown cell {self.cell!r}; known: {', '.join(CELLS)}")

    def encoder(self, shape: Shape, outputs: int) -> nn.Module:
        """Return the recurrent network and one affine map of its last state."""
        self._check(shape)
        return RecurrentEncoder(self._cell(shape[1]), nn.Linear(self.hidden, outputs))

    def decoder(self, latent_dim: int, shape: Shape) -> nn.Module:
        """Return the recurrent network, fed the code at every step, between two affine maps."""
        self._check(shape)
        first, last = nn.Linear(latent_dim, self.hidden), nn.Linear(self.hidden, shape[1])
        return RecurrentDecoder(first, self._cell(self.hidden), last, shape[0])

    def _cell(self, inputs: int) -> nn.Module:
        return CELLS[self.cell](inputs, self.hidden, self.layers, batch_first=True)

    def _check(self, shape: Shape) -> None:
        if len(shape) != 2:
            raise ValueError(
                f"backbone 'recurrent' is for sequences (T, D), not inputs of shape {shape}; "
                f"use '{default_backbone(shape)['name']}'"
            )


CELLS: dict[str, type[nn.GRU] | type[nn.LSTM]] = {"gru": nn.GRU, "lstm": nn.LSTM}


class RecurrentEncoder(nn.Module):
    """Reads a sequence and answers with its last state."""

    def __init__(self, cell: nn.Module, linear: nn.Module) -> None:
        """Join the two."""
        super().__init__()
        self.cell, self.linear = cell, linear

    def forward(self, x: Tensor) -> Tensor:
        """Map ``(B, T, D)`` to ``(B, outputs)``."""
        states: Tensor = self.cell(x)[0]
        outputs: Tensor = self.linear(states[:, -1])
        return outputs


class RecurrentDecoder(nn.Module):
    """Writes a sequence from a code, last step first."""

    def __init__(self, first: nn.Module, cell: nn.Module, last: nn.Module, steps: int) -> None:
        """Join the three; ``steps`` is T."""
        super().__init__()
        self.first, self.cell, self.last, self.steps = first, cell, last, steps

    def forward(self, z: Tensor) -> Tensor:
        """Map ``(B, latent_dim)`` to ``(B, T, D)``."""
        states: Tensor = self.cell(self.first(z)[:, None].expand(-1, self.steps, -1))[0]
        outputs: Tensor = self.last(states)
        return outputs.flip(1)


def dense(widths: Sequence[int], activation: nn.Module | None = None) -> nn.Sequential:
    """Return linear layers of these widths with ``activation`` (ReLU) between them."""
    layers: list[nn.Module] = []
    for before, after in itertools.pairwise(widths):
        layers += [nn.Linear(before, after), activation or nn.ReLU()]
    return nn.Sequential(*layers[:-1])


class UnitLinear(nn.Linear):
    """A linear layer with columns of length 1, whatever the length of its weights."""

    @property
    def columns(self) -> Tensor:
        """The columns in use, ``(outputs, inputs)``."""
        return F.normalize(self.weight, dim=0)

    def forward(self, x: Tensor) -> Tensor:
        """Map ``(B, inputs)`` to ``(B, outputs)``."""
        return F.linear(x, self.columns, self.bias)


def hold_unit_columns(decoder: nn.Module) -> None:
    """Hold the columns of the first linear layer at unit length.

    Without it a penalty on the size of the code does nothing: the encoder's outputs shrink and the
    decoder's weights grow.

    Raises:
        ValueError: the decoder does not begin with a linear layer.
    """
    found = (
        (name, module) for name, module in decoder.named_modules() if isinstance(module, nn.Linear)
    )
    name, linear = next(found, ("", None))
    if linear is None:
        raise ValueError(
            "unit_columns needs a decoder that begins with a linear layer, which tied weights are not"
        )
    unit = UnitLinear(linear.in_features, linear.out_features)
    unit.load_state_dict(linear.state_dict())
    parent, _, child = name.rpartition(".")
    setattr(decoder.get_submodule(parent), child, unit)
