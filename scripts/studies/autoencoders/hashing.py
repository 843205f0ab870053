"""Retrieval by 32-bit codes: semantic hashing, compared with linear hashes."""

from __future__ import annotations

import importlib
import statistics
import time

import numpy as np
import torch

from latentrl import FitConfig, HammingIndex, binary_ae, fit
from latentrl.latents.index import pack_bits
from latentrl.types import Array
from latentrl.viz.images import grid, to_rgb
from scripts.studies.autoencoders.data import digits, flat, mnist
from scripts.studies.core import Row, Study

BITS = 32
NEIGHBOURS = 10
INDEXED = 4_000
MILLION = 1_000_000
QUERIES = 20
SEEDS = range(3)
MLP = {"name": "mlp"}


def study() -> Study:
    """Retrieval of digits by 32-bit codes, compared with linear hashes.

    The index holds 4,000 digits of MNIST, the queries are the 1,000 others, and the neighbours are
    the ten nearest by Hamming distance. Precision is the fraction of them with the query's label.
    """
    images, labels = mnist()
    index, queries = np.split(images, [INDEXED])
    found = [_binary_ae(seed, index, queries) for seed in SEEDS]
    value = statistics.median(_precision(neighbours, labels) for neighbours in found)
    baselines = {"PCA signs": _precision(nearest(*_pca_signs(index, queries)), labels)}
    projections = [nearest(*_random_projections(index, queries, seed)) for seed in SEEDS]
    baselines["random projections"] = statistics.median(
        _precision(neighbours, labels) for neighbours in projections
    )
    best, duration = max(baselines.values()), _search_milliseconds()
    rows = [
        Row("precision at 10, median of 3 seeds", value, baselines, "above both", value > best),
        Row(
            "milliseconds for a query among a million codes",
            duration,
            goal="under 50",
            reached=duration < 50,
        ),
    ]
    sheet = [to_rgb(np.stack([queries[i], *index[found[0][i]]])) for i in range(6)]
    return Study(rows, images={"A query, and its ten nearest by 32 bits": grid(sheet)})


def _binary_ae(seed: int, images: Array, queries: Array) -> Array:
    torch.manual_seed(seed)
    model = binary_ae(images.shape[1:], BITS, backbone=MLP)
    fit(model, images, FitConfig(steps=1500, seed=seed))
    return HammingIndex(model, images).search(queries, NEIGHBOURS)[0]


def _precision(neighbours: Array, labels: Array) -> float:
    indexed, of_queries = np.split(labels, [INDEXED])
    return float((indexed[neighbours] == of_queries[:, None]).mean())


def nearest(index: Array, queries: Array) -> Array:
    """Return the positions of the nearest bits by brute force, ``(Q, NEIGHBOURS)``.

    Args:
        index: bool ``(N, bits)``.
        queries: bool ``(Q, bits)``.
    """
    distances = (queries[:, None] != index).sum(2)
    # A stable sort breaks ties by position, as ``search`` does.
    return np.argsort(distances, 1, kind="stable")[:, :NEIGHBOURS]


def _pca_signs(index: Array, queries: Array) -> tuple[Array, Array]:
    decomposition = importlib.import_module("sklearn.decomposition")
    pca = decomposition.PCA(BITS, random_state=0).fit(flat(index))
    return pca.transform(flat(index)) > 0, pca.transform(flat(queries)) > 0


def _random_projections(index: Array, queries: Array, seed: int) -> tuple[Array, Array]:
    """Return signs of random projections (Charikar 2002), centred so that bits are balanced."""
    x = flat(index)
    directions = np.random.default_rng(seed).standard_normal((x.shape[1], BITS))
    mean = x.mean(0)
    return (x - mean) @ directions > 0, (flat(queries) - mean) @ directions > 0


def _search_milliseconds() -> float:
    images, _ = digits()
    model = binary_ae(images.shape[1:], BITS, backbone=MLP)
    bits = np.random.default_rng(0).integers(0, 2, (MILLION, BITS), dtype=np.uint8)
    index = HammingIndex.of_codes(model, pack_bits(bits))
    durations = []
    for image in images[:QUERIES]:
        start = time.perf_counter()
        index.search(image, NEIGHBOURS)
        durations.append(1000 * (time.perf_counter() - start))
    return statistics.median(durations)
