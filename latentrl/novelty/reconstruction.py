"""What a frame can still teach a decoder: the reconstruction error that is not noise."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
from torch import Tensor

from latentrl.novelty.base import BONUSES, Bonus, check_state, describe
from latentrl.novelty.new_tokens import Found, NewTokens
from latentrl.types import Array, Encoder, LatentLayout, Transitions


class ReconstructionGain(Bonus):
    """Sum over the tokens new in their episode of (1 - u)^2 / 2 log(1 + v), in nats.

    A linear decoder W z + b_p reconstructs each cell of an image from its latent z, with weights W
    for all positions and an offset b_p for position p. Decoders that explain all earlier tokens
    disagree about a token by the variance v, in units of the variance of the noise: of its
    reconstruction error this part can be learned, whereas noise cannot (Pathak et al. 2019,
    arXiv:1906.04161). Half of log(1 + v) is the information of the token about one output of the
    decoder (MacKay 1992, doi:10.1162/neco.1992.4.4.590). In place of an ensemble, v is the exact
    posterior variance of Bayesian linear regression.

    It is large for a cell that looks like none before, and for a change at a position where nothing
    has changed yet. The factor (1 - u)^2, of ``NewTokens``, is near 0 where the image shows noise.
    """

    def __init__(self, layout: LatentLayout, prior: float = 1.0, seed: int = 0) -> None:
        """Decode latents of this ``layout``.

        Args:
            layout: of the encoder: ``LatentLayout.of(encoder)``. A plain vector is one token.
            prior: precision of W and b before the first token, in units of that of the noise.
            seed: of the hash of tokens.

        Raises:
            ValueError: ``prior`` is not positive.
        """
        if not prior > 0:
            raise ValueError(f"prior must be positive, got {prior}")
        self.layout, self.prior = layout, prior
        self.tokens = NewTokens(layout, True, layout.token_width / 10, seed)
        self._sums = np.zeros((layout.cells, layout.channels))
        self._squares = prior * np.eye(layout.channels)
        self._update_posterior()

    def reset(self, env_ids: Array, observations: Array, latents: Array) -> None:
        """Start new episodes; the tokens of the first latents are not new."""
        self.tokens.reset(env_ids, latents)

    def score(self, transitions: Transitions) -> Array:
        """Return the nats of each next latent, float32 ``(B,)``."""
        found = self._find(transitions)
        return self._scores(found, *self._new(transitions, found))

    def update(self, transitions: Transitions) -> None:
        """Learn from the new tokens."""
        self.step(transitions)

    def step(self, transitions: Transitions) -> Array:
        """Score, then update, with the tokens of one look-up."""
        found = self._find(transitions)
        cells, positions = self._new(transitions, found)
        scores = self._scores(found, cells, positions)
        self.tokens.add(transitions.env_ids, found)
        if len(cells):
            np.add.at(self._sums, positions, cells)
            self._squares += cells.T @ cells
            self._update_posterior()
        return scores

    def state_dict(self) -> dict[str, Tensor]:
        """Return the moments of the new tokens, and the state of ``NewTokens``."""
        return {
            "sums": torch.from_numpy(self._sums.copy()),
            "squares": torch.from_numpy(self._squares.copy()),
            **self.tokens.state_dict(),
        }

    def load_state_dict(self, state: Mapping[str, Tensor]) -> None:
        """Restore what ``state_dict`` returned."""
        check_state(self.name, state, "sums", "squares")
        if any(
            state[name].shape != getattr(self, f"_{name}").shape for name in ("sums", "squares")
        ):
            raise ValueError(
                f"{self.name} expected sums {list(self._sums.shape)} and squares "
                f"{list(self._squares.shape)}, got {describe(state)}: it is that of other latents"
            )
        self.tokens.load_state_dict(state)
        self._sums, self._squares = (state[name].numpy().copy() for name in ("sums", "squares"))
        self._update_posterior()

    def metrics(self) -> dict[str, float]:
        """Return the number of distinct tokens, and the fraction u over all positions."""
        return self.tokens.metrics()

    def _find(self, transitions: Transitions) -> Found:
        return self.tokens.find(transitions.env_ids, transitions.next_latents)

    def _new(self, transitions: Transitions, found: Found) -> tuple[Array, Array]:
        """Return the latents ``(N, channels)`` of the new tokens and their positions ``(N,)``."""
        cells = self.layout.split(transitions.next_latents)[found.new].astype(np.float64)
        return cells, found.new.nonzero()[1]

    def _scores(self, found: Found, cells: Array, positions: Array) -> Array:
        deviations = cells - self._means[positions]
        variance = np.einsum("ni,ij,nj->n", deviations, self._covariance, deviations)
        variance += 1 / self._counts[positions]
        nats = 0.5 * np.log1p(variance) * self.tokens.factor[positions]
        scores = np.bincount(found.new.nonzero()[0], nats, minlength=len(found.new))
        return scores.astype(np.float32)

    def _update_posterior(self) -> None:
        # A token has one offset, so that the block of the offsets in the precision is diagonal:
        # its Schur complement, which is inverted, has the size of a cell and not of the grid.
        self._counts = self.prior + self.tokens.new
        self._means = self._sums / self._counts[:, None]
        self._covariance = np.linalg.inv(self._squares - self._sums.T @ self._means)


@BONUSES.register("reconstruction")
def reconstruction(encoder: Encoder, seed: int) -> ReconstructionGain:
    """What a linear decoder of the latents still learns, of tokens new in their episode."""
    return ReconstructionGain(LatentLayout.of(encoder), seed=seed)
