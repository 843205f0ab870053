"""Search among packed binary codes by Hamming distance."""

from __future__ import annotations

import numpy as np

from latentrl.models.autoencoder import Autoencoder
from latentrl.models.batches import Observations, batches, is_single
from latentrl.models.heads import BinaryPosterior
from latentrl.types import Array

WORDS = (1, 2, 4, 8)
"""Bytes of the unsigned integers that codes are compared in."""


def pack_bits(codes: Array) -> Array:
    """Pack codes of 0 and 1, ``(B, M)``, into uint8 ``(B, ceil(M / 8))``, the first bit highest.

    Raises:
        ValueError: some value is neither 0 nor 1.
    """
    bits = np.asarray(codes).astype(bool)
    if (bits != codes).any():
        raise ValueError("only codes of 0 and 1 can be packed: those of a 'binary_ae'")
    return np.packbits(bits, axis=-1)


def unpack_bits(packed: Array, bits: int) -> Array:
    """Undo ``pack_bits``: uint8 ``(B, ceil(M / 8))`` into uint8 0 and 1, ``(B, M)``, where ``bits``
    is M.
    """
    return np.unpackbits(packed, axis=-1, count=bits)


def hamming(query: Array, index: Array) -> Array:
    """Count the bits in which codes differ.

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
    distances = np.array([_distances(one, rows) for one in _as_words(queries)])
    return distances.reshape(*np.shape(query)[:-1], len(index))


class CodeIndex:
    """Observations by the bits of their codes, to find those nearest to another (Salakhutdinov &
    Hinton 2009).

    ``codes`` holds them packed, uint8 ``(N, ceil(latent_dim / 8))``; ``np.save`` keeps them.
    """

    codes: Array

    def __init__(self, model: Autoencoder, observations: Observations) -> None:
        """Encode ``observations``, an array, Frames or a path, which are read a piece at a time.

        Raises:
            TypeError: the codes of ``model`` are not bits.
            ValueError: shape, dtype or values do not belong to the observation space.
        """
        _check_binary(model)
        self._hold(model, _packed_codes(model, observations))

    @classmethod
    def of_codes(cls, model: Autoencoder, packed: Array) -> CodeIndex:
        """Make an index of the ``codes`` of another one, made with the same ``model``.

        Raises:
            TypeError: the codes of ``model`` are not bits.
            ValueError: they are not packed codes of the model's length.
        """
        _check_binary(model)
        _check_packed(packed, (model.latent_dim + 7) // 8)
        index = cls.__new__(cls)
        index._hold(model, packed)
        return index

    def _hold(self, model: Autoencoder, codes: Array) -> None:
        self.model, self.codes, self._words = model, codes, _as_words(codes)

    def __len__(self) -> int:
        """Return the number of observations."""
        return len(self.codes)

    def search(self, query: Observations, k: int = 10) -> tuple[Array, Array]:
        """Find the observations whose codes differ from the query's in the fewest bits.

        Args:
            query: observations ``(Q, *observation_shape)``, or one without ``Q``.
            k: how many to find for each.

        Returns: Their positions, int64 ``(Q, k)``, nearest first and of the equally near the first
            first; and their distances in bits, int32 ``(Q, k)``. Both are ``(k,)`` for one
            observation.

        Raises:
            ValueError: ``k`` is not between 1 and the number of observations, or the query does not
                belong to the observation space.
        """
        if not 1 <= k <= len(self):
            raise ValueError(
                f"k is a number of observations to find, from 1 to the {len(self)} there are; got {k}"
            )
        words = _as_words(_packed_codes(self.model, query))
        indices, distances = (
            np.empty((len(words), k), np.int64),
            np.empty((len(words), k), np.int32),
        )
        for row, code in enumerate(words):
            indices[row], distances[row] = _nearest(_distances(code, self._words), k)
        return (indices[0], distances[0]) if is_single(self.model, query) else (indices, distances)


def _check_binary(model: Autoencoder) -> None:
    if not issubclass(model.head.posterior, BinaryPosterior):
        raise TypeError(
            f"the codes of a {model.config.model!r} model are not bits; train 'binary_ae' to search"
        )


def _packed_codes(model: Autoencoder, observations: Observations) -> Array:
    return np.concatenate(
        [pack_bits(model.encode(batch)) for batch in batches(model, observations)]
    )


def _check_packed(codes: Array, size: int) -> None:
    if codes.dtype != np.uint8 or codes.ndim != 2 or codes.shape[1] != size:
        raise ValueError(
            f"expected packed codes, uint8 (N, {size}), got {codes.dtype} {codes.shape}; pack_bits makes them"
        )


def _as_words(packed: Array) -> Array:
    """View rows of bytes as the widest unsigned integers, with zeros at the end where they do not
    fit.
    """
    size = packed.shape[1]
    width = next((width for width in WORDS if width >= size), WORDS[-1])
    padded = np.pad(packed, [(0, 0), (0, -size % width)]) if size % width else packed
    return np.ascontiguousarray(padded).view(f"u{width}")


def _distances(query: Array, rows: Array) -> Array:
    total = np.zeros(len(rows), np.int32)
    for word in range(rows.shape[1]):
        total += np.bitwise_count(rows[:, word] ^ query[word])
    return total


def _nearest(distances: Array, k: int) -> tuple[Array, Array]:
    farthest = np.partition(distances, k - 1)[k - 1]
    nearer = np.flatnonzero(distances < farthest)
    nearer = nearer[np.argsort(distances[nearer], kind="stable")]
    chosen = np.concatenate([nearer, np.flatnonzero(distances == farthest)[: k - len(nearer)]])
    return chosen, distances[chosen]
