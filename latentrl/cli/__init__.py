"""The command ``latentrl``: a trained autoencoder applied to arrays and images, one file per verb.

A new verb is one module that registers a class in ``VERBS``, and its name in the import below.
"""

from latentrl.cli import (
    anomaly,
    arithmetic,
    denoise,
    evaluate,
    inpaint,
    interpolate,
    manifold,
    reconstruct,
    sample,
    search,
    traverse,
)
from latentrl.cli.base import VERBS, Report, Verb, perform, verbs
from latentrl.cli.suggest import suggestions

__all__ = [
    "VERBS",
    "Report",
    "Verb",
    "anomaly",
    "arithmetic",
    "denoise",
    "evaluate",
    "inpaint",
    "interpolate",
    "manifold",
    "perform",
    "reconstruct",
    "sample",
    "search",
    "suggestions",
    "traverse",
    "verbs",
]
