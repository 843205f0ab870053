"""TensorBoard callback of ``fit``: curves, hyperparameters and images of held-out frames."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

from tensorboard.compat.proto.summary_pb2 import Summary
from torch.utils.tensorboard import SummaryWriter
from torch.utils.tensorboard.summary import hparams

from latentrl.data.frames import Frames
from latentrl.latents.known_factors import FactorScores, score_frames
from latentrl.models.autoencoder import Autoencoder
from latentrl.models.preprocessing import is_image
from latentrl.training.health import Health
from latentrl.training.quality import Quality
from latentrl.types import Array
from latentrl.utils.signals import held_interrupts
from latentrl.viz.decoded import sample_images
from latentrl.viz.quality import varied_frames

SHOWN = 8
"""Frames in an image summary."""
RESULTS = ("validation/loss", "validation/psnr", "validation/kl", "validation/active_units")
"""Metrics on the page of hyperparameters."""
IMAGE_INTERVAL = 2.0
"""Ratio of the steps at two image summaries: to draw them takes as long as dozens of steps."""


def add_scalar(writer: SummaryWriter, tag: str, value: float, step: int) -> None:
    """Add a value to a curve, before an interruption acts."""
    with held_interrupts():  # the writer's thread would wait for ever for a queue left half locked
        writer.add_scalar(tag, value, step)


def add_image(writer: SummaryWriter, tag: str, encoded: bytes, step: int) -> None:
    """Add an encoded PNG or GIF to the image summaries; TensorBoard plays GIFs."""
    # SummaryWriter.add_video needs moviepy and writes nothing without it; a GIF in an image works.
    image = Summary.Image(encoded_image_string=encoded, colorspace=3)
    summary = Summary(value=[Summary.Value(tag=tag, image=image)])
    with held_interrupts():
        writer._get_file_writer().add_summary(summary, step)  # type: ignore[no-untyped-call]


def add_factor_scores(writer: SummaryWriter, scores: FactorScores | None, step: int) -> None:
    """Add the scores by known factors, ``factors/...``; nothing without any."""
    if scores is None:
        return
    for name, r2 in scores.probe.items():
        add_scalar(writer, f"factors/probe_r2/{name}", r2, step)
    for name, score in scores.disentanglement.items():
        add_scalar(writer, f"factors/{name}", score, step)


def add_hyperparameters(
    writer: SummaryWriter, values: Mapping[str, Any], curves: Sequence[str]
) -> None:
    """Add a row to the page of hyperparameters; its results are the last values of ``curves``."""
    shown = {
        key: value if isinstance(value, int | float | str | bool) else str(value)
        for key, value in values.items()
    }
    # SummaryWriter.add_hparams writes to a subfolder, a run of its own; these go to this run.
    with held_interrupts():
        for summary in hparams(shown, dict.fromkeys(curves, 0.0)):  # type: ignore[no-untyped-call]
            writer._get_file_writer().add_summary(summary)  # type: ignore[no-untyped-call]


class TensorBoardCallback:
    """Callback of ``fit`` that writes metrics, KL per dimension and images after every epoch.

    Images, and scores by the known factors of the frames, are written when the number of steps has
    doubled since the last ones.
    """

    def __init__(self, folder: str | Path, hyperparameters: Mapping[str, Any]) -> None:
        """Write to ``folder``; a resumed run adds to the event files in it."""
        self.writer = SummaryWriter(str(folder))
        self.hyperparameters = hyperparameters
        self._logged = False
        self._next_images = 0.0
        self._frames: Array | None = None

    def on_epoch_end(
        self, model: Autoencoder, validation: Frames, row: Mapping[str, float], health: Health
    ) -> None:
        """Write the metrics of one epoch, and images if observations are images."""
        step = int(row["step"])
        self._logged = True
        for name, value in row.items():
            if name != "step":
                self.writer.add_scalar(_tag(name), value, step)
        if model.variational:
            for dimension, nats in enumerate(health.kl):
                self.writer.add_scalar(f"kl_per_dimension/{dimension:02d}", nats, step)
        if model.fitted and step >= self._next_images:
            self._next_images = IMAGE_INTERVAL * step
            add_factor_scores(self.writer, score_frames(model, validation), step)
            if is_image(model.observation_space):
                self._images(model, validation, step)

    def _images(self, model: Autoencoder, validation: Frames, step: int) -> None:
        if self._frames is None:
            self._frames = varied_frames(model, validation, SHOWN)
        for tag, encoded in sample_images(model, self._frames).items():  # the same in each epoch
            add_image(self.writer, tag, encoded, step)

    def __enter__(self) -> TensorBoardCallback:
        """Return the callback."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Write the hyperparameters of a completed run, and close the event file."""
        if error is None and self._logged:
            add_hyperparameters(self.writer, self.hyperparameters, RESULTS)
        self.writer.close()


def log_quality(folder: str | Path, measured: Quality, lost: bytes, step: int) -> None:
    """Write the metrics of a fitted model, and the image of the details that it has lost.

    Args:
        folder: folder of the event files.
        measured: the metrics; they get the tags ``quality/...``.
        lost: the image, an encoded PNG.
        step: gradient step of the weights.
    """
    writer = SummaryWriter(str(folder), filename_suffix=".quality")
    for name, value in dataclasses.asdict(measured).items():
        if isinstance(value, int | float):
            add_scalar(writer, f"quality/{name}", value, step)
    for factor, score in enumerate(measured.probe):
        add_scalar(writer, f"quality/probe/{factor:02d}", score, step)
    add_image(writer, "quality/lost_details", lost, step)
    writer.close()


def _tag(name: str) -> str:
    return name if "/" in name else f"validation/{name}"
