"""Images and the explorer beside a pretrained model, of held-out frames."""

from __future__ import annotations

from pathlib import Path

from latentrl import Frames
from latentrl.models.autoencoder import Autoencoder
from latentrl.models.preprocessing import is_image
from latentrl.share.card import EXPLORER
from latentrl.utils.io import write_bytes
from latentrl.viz.decoded import sample_images
from latentrl.viz.explorer import explore
from latentrl.viz.quality import varied_frames

FILES = {
    "reconstructions": "reconstructions.png",
    "traversals": "traversals.png",
    "traversals_moving": "traversals.gif",
}
"""Files beside a model, by the names of ``sample_images``."""
IMAGES = 8
"""Held-out frames in the images beside a model."""


def write_images(model: Autoencoder, held_out: Frames, path: Path) -> list[Path]:
    """Write reconstructions and traversals of frames chosen for variety, and the explorer.

    Args:
        model: a fitted model.
        held_out: the validation frames that ``fit`` used.
        path: folder of the model.

    Returns:
        The files; none for observations that are not images and for models without a decoder.
    """
    if model.decoder is None or not is_image(model.observation_space):
        return []
    images = sample_images(model, varied_frames(model, held_out, IMAGES))
    for name, data in images.items():
        write_bytes(path / FILES[name], data)
    return [*(path / FILES[name] for name in images), explore(model, held_out, path / EXPLORER)]
