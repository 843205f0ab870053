"""Model cards in Markdown under the Hub's YAML header, from what a model's folder holds alone."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from latentrl.data.readers import minari_id
from latentrl.latents.known_factors import FactorScores
from latentrl.models.autoencoder import Autoencoder
from latentrl.models.preprocessing import is_image
from latentrl.training.checkpoint import load
from latentrl.training.invariance import INVARIANCE, Invariance
from latentrl.training.quality import Quality
from latentrl.training.vector_quality import VectorQuality
from latentrl.types import describe_space
from latentrl.utils.decoding import decode

Entry = TypeVar("Entry")

CARD = "README.md"
"""File of the card."""
LIBRARY = "latentrl"
IMAGES = {
    "reconstructions.png": "Frames, reconstructions and differences",
    "traversals.png": "Traversals: one dimension moves per row",
    "traversals.gif": "Traversals, animated",
    "lost_details.png": "The details that are lost most",
}
"""Images that pretraining leaves beside a model, and their captions."""
METRICS = {
    "explained": "explained variance of all pixels",
    "changing": "explained variance of changing pixels",
    "psnr": "PSNR in dB",
    "mean_psnr": "PSNR of the mean image in dB",
    "lost_detail": "lost fraction of the worst detail of a frame, 0.9 quantile",
    "used_dimensions": "dimensions that the decoder uses",
}
"""Fields of ``Quality`` that the card lists, and what they are."""
QUALITY, VECTOR_QUALITY, FACTORS = "quality", "vector_quality", "factors"
"""Keys of the metrics and of the scores of known factors in a model's data card."""
EXPLORER = "latent.html"
"""Page of the explorer, which pretraining leaves beside a model."""
AN_ARRAY = "an array"
"""What ``as_frames`` calls data without a file."""
DIGITS = 4
"""Decimals of a metric in the header: YAML 1.1 reads the exponent of a smaller number as text."""


@dataclass(frozen=True)
class Card:
    """A model card: what the Hub reads of the header, and sections of Markdown."""

    title: str
    """Heading of the card, and name of the model."""
    task: str
    """The Hub's name of the task, such as ``reinforcement-learning``."""
    data: str | None
    """Environment or source of the data."""
    tags: Sequence[str]
    """Tags, beside the library's."""
    metrics: Mapping[str, float] = field(default_factory=dict)
    """Metrics by their names."""
    sections: Sequence[str] = ()
    """Paragraphs, tables and images in Markdown; empty ones are left out."""

    def text(self, license: str | None = None) -> str:
        """Return the file; the header names a license only where one is given."""
        tags = dict.fromkeys([LIBRARY, *self.tags])
        header: dict[str, Any] = {"library_name": LIBRARY, "tags": [*tags]}
        if license is not None:
            header["license"] = license
        if self.metrics and self.data is not None:
            header["model-index"] = [{"name": self.title, "results": [self._results(self.data)]}]
        # JSON is YAML, and needs no package to write it.
        lines = [f"{key}: {json.dumps(value, ensure_ascii=False)}" for key, value in header.items()]
        body = "\n\n".join([f"# {self.title}", *filter(None, self.sections)])
        return "\n".join(["---", *lines, "---", "", body, ""])

    def _results(self, data: str) -> dict[str, Any]:
        return {
            "task": {"type": self.task},
            "dataset": {"type": data, "name": data},
            "metrics": [
                {"type": name, "value": round(value, DIGITS)}
                for name, value in self.metrics.items()
            ],
        }


def model_card(path: str | Path, repo: str = "user/name", license: str | None = None) -> str:
    """Return the card of the encoder in a folder, from its data card and the images beside it.

    Args:
        path: folder that ``save`` or a pretraining wrote.
        repo: repository that the card's example loads.
        license: the Hub's name of a license, such as ``mit``; None names none.

    Raises:
        FileNotFoundError: there is no model.
        ValueError: the file or the metrics in its data card are damaged.
    """
    model = load(path, "cpu")
    measured = card_quality(model)
    data = source_of(model)
    metrics = {} if measured is None else _metrics(measured)
    space = model.observation_space
    card = Card(
        title=f"{model.config.model} of {data or describe_space(space)}",
        task="image-feature-extraction" if is_image(space) else "feature-extraction",
        data=data,
        tags=["representation-learning", model.config.model, *filter(None, [data])],
        metrics=metrics,
        sections=[
            _summary(model),
            _usage(repo),
            encoder_table(model),
            _data(model),
            *images(Path(path), IMAGES),
            explorer_link(Path(path)),
        ],
    )
    return card.text(license)


def source_of(model: Autoencoder) -> str | None:
    """Return the environment that a model's frames are from, or the name of their file."""
    data = model.metadata.get("data", {})
    if env_id := data.get("environment", {}).get("id"):
        return str(env_id)
    source = str(data.get("source", AN_ARRAY))
    if dataset := minari_id(source):
        return dataset
    # The name alone: where a file lies on somebody's disk concerns nobody else.
    return None if source == AN_ARRAY else Path(source).name


def table(columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> str:
    """Return a table in Markdown; floats have four digits."""
    lines = [columns, ["---"] * len(columns), *rows]
    return "\n".join(f"| {' | '.join(map(_cell, line))} |" for line in lines)


def images(folder: Path, captions: Mapping[str, str]) -> list[str]:
    """Return those images of ``captions`` that are in ``folder``, in Markdown."""
    return [
        f"{caption}:\n\n![{caption}]({name})"
        for name, caption in captions.items()
        if (folder / name).is_file()
    ]


def _cell(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value).replace("|", r"\|")


def card_quality(model: Autoencoder) -> Quality | None:
    """Return the metrics in a model's data card; None for a model that was never checked.

    Raises:
        ValueError: they are damaged.
    """
    return _entry(model, QUALITY, Quality)


def card_vector_quality(model: Autoencoder) -> VectorQuality | None:
    """Return what a model keeps of each value of a vector; None where that was not measured.

    Raises:
        ValueError: it is damaged.
    """
    return _entry(model, VECTOR_QUALITY, VectorQuality)


def card_factors(model: Autoencoder) -> FactorScores | None:
    """Return the scores of known factors in a model's data card; None where it has none.

    Raises:
        ValueError: they are damaged.
    """
    return _entry(model, FACTORS, FactorScores)


def card_invariance(model: Autoencoder) -> Invariance | None:
    """Return what a model's data card says of ``invariant``; None for other models.

    Raises:
        ValueError: it is damaged.
    """
    return _entry(model, INVARIANCE, Invariance)


def _entry(model: Autoencoder, key: str, kind: type[Entry]) -> Entry | None:
    if key not in model.metadata:
        return None
    entry: Entry = decode(kind, model.metadata[key], f"{key} in a model's data card")
    return entry


def _metrics(measured: Quality) -> dict[str, float]:
    values = {name: getattr(measured, name) for name in METRICS}
    return {name: value for name, value in values.items() if value is not None}


def _summary(model: Autoencoder) -> str:
    grid = model.latent_layout.grid
    cells = "" if grid is None else f" on a grid of {grid[0]} x {grid[1]} cells"
    decoder = "no decoder" if model.decoder is None else "a decoder"
    return (
        f"An encoder of observations `{describe_space(model.observation_space)}` into "
        f"{model.latent_dim} latents{cells}, with {decoder}: "
        f"model `{model.config.model}` of latentrl."
    )


def _usage(repo: str) -> str:
    code = [
        "import latentrl as lrl",
        "",
        f'encoder = lrl.load("hf://{repo}")',
        "latents = encoder.encode(observations)  # arrays in the environment's units",
        "env = lrl.wrap(env, encoder)  # or an environment whose observations are latents",
    ]
    return "\n".join(["```python", *code, "```"])


def encoder_table(model: Autoencoder) -> str:
    """Return the metrics of an encoder and the scores of known factors as a table, or nothing.

    Raises:
        ValueError: those in its data card are damaged.
    """
    measured = card_quality(model)
    scores = card_factors(model) or FactorScores({})
    metrics = {} if measured is None else _metrics(measured)
    found = card_invariance(model)
    invariance = {} if found is None else {f"R2 of the latents after {found.names}": found.after}
    rows = [
        *([METRICS[name], value] for name, value in metrics.items()),
        *([f"R2 of a linear probe of the factor {name}", r2] for name, r2 in scores.probe.items()),
        *([f"disentanglement: {name}", value] for name, value in scores.disentanglement.items()),
        *invariance.items(),
    ]
    return table(["metric of held-out frames", "value"], rows) if rows else ""


def explorer_link(folder: Path) -> str:
    """Return a sentence that links the explorer in ``folder``, or nothing where there is none."""
    if not (folder / EXPLORER).is_file():
        return ""
    return f"[{EXPLORER}]({EXPLORER}) moves through the latents: download it, and open it."


def _data(model: Autoencoder) -> str:
    data, frames = model.metadata.get("data", {}), model.metadata.get("frames")
    if frames is None:
        return "The model was never fitted."
    policies = dict.fromkeys(
        str(shard["policy"]) for shard in data.get("shards", []) if "policy" in shard
    )
    skip = data.get("environment", {}).get("frame_skip")
    details = [
        f"{frames:,} frames",
        *([f"collected by the policy {', '.join(policies)}"] if policies else []),
        *([f"{skip} environment frames per step"] if skip is not None else []),
        f"fingerprint `{model.metadata.get('fingerprint')}`",
    ]
    return f"Data: {source_of(model) or AN_ARRAY}: {'; '.join(details)}."
