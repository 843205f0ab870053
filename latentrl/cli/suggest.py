"""Commands to try first with a new model."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from latentrl.models.autoencoder import Autoencoder
from latentrl.models.corruptions import Cutout
from latentrl.models.heads import BinaryPosterior


def suggestions(
    model: Autoencoder, path: Path, data: Path, reading: Sequence[str] = ()
) -> list[list[str]]:
    """Return command lines, verb and flags, for a model saved in ``path`` and trained on ``data``.

    The first one reconstructs; the second one is what the model was trained for.

    Args:
        model: the model.
        path: its folder.
        data: its data.
        reading: flags by which the data are read, such as ``--window 50``.
    """
    flags = ["--model", str(path), "--data", str(data), *reading]
    if model.decoder is None:
        return [["search", *flags]]
    return [["reconstruct", *flags], *_special(model, flags)]


def _special(model: Autoencoder, flags: list[str]) -> list[list[str]]:
    if issubclass(model.head.posterior, BinaryPosterior):
        return [["search", *flags]]
    if any(isinstance(corruption, Cutout) for corruption in model.corruptions):
        return [["inpaint", *flags]]
    if model.corruptions:
        return [["denoise", *flags, "--corrupt", "auto"]]
    return [["sample", *flags[:2]]] if model.variational else []
