"""Labelled sheets: their text against the model's statistics, and their pixels."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
import pytest
from PIL import Image

import latentrl as lrl
from latentrl.latents.generate import shown_dimensions, traverse
from latentrl.training.health import latent_order
from latentrl.types import LatentLayout
from latentrl.viz import figures
from latentrl.viz.decoded import (
    ROWS,
    reconstruction_sheet,
    sample_images,
    traversal_sheet,
)
from latentrl.viz.figures import rasterize
from latentrl.viz.images import with_difference
from latentrl.viz.sheets import Labels, Sheet


def texts(figure: Any) -> list[str]:
    return [text.get_text() for text in figure.axes[0].texts]


def tiles(figure: Any, labels: Labels, rows: int, columns: int) -> Any:
    """Cut images of 32 pixels out of a sheet, ``(rows, columns, 32, 32, 3)``."""
    pixels = rasterize(figure)
    corners = Sheet((96, 96), (rows, columns), labels).corners
    found = [pixels[y : y + 96 : 3, x : x + 96 : 3] for x, y in corners.reshape(-1, 2)]
    return np.reshape(found, (rows, columns, 32, 32, 3))


def test_reconstructions_have_their_psnr(fitted: lrl.Autoencoder, images: Any) -> None:
    sheet = reconstruction_sheet(fitted, images[:3])
    scaled = images[:3] / 255, fitted.reconstruct(images[:3]) / 255
    errors = np.square(scaled[0] - scaled[1]).mean((1, 2, 3))
    labels = texts(sheet)
    assert labels[:3] == list(ROWS)
    values = [float(label.removesuffix(" dB")) for label in labels[3:]]
    # The pixels of reconstruct are rounded to whole levels.
    assert values == pytest.approx((-10 * np.log10(errors)).tolist(), abs=0.1)
    drawn = tiles(sheet, Labels(labels[:3], labels[3:], fold=True), 3, 3)
    np.testing.assert_array_equal(drawn, with_difference(fitted, images[:3]))


@pytest.mark.parametrize(
    ("channels", "shown"), [(1, ""), (2, "channel 0 of 2"), (4, "channels 0, 1, 2 of 4")]
)
def test_rows_name_the_channels_that_are_shown(channels: int, shown: str) -> None:
    model = lrl.ae((16, 16, channels), 2)
    figure = reconstruction_sheet(model, np.zeros((2, 16, 16, channels), np.uint8))
    rows = [f"{name}\n{shown}".strip() for name in ROWS[:2]]
    last = f"{ROWS[2]}\nall {channels} channels" if shown else ROWS[2]
    assert texts(figure)[:3] == [*rows, last]


def test_traversals_have_dimension_divergence_and_range(
    fitted: lrl.Autoencoder, images: Any
) -> None:
    moved = traverse(fitted, images[0], 3, 5)
    sheet = traversal_sheet(fitted, moved)
    kl, quantiles = fitted.latent_kl.numpy(), fitted.latent_quantiles.numpy()
    order = latent_order(fitted)[:3]
    assert (np.diff(kl[order]) <= 0).all()
    expected = [
        f"dimension {k}\n{kl[k]:.2f} nats, {quantiles[0, k]:.2f} to {quantiles[-1, k]:.2f}"
        for k in order
    ]
    assert texts(sheet) == [*expected, "1 %", "", "", "", "99 %"]
    labels = Labels(expected, ["1 %", "", "", "", "99 %"])
    np.testing.assert_array_equal(tiles(sheet, labels, 3, 5), moved)


def test_dimensions_of_a_grid_have_their_place(images: Any) -> None:
    model = lrl.pca((32, 32, 3), latent_dim=4)
    lrl.fit(model, images, progress=False)
    layout = LatentLayout((2, 2), 1)
    model.__class__ = type("Grid", (type(model),), {"latent_layout": layout})
    label = texts(traversal_sheet(model, traverse(model, images[0], 1, 2)))[0]
    k = int(latent_order(model)[0])
    low, high = model.latent_quantiles[[0, -1], k].tolist()
    place = f"row {k // 2}, column {k % 2}, channel 0"
    assert label == f"dimension {k}\n{place}\n{low:.2f} to {high:.2f}"


def test_a_grid_shows_the_dimensions_that_change_the_frame_most(images: Any) -> None:
    model = lrl.ae((32, 32, 3), latent_dim=64, backbone={"name": "spatial"})
    assert model.latent_layout.grid == (8, 8)
    lrl.fit(model, images, lrl.FitConfig(steps=5, batch_size=16, device="cpu"), progress=False)
    model.latent_std[[5, 19]] = 30.0  # of other frames
    model.latent_quantiles[:, [5, 19]] = 0.0
    everything = traverse(model, images[0], list(range(64)), 2).astype(float)
    changes = np.abs(everything[:, 1] - everything[:, 0]).mean((1, 2, 3))
    shown = shown_dimensions(model, images[0], 4)
    assert changes[shown].tolist() == sorted(changes, reverse=True)[:4]
    assert latent_order(model)[:2].tolist() == [5, 19]
    sheet = traversal_sheet(model, traverse(model, images[0], shown, 2), shown)
    assert [text.split("\n")[0] for text in texts(sheet)[:4]] == [f"dimension {k}" for k in shown]


def test_a_vector_shows_its_most_informative_dimensions(
    fitted: lrl.Autoencoder, images: Any
) -> None:
    assert shown_dimensions(fitted, images[0], 4) == latent_order(fitted)[:4].tolist()


def test_sequences_are_drawn_in_the_same_plots(vectors: Any) -> None:
    model = lrl.pca((8,), latent_dim=3)
    lrl.fit(model, vectors, progress=False)
    assert {"observed", "decoded"} <= set(texts(reconstruction_sheet(model, vectors[:3])))


def test_images_of_a_sample(
    fitted: lrl.Autoencoder, images: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = sample_images(fitted, images[:4])
    assert list(found) == ["reconstructions", "traversals", "traversals_moving"]
    drawn = np.asarray(Image.open(io.BytesIO(found["reconstructions"])))
    np.testing.assert_array_equal(drawn, rasterize(reconstruction_sheet(fitted, images[:4])))
    monkeypatch.setattr(figures.importlib.util, "find_spec", lambda name: None)
    with pytest.warns(UserWarning, match=r"reconstructions and traversals is not drawn.*\[viz\]"):
        assert list(sample_images(fitted, images[:4])) == ["traversals_moving"]
