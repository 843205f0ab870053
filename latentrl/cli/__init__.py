"""What people do with a trained autoencoder; every verb is one class, found by name."""

from pathlib import Path

from latentrl.cli import anomaly, denoise, evaluate, inpaint, traverse
from latentrl.cli.base import VERBS, Report, Verb, perform, verbs
from latentrl.models.autoencoder import Autoencoder
from latentrl.models.corruptions import Cutout
from latentrl.models.heads import BinaryPosterior

__all__ = [
    "VERBS",
    "Report",
    "Verb",
    "anomaly",
    "denoise",
    "evaluate",
    "inpaint",
    "perform",
    "suggestions",
    "traverse",
    "verbs",
]


def suggestions(model: Autoencoder, path: Path, data: Path) -> list[list[str]]:
    """Return what to do first with a model in ``path``, verb and flags: look at it, and what it is
    made for.
    """
    given = ["--model", str(path), "--data", str(data)]
    if model.decoder is None:
        return [["search", *given]]
    return [["reconstruct", *given], *_special(model, given)]


def _special(model: Autoencoder, given: list[str]) -> list[list[str]]:
    if issubclass(model.head.posterior, BinaryPosterior):
        return [["search", *given]]
    if any(isinstance(part, Cutout) for part in model.corruptions):
        return [["inpaint", *given]]
    if model.corruptions:
        return [["denoise", *given, "--corrupt", "auto"]]
    return [["sample", *given[:2]]] if model.variational else []
