"""Labelled sheets of what a model decodes: reconstructions with their PSNR, and traversals."""

from __future__ import annotations

from collections.abc import Sequence

from latentrl.latents.generate import shown_dimensions, traverse
from latentrl.models.autoencoder import Autoencoder
from latentrl.models.preprocessing import is_image
from latentrl.training.health import latent_order, psnr
from latentrl.training.quality import reconstruct_scaled
from latentrl.types import Array
from latentrl.viz.figures import Figure, can_draw, figure_png
from latentrl.viz.images import (
    model_images,
    representative_index,
    shown_channels,
    traversal_gif,
    with_difference,
)
from latentrl.viz.plots import comparison_sheet, observation_sheet
from latentrl.viz.sheets import Labels, image_sheet

TRAVERSED = 8
"""Dimensions in an image of traversals."""
ROWS = "frame", "reconstruction", "difference"


def reconstruction_sheet(model: Autoencoder, observations: Array) -> Figure:
    """Draw preprocessed observations, their reconstructions, and how they differ.

    Images stand above their reconstructions and the differences, each with its PSNR in dB; a
    difference is the largest one of the channels, from black to light yellow at half of the range.
    Sequences and vectors are drawn in the same plots.

    Args:
        model: a fitted model with a decoder.
        observations: ``(B, *observation_shape)``.

    Raises:
        TypeError: the model has no decoder.
        ImportError: matplotlib is missing.
    """
    if not is_image(model.observation_space):
        both = model.preprocessed(observations), model.reconstruct(observations)
        return pair_sheet(model, ("observed", "decoded"), *both)
    columns = [f"{value:.1f} dB" for value in _psnr(model, observations)]
    labels = Labels(rows=_rows(model), columns=columns, fold=True)
    return image_sheet(with_difference(model, observations), labels)


def _rows(model: Autoencoder) -> list[str]:
    channels = model.preprocess.shape[0]
    shown = [str(channel) for channel in shown_channels(channels)]
    if len(shown) == channels:
        return list(ROWS)
    note = f"channel{'s' * (len(shown) > 1)} {', '.join(shown)} of {channels}"
    return [f"{name}\n{note}" for name in ROWS[:2]] + [f"{ROWS[2]}\nall {channels} channels"]


def _psnr(model: Autoencoder, observations: Array) -> list[float]:
    _, x, restored = reconstruct_scaled(model, observations)
    return [psnr(error) for error in (restored - x).square().flatten(1).mean(1).tolist()]


def pair_sheet(model: Autoencoder, names: tuple[str, str], first: Array, second: Array) -> Figure:
    """Draw two batches: images in two rows, sequences and vectors in the same plots."""
    if is_image(model.observation_space):
        rows = [model_images(model, batch) for batch in (first, second)]
        return image_sheet(rows, Labels(rows=names, fold=True))
    return comparison_sheet(model, names, [(first, second)])


def traversal_sheet(
    model: Autoencoder, moved: Array, dimensions: Sequence[int] | None = None
) -> Figure:
    """Draw a row for each dimension that is moved over its range in the data.

    A label has the number of the dimension, on a grid of cells its place, its mean KL divergence
    in nats over the training data where the model has one, and the range of values.

    Args:
        model: a fitted model.
        moved: what ``latentrl.traverse`` returned, ``(dimensions, steps, *output_shape)``.
        dimensions: the dimension of each row; None means the most informative ones.

    Raises:
        ImportError: matplotlib is missing.
    """
    shown = latent_order(model)[: len(moved)] if dimensions is None else dimensions
    names = [_label(model, int(k)) for k in shown]
    columns = ["1 %", *[""] * (moved.shape[1] - 2), "99 %"]
    return observation_sheet(model, list(moved), Labels(names, columns))


def _label(model: Autoencoder, k: int) -> str:
    place = model.latent_layout.place(k)
    cell = [] if place is None else ["row {}, column {}, channel {}".format(*place)]
    nats = f"{model.latent_kl[k]:.2f} nats, " if model.variational else ""
    low, high = model.latent_quantiles[[0, -1], k].tolist()
    return "\n".join([f"dimension {k}", *cell, f"{nats}{low:.2f} to {high:.2f}"])


def sample_images(model: Autoencoder, observations: Array) -> dict[str, bytes]:
    """Return ``reconstructions`` and ``traversals`` as PNG, and ``traversals_moving`` as GIF.

    Args:
        model: a fitted model of images with a decoder.
        observations: some frames; the most typical one is the start of the traversals.

    Returns:
        Encoded images by name; the GIF alone, with a warning, where matplotlib is missing.
    """
    start = observations[representative_index(model, observations)]
    dimensions = shown_dimensions(model, start, TRAVERSED)
    moving = {"traversals_moving": traversal_gif(model, start, dimensions)}
    if not can_draw("reconstructions and traversals"):
        return moving
    moved = traverse(model, start, dimensions)
    return {
        "reconstructions": figure_png(reconstruction_sheet(model, observations)),
        "traversals": figure_png(traversal_sheet(model, moved, dimensions)),
        **moving,
    }
