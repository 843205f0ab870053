"""What latents keep of vectors, beside R2 of scikit-learn."""

from __future__ import annotations

import dataclasses
import json
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import r2_score

import latentrl as lrl
from latentrl.training.vector_quality import VectorQuality, vector_quality
from latentrl.utils.decoding import decode


@pytest.fixture(scope="module")
def vectors() -> Any:
    rng = np.random.default_rng(0)
    x = rng.normal(size=(300, 5)).astype(np.float32)
    x[:, :3] += 3 * rng.normal(size=(300, 1))  # one direction for three values
    return x


def test_explained_variance_is_r2(vectors: Any) -> None:
    model = lrl.pca((5,), latent_dim=1)
    lrl.fit(model, vectors, progress=False)
    found = vector_quality(model, vectors)
    expected = r2_score(vectors, model.reconstruct(vectors), multioutput="raw_values")
    assert found.explained == pytest.approx(expected.tolist(), abs=1e-5)
    assert vector_quality(model, lrl.as_frames(vectors)) == found
    (problem,) = found.problems()
    worst = int(np.argmin(expected))
    assert problem.startswith(f"{100 * max(expected[worst], 0):.0f} % of the variance of value")


def test_columns_of_a_table_are_named(vectors: Any) -> None:
    model = lrl.pca((5,), latent_dim=1)
    lrl.fit(model, pd.DataFrame(vectors, columns=list("abcde")), progress=False)
    found = vector_quality(model, vectors)
    worst = "abcde"[int(np.argmin(found.explained))]
    assert f"of column '{worst}', the least" in found.summary()[0]
    (problem,) = found.problems()
    assert f"of the variance of column '{worst}' is kept" in problem
    card = json.loads(json.dumps(dataclasses.asdict(found)))
    assert decode(VectorQuality, card, "a card").summary() == found.summary()
    older = {"explained": card["explained"]}
    assert decode(VectorQuality, older, "a card").columns is None


def test_steps_of_sequences_count_as_vectors() -> None:
    x = np.random.default_rng(0).normal(size=(80, 6, 2)).astype(np.float32)
    model = lrl.pca(lrl.as_frames(x).space, latent_dim=4)
    lrl.fit(model, x, progress=False)
    rows, restored = x.reshape(-1, 2), model.reconstruct(x).reshape(-1, 2)
    expected = r2_score(rows, restored, multioutput="raw_values")
    assert vector_quality(model, x).explained == pytest.approx(expected.tolist(), abs=1e-5)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_a_constant_value_is_kept(dtype: Any) -> None:
    x = np.random.default_rng(0).normal(size=(50, 2)).astype(dtype)
    x[:, 1] = 0.1
    frames = lrl.as_frames(x)
    model = lrl.beta_vae(frames.space, latent_dim=2)
    lrl.fit(model, frames, lrl.FitConfig(steps=50), progress=False)
    assert vector_quality(model, frames).explained[1] == 1
    assert not VectorQuality((0.5, 1.0)).problems()


def test_mistakes(vectors: Any) -> None:
    images = np.random.default_rng(0).integers(0, 255, (20, 8, 8, 3), np.uint8)
    model = lrl.pca((8, 8, 3), latent_dim=2)
    with pytest.raises(ValueError, match=r"use latentrl\.quality for images"):
        vector_quality(model, images)
    with pytest.raises(ValueError, match=r"takes observations of \(8,\) float32, these frames are"):
        vector_quality(lrl.pca((8,), 2), vectors[:, :5])
