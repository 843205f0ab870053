"""What TensorBoard shows of a fit."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
from tensorboard.compat.proto.summary_pb2 import Summary
from torch.utils.tensorboard import SummaryWriter
from torch.utils.tensorboard.summary import hparams

from latentrl.data.frames import Frames
from latentrl.models.autoencoder import Autoencoder
from latentrl.models.preprocessing import is_image
from latentrl.training.health import Health
from latentrl.types import Array
from latentrl.viz import images as pictures

SHOWN = 8
RESULTS = ("validation/loss", "validation/psnr", "validation/kl", "validation/active_units")


def add_picture(writer: SummaryWriter, tag: str, encoded: bytes, step: int) -> None:
    """Add an encoded PNG or GIF; TensorBoard plays GIFs."""
    image = Summary.Image(encoded_image_string=encoded, colorspace=3)
    summary = Summary(value=[Summary.Value(tag=tag, image=image)])
    writer._get_file_writer().add_summary(summary, step)  # type: ignore[no-untyped-call]


def add_hyperparameters(
    writer: SummaryWriter, values: Mapping[str, Any], curves: Sequence[str]
) -> None:
    """Add a row to the page of hyper-parameters, with the last values of ``curves`` as its
    results.
    """
    shown = {
        key: value if isinstance(value, int | float | str | bool) else str(value)
        for key, value in values.items()
    }
    for summary in hparams(shown, dict.fromkeys(curves, 0.0)):  # type: ignore[no-untyped-call]
        writer._get_file_writer().add_summary(summary)  # type: ignore[no-untyped-call]


class TensorBoardCallback:
    """A callback that writes losses and KL, in total and per dimension, after every epoch.

    Pictures come when a tenth more steps have been made than at the last ones: epochs may be short.
    """

    def __init__(self, folder: str | Path, hyperparameters: Mapping[str, Any]) -> None:
        """Write to ``folder``; a resumed run adds to what is there."""
        self.writer = SummaryWriter(str(folder))
        self.hyperparameters = hyperparameters
        self._logged = False
        self._next_pictures = 0.0

    def on_epoch_end(
        self, model: Autoencoder, validation: Frames, row: Mapping[str, float], health: Health
    ) -> None:
        """Write the figures of one epoch, and pictures where observations are images."""
        step, self._logged = int(row["step"]), True
        for name, value in row.items():
            if name != "step":
                self._scalar(_tag(name), value, step)
        if model.variational:
            for dimension, nats in enumerate(health.kl):
                self._scalar(f"kl_per_dimension/{dimension:02d}", nats, step)
        if is_image(model.observation_space) and model.fitted and step >= self._next_pictures:
            self._next_pictures = 1.1 * step
            self._pictures(model, validation, step)

    def _scalar(self, tag: str, value: float, step: int) -> None:
        self.writer.add_scalar(tag, value, step)

    def _pictures(self, model: Autoencoder, validation: Frames, step: int) -> None:
        shown = sample_for_pictures(validation)
        start = pictures.telling(model, shown)
        add_picture(
            self.writer,
            "reconstructions",
            pictures.png(pictures.reconstructions(model, shown)),
            step,
        )
        add_picture(self.writer, "traversals", pictures.png(pictures.traversal(model, start)), step)
        add_picture(self.writer, "traversals_moving", pictures.traversal_gif(model, start), step)

    def __enter__(self) -> TensorBoardCallback:
        """Return the board."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Write the hyper-parameters, with the curves that are their results, and close."""
        if error is None and self._logged:
            add_hyperparameters(self.writer, self.hyperparameters, RESULTS)
        self.writer.close()


def sample_for_pictures(frames: Frames, count: int = SHOWN) -> Array:
    """Return ``count`` frames from the middles of equal stretches, the same ones each time."""
    count = min(count, len(frames))
    return np.asarray(frames[((np.arange(count) + 0.5) * len(frames) / count).astype(int)])


def _tag(name: str) -> str:
    return name if "/" in name else f"validation/{name}"
