"""Search for the nearest latents, by Euclidean distance or by Hamming distance of binary codes."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any, ClassVar

import numpy as np
from numpy.typing import ArrayLike

from latentrl.latents.batched import batched
from latentrl.models.autoencoder import Autoencoder
from latentrl.models.batches import Observations, is_single
from latentrl.models.heads import BinaryPosterior
from latentrl.types import Array

WORDS = (1, 2, 4, 8)
"""Bytes of the unsigned integers that packed codes are compared in."""


def pack_bits(codes: Array) -> Array:
    """Pack binary codes ``(B, M)`` into uint8 ``(B, ceil(M / 8))``, the first bit highest.

    Raises:
        ValueError: some value is neither 0 nor 1.
    """
    bits = np.asarray(codes).astype(bool)
    if (bits != codes).any():
        raise ValueError("only binary codes of 0 and 1 can be packed: those of a 'binary_ae'")
    return np.packbits(bits, axis=-1)


def unpack_bits(packed: Array, bits: int) -> Array:
    """Unpack what ``pack_bits`` packed into uint8 0 and 1, ``(B, M)``, where ``bits`` is M."""
    return np.unpackbits(packed, axis=-1, count=bits)


def hamming(query: Array, index: Array) -> Array:
    """Numbers of bits in which binary codes differ.

    Args:
        query: packed codes uint8 ``(Q, bytes)``, or one ``(bytes,)``.
        index: packed codes uint8 ``(N, bytes)``.

    Returns:
        int32 ``(Q, N)``, or ``(N,)`` for one.

    Raises:
        ValueError: they are not packed codes of one length.
    """
    queries = np.atleast_2d(query)
    _check_packed(queries, queries.shape[1])
    _check_packed(index, queries.shape[1])
    rows = _as_words(index)
    distances = np.array([_differing_bits(one, rows) for one in _as_words(queries)])
    return distances.reshape(*np.shape(query)[:-1], len(index))


class NearestIndex(ABC):
    """Exact search among stored latents, by the distance from a query to each of them."""

    metric: ClassVar[str]
    """Name of the distance."""
    distance_dtype: ClassVar[Any]
    """Type of a distance."""
    model: Autoencoder
    """Model that encodes the queries."""

    @abstractmethod
    def __len__(self) -> int:
        """Return the number of stored latents."""

    @abstractmethod
    def _encode(self, observations: Array) -> Array:
        """Latents of ``observations`` in the form that is stored, ``(B, width)``."""

    @abstractmethod
    def _rows(self) -> Array:
        """Stored latents in the form that is compared, ``(N, width)``."""

    @abstractmethod
    def _distances(self, latent: Array, rows: Array) -> Array:
        """Distances of a latent in the form that is stored from all rows, ``(N,)``."""

    def search(
        self, query: Observations, k: int = 10, exclude: ArrayLike | None = None
    ) -> tuple[Array, Array]:
        """Find the stored latents that are nearest to those of the query.

        Args:
            query: observations ``(Q, *observation_shape)``, or one without ``Q``.
            k: number of neighbours of each.
            exclude: position ``(Q,)`` that is left out of the neighbours of each query. With the
                query's own position this is the leave-one-out search within the index.

        Returns:
            Positions, int64 ``(Q, k)``, nearest first and at equal distance in the order of the
            index; and distances ``(Q, k)``. Both are ``(k,)`` for one observation.

        Raises:
            ValueError: ``k`` is not between 1 and the number of latents that can be found,
                ``exclude`` is not one position per query, or the query does not belong to the
                observation space.
        """
        latents = np.atleast_2d(batched(self.model, self._encode, query))
        available = len(self) - (exclude is not None)
        if not 1 <= k <= available:
            raise ValueError(f"k is a number of neighbours, from 1 to {available}; got {k}")
        excluded = None if exclude is None else self._check_excluded(exclude, len(latents))
        indices = np.empty((len(latents), k), np.int64)
        distances = np.empty((len(latents), k), self.distance_dtype)
        rows = self._rows()
        for row, latent in enumerate(latents):
            found = self._distances(latent, rows)
            indices[row] = _nearest(found, k, None if excluded is None else excluded[row])
            distances[row] = found[indices[row]]
        return (indices[0], distances[0]) if is_single(self.model, query) else (indices, distances)

    def _check_excluded(self, exclude: ArrayLike, queries: int) -> Array:
        positions = np.atleast_1d(exclude)
        if positions.shape != (queries,) or not np.isin(positions, np.arange(len(self))).all():
            raise ValueError(
                f"exclude needs one position from 0 to {len(self) - 1} for each of {queries} "
                f"queries, got {positions.tolist()}"
            )
        return positions


class LatentIndex(NearestIndex):
    """Observations searched by the Euclidean distance of their latents; for any model."""

    metric = "Euclidean"
    distance_dtype = np.float32
    latents: Array
    """Stored latents, float32 ``(N, latent_dim)``."""

    def __init__(self, model: Autoencoder, observations: Observations) -> None:
        """Encode ``observations``, an array, Frames or a path, in batches.

        Raises:
            ValueError: shape, dtype or values do not belong to the observation space.
        """
        self.model = model
        self.latents = np.atleast_2d(batched(model, self._encode, observations))

    def __len__(self) -> int:
        """Return the number of stored latents."""
        return len(self.latents)

    def _encode(self, observations: Array) -> Array:
        return self.model.encode(observations)

    def _rows(self) -> Array:
        return self.latents

    def _distances(self, latent: Array, rows: Array) -> Array:
        # |a|^2 - 2 ab + |b|^2 would be one matrix product, but near latents cancel to noise in it.
        distances: Array = np.linalg.norm(rows - latent, axis=1)
        return distances


class HammingIndex(NearestIndex):
    """Observations searched by the Hamming distance of their binary codes.

    This is semantic hashing (Salakhutdinov & Hinton 2009).
    """

    metric = "Hamming"
    distance_dtype = np.int32
    codes: Array
    """Binary codes, packed: uint8 ``(N, ceil(latent_dim / 8))``."""

    def __init__(self, model: Autoencoder, observations: Observations) -> None:
        """Encode ``observations``, an array, Frames or a path, in batches.

        Raises:
            TypeError: the latents of ``model`` are not binary.
            ValueError: shape, dtype or values do not belong to the observation space.
        """
        if not issubclass(model.head.posterior, BinaryPosterior):
            raise TypeError(
                f"the latents of the {model.config.model!r} model are not binary codes; "
                "use LatentIndex, or train 'binary_ae'"
            )
        self.model = model
        self.codes = np.atleast_2d(batched(model, self._encode, observations))

    @classmethod
    def of_codes(cls, model: Autoencoder, codes: Array) -> HammingIndex:
        """Make an index of the ``codes`` of another one of the same ``model``.

        Raises:
            TypeError: the latents of ``model`` are not binary.
            ValueError: they are not packed codes of the model's length.
        """
        space = model.observation_space
        index = cls(model, np.empty((0, *space.shape), space.dtype))
        _check_packed(codes, index.codes.shape[1])
        index.codes = codes
        return index

    def __len__(self) -> int:
        """Return the number of stored codes."""
        return len(self.codes)

    def _encode(self, observations: Array) -> Array:
        return pack_bits(self.model.encode(observations))

    def _rows(self) -> Array:
        return _as_words(self.codes)

    def _distances(self, latent: Array, rows: Array) -> Array:
        return _differing_bits(_as_words(latent[None])[0], rows)


def _check_packed(codes: Array, size: int) -> None:
    if codes.dtype != np.uint8 or codes.ndim != 2 or codes.shape[1] != size:
        raise ValueError(
            f"expected packed codes, uint8 (N, {size}), got {codes.dtype} {codes.shape}; "
            "pack_bits makes them"
        )


def _as_words(packed: Array) -> Array:
    """View rows of bytes as the widest unsigned integers, padded with zeros where needed."""
    size = packed.shape[1]
    width = next((width for width in WORDS if width >= size), WORDS[-1])
    padded = np.pad(packed, [(0, 0), (0, -size % width)]) if size % width else packed
    return np.ascontiguousarray(padded).view(f"u{width}")


def _differing_bits(query: Array, rows: Array) -> Array:
    total = np.zeros(len(rows), np.int32)
    for word in range(rows.shape[1]):
        total += np.bitwise_count(rows[:, word] ^ query[word])
    return total


def _nearest(distances: Array, k: int, excluded: int | None) -> Array:
    """Positions of the ``k`` smallest distances, nearest first, ``(k,)``."""
    if excluded is not None:
        distances = np.delete(distances, excluded)
    # np.argpartition breaks ties in an order that depends on the processor. The k-th smallest
    # distance does not, and all positions below it are in the answer.
    farthest = np.partition(distances, k - 1)[k - 1]
    nearer = np.flatnonzero(distances < farthest)
    nearer = nearer[np.argsort(distances[nearer], kind="stable")]
    ties = np.flatnonzero(distances == farthest)[: k - len(nearer)]
    nearest = np.concatenate([nearer, ties])
    return nearest if excluded is None else nearest + (nearest >= excluded)
