"""What studies that train agents share: logs, control encoders, learning curves, results."""

from __future__ import annotations

import contextlib
import csv
import os
import shutil
import sys
import traceback
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch

from agents.train import Trained
from latentrl import load, save, warm_start
from latentrl.models.autoencoder import Autoencoder
from latentrl.types import Array
from latentrl.utils.io import read_json, write_csv

TIMESTEPS = "time/total_timesteps"
"""Column of SB3's log."""
CURVE = ("env_frames", "seconds", "return")
"""Columns of a learning curve; the pretraining is part of both axes."""
Axis = Literal["env_frames", "seconds"]
"""What two curves have in common where they are compared."""


@contextlib.contextmanager
def logged(folder: Path) -> Iterator[None]:
    """Work in ``folder``, where frames and files of simulators go, and log output and errors.

    The frames are removed at the end: they would cost a later run nothing. An error ends the
    process, with status 1.
    """
    before = Path.cwd()
    with (
        (folder / "log.txt").open("a", encoding="utf-8") as log,
        contextlib.redirect_stdout(log),
        contextlib.redirect_stderr(log),
    ):
        os.chdir(folder)
        try:
            yield
        except Exception:
            traceback.print_exc()
            sys.exit(1)
        finally:
            os.chdir(before)
    shutil.rmtree(folder / "runs", ignore_errors=True)


def save_untrained(source: Path, out: Path, seed: int, general: bool = False) -> Path:
    """Save a model with the network of the pretrained one in ``source``, before ``fit``.

    Its weights are fresh, or the general-purpose ones. It has no statistics of latents, so that
    agents standardise its latents.
    """
    trained = load(source, "cpu")
    torch.manual_seed(seed)
    model = Autoencoder(trained.config)
    if general:
        warm_start(model)
    # The mean image is no weight: without it the control would be weaker than it has to be.
    buffers = dict(trained.named_buffers())
    for name, buffer in model.named_buffers():
        if not name.startswith("latent_"):
            buffer.copy_(buffers[name])
    model.metadata = {k: v for k, v in trained.metadata.items() if k != "quality"}
    save(model, out)
    return out


def write_curve(trained: Trained, pretraining: Mapping[str, Any], file: Path) -> None:
    """Write the learning curve of a run, behind its pretraining of so many frames and seconds."""
    skip = trained.config.environment.frame_skip
    rows, before, clock = [], float(pretraining["seconds"]), 0.0
    for row in logged_rows(trained.path):
        timesteps, mean = row.get(TIMESTEPS), row.get("rollout/ep_rew_mean")
        if timesteps and mean:
            if float(row["time/clock"]) < clock:
                before += clock  # the clock of a resumed run starts anew
            clock = float(row["time/clock"])
            frames = (int(timesteps) + pretraining["frames"]) * skip
            rows.append([frames, round(before + clock, 1), float(mean)])
    write_csv(file, [CURVE, *rows])


def logged_rows(folder: Path) -> list[dict[str, str]]:
    """Return the rows of SB3's CSV logs, without those that a resumed run repeated."""
    rows: list[dict[str, str]] = []
    for file in sorted(folder.glob("progress-*.csv")):
        # The name holds the timestep at which the process started or resumed.
        start = int(file.stem.removeprefix("progress-"))
        rows = [row for row in rows if 0 < int(row.get(TIMESTEPS) or 0) <= start]
        with file.open(newline="", encoding="utf-8") as lines:
            rows += list(csv.DictReader(lines))
    return rows


@dataclass(frozen=True)
class Record:
    """The result of one run."""

    data: Mapping[str, Any]
    """Contents of the JSON file."""
    curve: Mapping[str, Array]
    """Env frames, seconds and mean return of the last training episodes, ``(rows,)`` each."""

    @classmethod
    def read(cls, file: Path) -> Record:
        """Read the JSON file of a result, and the CSV file of its curve beside it."""
        rows: list[dict[str, str]] = []
        curve = file.with_suffix(".csv")
        if curve.exists():  # random actions have none
            with curve.open(newline="", encoding="utf-8") as lines:
                rows = list(csv.DictReader(lines))
        columns = {name: np.array([float(row[name]) for row in rows]) for name in CURVE}
        return cls(read_json(file), columns)

    def reached(self, axis: Axis) -> float:
        """Env frames or seconds at the end of the curve; 0 without a finished episode."""
        return float(self.curve[axis][-1]) if len(self.curve[axis]) else 0.0

    def return_at(self, axis: Axis, places: Array, before: float) -> Array:
        """Return at ``places`` on an axis, ``(places,)``; ``before`` the first finished episode."""
        rows = np.searchsorted(self.curve[axis], places, side="right")
        return np.concatenate([[before], self.curve["return"]])[rows]
