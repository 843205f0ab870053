"""Recurrent backbone for sequences."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

from torch import Tensor, nn

from latentrl.models.backbones.base import BACKBONES, Backbone, Shape, default_backbone
from latentrl.utils.decoding import Between, Units

CELLS: dict[str, type[nn.GRU] | type[nn.LSTM]] = {"gru": nn.GRU, "lstm": nn.LSTM}


@BACKBONES.register("recurrent")
@dataclass(frozen=True)
class Recurrent(Backbone):
    """A recurrent network for sequences ``(T, D)``; the latent is a map of its last state.

    The decoder receives the latent at every step and runs backwards in time, so that the last step,
    which the state represents best, is decoded first (Srivastava et al. 2015, arXiv:1502.04681).
    """

    hidden: Units = 128
    """Units of the recurrent state."""
    layers: Annotated[int, Between(1, 100)] = 1
    """Recurrent layers."""
    cell: Literal["gru", "lstm"] = "gru"
    """Kind of recurrent layer."""

    def __post_init__(self) -> None:
        """Raise ``ValueError`` where the cell is unknown."""
        if self.cell not in CELLS:
            raise ValueError(f"unknown cell {self.cell!r}; known: {', '.join(CELLS)}")

    def encoder(self, shape: Shape, outputs: int) -> nn.Module:
        """Return the recurrent network and one affine map of its last state."""
        self._check(shape)
        return RecurrentEncoder(self._cell(shape[1]), nn.Linear(self.hidden, outputs))

    def decoder(self, latent_dim: int, shape: Shape) -> nn.Module:
        """Return the recurrent network between two affine maps."""
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


class RecurrentEncoder(nn.Module):
    """A recurrent network and an affine map of its last state."""

    def __init__(self, cell: nn.Module, linear: nn.Module) -> None:
        """Join the two."""
        super().__init__()
        self.cell, self.linear = cell, linear

    def forward(self, x: Tensor) -> Tensor:
        """Map ``(B, T, D)`` to ``(B, outputs)``."""
        states: Tensor = self.cell(x)[0]  # (B, T, hidden)
        outputs: Tensor = self.linear(states[:, -1])
        return outputs


class RecurrentDecoder(nn.Module):
    """A sequence from a latent, last step first."""

    def __init__(self, first: nn.Module, cell: nn.Module, last: nn.Module, steps: int) -> None:
        """Join the three; ``steps`` is T."""
        super().__init__()
        self.first, self.cell, self.last, self.steps = first, cell, last, steps

    def forward(self, z: Tensor) -> Tensor:
        """Map ``(B, latent_dim)`` to ``(B, T, D)``."""
        inputs = self.first(z)[:, None].expand(-1, self.steps, -1)
        states: Tensor = self.cell(inputs)[0]
        outputs: Tensor = self.last(states)
        return outputs.flip(1)  # the first state decodes the last step
