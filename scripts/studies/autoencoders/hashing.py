"""Studies of codes: principal components, hashes, and arithmetic."""

from __future__ import annotations

import importlib
import statistics
import time
from typing import Any

import numpy as np
import torch

from envs.sprites import FACTORS, SHAPES, measure_sprites, render_sprites, sprites
from latentrl import (
    FitConfig,
    HammingIndex,
    ae,
    arithmetic,
    as_frames,
    binary_ae,
    direction,
    fit,
    vae,
)
from latentrl.latents.index import pack_bits
from latentrl.models.autoencoder import Autoencoder
from latentrl.types import Array
from latentrl.viz.images import grid, to_rgb
from scripts.studies.autoencoders.data import digits, mnist
from scripts.studies.core import STUDIES, Row, Study, Table

BITS, NEIGHBOURS, MILLION = 32, 10, 1_000_000
SEEDS = range(3)
STRENGTHS = (-1.0, -0.5, 0.0, 0.5, 1.0)


@STUDIES.register("linear")
def linear() -> Study:
    """A linear autoencoder of eight dimensions on scikit-learn's digits as vectors, beside its
    PCA.
    """
    images, _ = digits()
    x = images.reshape(len(images), -1).astype(np.float32)
    torch.manual_seed(0)
    model = ae(x.shape[1:], 8, backbone={"name": "linear"})
    fit(
        model,
        x,
        FitConfig(
            steps=4000,
            batch_size=len(x),
            learning_rate=1e-2,
            precision="float32",
            gradient_clip=None,
        ),
    )
    training = _standardised(model, as_frames(x).split()[0][:])
    pca = importlib.import_module("sklearn.decomposition").PCA(8).fit(training)
    angles = importlib.import_module("scipy.linalg").subspace_angles(
        _atoms(model), pca.components_.T
    )
    angle = float(np.degrees(angles).max())
    ours, theirs = _explained(training, _atoms(model)), _explained(training, pca.components_.T)
    gap = abs(ours - theirs) * 100
    return Study(
        [
            Row(
                "largest principal angle to PCA, degrees", angle, goal="under 1", reached=angle < 1
            ),
            Row(
                "explained variance, %", 100 * ours, {"PCA": 100 * theirs}, "within 0.1", gap <= 0.1
            ),
        ]
    )


def _standardised(model: Autoencoder, x: Array) -> Array:
    scaled: Array = model.preprocess(torch.from_numpy(x).to(model.device)).cpu().numpy()
    return scaled


def _atoms(model: Autoencoder) -> Array:
    assert model.decoder is not None
    weights: Array = next(model.decoder.parameters()).detach().cpu().numpy()
    return weights


def _explained(x: Array, atoms: Array) -> float:
    centred, basis = x - x.mean(0), np.linalg.qr(atoms)[0]
    return float(np.square(centred @ basis).sum() / np.square(centred).sum())


@STUDIES.register("hashing")
def hashing() -> Study:
    """32 bits for each of 4,000 digits of MNIST, and the ten nearest of 1,000 others by Hamming
    distance.
    """
    images, labels = mnist()
    parts = [np.split(array, [4000]) for array in (images, labels)]
    (training, queries), truth = parts[0], parts[1]
    found = [_learned(seed, training, queries) for seed in SEEDS]
    ours = statistics.median(_precision(index, truth) for index in found)
    flat, asked = (part.reshape(len(part), -1) / 255 for part in (training, queries))
    others = {"PCA signs": _precision(_nearest(*_pca_signs(flat, asked)), truth)}
    projections = [_precision(_nearest(*_projections(flat, asked, seed)), truth) for seed in SEEDS]
    others["random projections"] = statistics.median(projections)
    duration = _search_time()
    rows = [
        Row(
            "precision at 10, median of 3 seeds",
            ours,
            others,
            "above both",
            ours > max(others.values()),
        ),
        Row(
            "milliseconds a query among a million codes",
            duration,
            goal="under 50",
            reached=duration < 50,
        ),
    ]
    picture = grid(
        [to_rgb(np.stack([queries[i], *training[found[0][i]]])) for i in range(6)]
    )
    return Study(rows, pictures={"A query, and its ten nearest by 32 bits": picture})


def _learned(seed: int, training: Array, queries: Array) -> Array:
    torch.manual_seed(seed)
    model = binary_ae(training.shape[1:], BITS, backbone={"name": "mlp"})
    fit(model, training, FitConfig(steps=1500, seed=seed))
    return HammingIndex(model, training).search(queries, NEIGHBOURS)[0]


def _precision(nearest: Array, labels: list[Array]) -> float:
    return float((labels[0][nearest] == labels[1][:, None]).mean())


def _nearest(index: Array, queries: Array) -> Array:
    distances = (queries[:, None] != index).sum(2)
    return np.argsort(distances, 1, kind="stable")[:, :NEIGHBOURS]


def _pca_signs(training: Array, queries: Array) -> tuple[Array, Array]:
    pca = importlib.import_module("sklearn.decomposition").PCA(BITS, random_state=0).fit(training)
    return pca.transform(training) > 0, pca.transform(queries) > 0


def _projections(training: Array, queries: Array, seed: int) -> tuple[Array, Array]:
    directions, mean = (
        np.random.default_rng(seed).standard_normal((training.shape[1], BITS)),
        training.mean(0),
    )
    return (training - mean) @ directions > 0, (queries - mean) @ directions > 0


def _search_time() -> float:
    images, _ = digits()
    model = binary_ae(images.shape[1:], BITS, backbone={"name": "mlp"})
    codes = np.random.default_rng(0).integers(0, 2, (MILLION, BITS), dtype=np.uint8)
    index = HammingIndex.of_codes(model, pack_bits(codes))
    durations = []
    for image in images[:20]:
        start = time.perf_counter()
        index.search(image, NEIGHBOURS)
        durations.append(1000 * (time.perf_counter() - start))
    return statistics.median(durations)


@STUDIES.register("arithmetic")
def attributes() -> Study:
    """Codes of sprites, with a direction added to them: what changes in the decoded ellipses,
    measured by moments.
    """
    images, factors = sprites(20_000, 32, seed=0)
    torch.manual_seed(0)
    model = vae(images.shape[1:], 10, likelihood="bernoulli")
    fit(model, images, FitConfig(steps=4000))
    ellipses = factors[:, 0] == SHAPES.index("ellipse")
    base = _middling()
    matrix, pictures = {}, []
    for name, column in (("larger", 1), ("rotated", 2), ("to the right", 3), ("down", 4)):
        having, lacking = _halves(images[ellipses], factors[ellipses], column)
        step = direction(model, having, lacking)
        matrix[name] = _changes(model, base, step)
        pictures.append(
            to_rgb(np.stack([arithmetic(model, base[4], step, strength) for strength in STRENGTHS]))
        )
    return Study(_arithmetic_rows(matrix), [_matrix_table(matrix)], {_ROWS_SHOWN: grid(pictures)})


_ROWS_SHOWN = (
    "One ellipse with -1, -1/2, 0, 1/2 and 1 times a direction: larger, rotated, to the right, down"
)
MEASURED = ("area", "angle", "x", "y")


def _middling() -> Array:
    rng = np.random.default_rng(1)
    factors = np.stack(
        [rng.integers(size // 3, size - size // 3, 200) for _, size in FACTORS.items()], 1
    )
    factors[:, 0] = SHAPES.index("ellipse")
    return render_sprites(factors, 32)


def _halves(images: Array, factors: Array, column: int) -> tuple[Array, Array]:
    values = factors[:, column]
    low, high = np.quantile(values, [1 / 3, 2 / 3])
    return images[values >= high], images[values <= low]


def _changes(model: Autoencoder, images: Array, step: Array) -> dict[str, float]:
    before, after = (measure_sprites(arithmetic(model, images, step, s), 25) for s in (-0.5, 0.5))
    spread = _spread()
    changes: dict[str, Any] = {name: after[name] - before[name] for name in MEASURED}
    changes["angle"] = (changes["angle"] + 90) % 180 - 90
    return {name: float(np.nanmedian(change) / spread[name]) for name, change in changes.items()}


def _spread() -> dict[str, float]:
    images, factors = sprites(5_000, 32, seed=2)
    measured = measure_sprites(images[factors[:, 0] == SHAPES.index("ellipse")])
    return {name: float(np.nanstd(measured[name])) for name in MEASURED}


def _arithmetic_rows(matrix: dict[str, dict[str, float]]) -> list[Row]:
    rows = []
    for (name, changes), meant in zip(matrix.items(), MEASURED, strict=True):
        others = {other: change for other, change in changes.items() if other != meant}
        largest = max(map(abs, others.values()))
        reached = changes[meant] > 4 * largest
        rows.append(
            Row(
                f"{name}: change of {meant}",
                changes[meant],
                others,
                "over 4 times the others",
                reached,
            )
        )
    return rows


def _matrix_table(matrix: dict[str, dict[str, float]]) -> Table:
    rows = [
        [name, *(f"{changes[column]:+.2f}" for column in MEASURED)]
        for name, changes in matrix.items()
    ]
    caption = "Median change from -1/2 to 1/2 times the direction, in standard deviations of the factor in the data"
    return Table(caption, ["direction", *MEASURED], rows)
