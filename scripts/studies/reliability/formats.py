"""Every format that is read: how a small sample of it is written, and how it is read and used."""

from __future__ import annotations

import contextlib
import csv
import functools
import gzip
import importlib
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

import latentrl as lrl
from agents.evaluate import evaluate_agent
from agents.pretrain import PretrainConfig, pretrain
from agents.train import TrainConfig, train
from latentrl.data.frames import check_learnable
from latentrl.types import Array
from scripts.studies.reliability.command_line import call
from scripts.studies.reliability.problems import (
    FRAMES,
    REACH,
    Counting,
    fit_config,
    noise_images,
    pretrain_flags,
    register_counting,
    save_reach_encoder,
    small_model,
    train_flags,
)

TIMESTEPS = 128


@dataclass(frozen=True)
class Format:
    """One format on disk."""

    name: str
    """Name in the table."""
    write: Callable[[Path], object]
    """Writes a sample into an empty folder."""
    read: Callable[[Path], Any]
    """Reads and uses all of it; returns arrays and numbers that are equal for equal files."""
    targets: str
    """Glob pattern of the files to change."""
    checked: bool = False
    """Whether damage to any byte has to be found: the format has checksums."""
    optional: bool = False
    """Whether a file may be absent."""
    open_ended: bool = False
    """Whether a file that ends early may be a whole one."""


def _interrupt(*_: Any) -> None:
    raise KeyboardInterrupt


class _StopAfterOneEpoch:
    on_epoch_end = staticmethod(_interrupt)


def _write_encoder(folder: Path) -> None:
    model = small_model()
    lrl.fit(model, noise_images(), fit_config(), progress=False)
    lrl.save(model, folder)


def _read_encoder(folder: Path) -> Array:
    model = lrl.load(folder, "cpu")
    images = noise_images(2, seed=1)
    return np.concatenate([model.encode(images).ravel(), model.reconstruct(images).ravel()])


def _write_fit(folder: Path) -> None:
    with contextlib.suppress(KeyboardInterrupt):
        _fit(folder, resume=False, callbacks=[_StopAfterOneEpoch()])


def _fit(folder: Path, resume: bool, callbacks: Any = ()) -> Array:
    model = small_model()
    frames = noise_images()
    config = fit_config()
    lrl.fit(model, frames, config, path=folder, resume=resume, callbacks=callbacks, progress=False)
    return model.encode(frames[:2])


def _write_store(folder: Path) -> None:
    for frames in (FRAMES // 2, FRAMES):
        lrl.collect(Counting, frames, folder, n_envs=1, progress=False)


def _read_store(folder: Path) -> list[Any]:
    frames = lrl.Frames.open(folder)
    training, held_out = frames.split()
    return [frames[:], frames.steps, frames.episodes, frames.times, len(training), held_out[:1]]


def _write_run(algorithm: str, folder: Path) -> None:
    encoder = save_reach_encoder(folder / "vae")
    flags = train_flags(algorithm, vae=encoder, timesteps=TIMESTEPS, out=folder / "run")
    call("train_agent", *flags)


def _evaluated(folder: Path) -> list[Any]:
    result = evaluate_agent(folder / "run", 1, progress=False, device="cpu")
    return [result.returns, result.lengths]


def _resumed(folder: Path) -> list[Any]:
    # Not one timestep is left, so that reading is all that takes time.
    config = TrainConfig(
        REACH, out=folder / "run", resume=True, timesteps=TIMESTEPS, device="cpu", eval_episodes=1
    )
    result = train(config)
    return [result.timesteps, result.best]


def _write_pretraining(folder: Path) -> None:
    os.chdir(folder)  # frames go to ``runs`` of the current folder
    call("pretrain_vae", *pretrain_flags(steps=20, out=folder / "run"))


def _pretrained(folder: Path) -> Array:
    register_counting()
    os.chdir(folder)
    result = pretrain(PretrainConfig(out=folder / "run", resume=True, device="cpu"))
    return result.model.encode(noise_images(1))


def _frames_of(path: Path) -> list[Array]:
    frames = lrl.as_frames(path)
    check_learnable(frames)
    return [frames[:], frames.episodes]


def _frames_in(name: str) -> Callable[[Path], list[Array]]:
    return lambda folder: _frames_of(folder / name)


def _written_to(name: str, write: Callable[[Path], object]) -> Callable[[Path], object]:
    return lambda folder: write(folder / name)


def _write_idx(path: Path, open_file: Callable[..., Any] = open) -> None:
    images = noise_images()[..., 0]
    header = b"\0\0\x08\x03" + b"".join(size.to_bytes(4, "big") for size in images.shape)
    with open_file(path, "wb") as file:
        file.write(header + images.tobytes())


def _write_csv(path: Path) -> None:
    rows = np.random.default_rng(0).normal(size=(FRAMES, 5)).round(6).tolist()
    with path.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([list("abcde"), *rows])


def _write_parquet(path: Path) -> None:
    pandas = importlib.import_module("pandas")
    rows = np.random.default_rng(0).normal(size=(FRAMES, 5))
    pandas.DataFrame(rows, columns=list("abcde")).to_parquet(path)


def _write_images(folder: Path) -> None:
    for number, image in enumerate(noise_images(6)):
        suffix = ("png", "jpg", "bmp")[number % 3]
        Image.fromarray(image).save(folder / f"{number}.{suffix}")


def _write_deep_image(path: Path) -> None:
    Image.fromarray(noise_images(1)[0, ..., 0].astype(np.uint16) * 257).save(path)


def _labels_of(folder: Path) -> list[Any]:
    return [lrl.read_labels(folder / "labels.npy"), *_frames_of(folder / "images.npy")]


def _write_labels(folder: Path) -> None:
    np.save(folder / "images.npy", noise_images(20))
    np.save(folder / "labels.npy", np.arange(20))


def _write_detector(folder: Path) -> None:
    model = small_model()
    lrl.fit(model, noise_images(), fit_config(), progress=False)
    lrl.AnomalyDetector(model).calibrate(noise_images(120, seed=2)).save(folder)  # type: ignore[attr-defined]


def _read_detector(folder: Path) -> Array:
    detector: Any = lrl.AnomalyDetector.load(folder)  # type: ignore[attr-defined]
    return detector.score(noise_images(3, seed=3))


def _formats() -> list[Format]:
    saved = "*.safetensors"
    runs = [
        Format(
            f"run of {name}, {use}",
            functools.partial(_write_run, name),
            read,
            targets,
            checked=True,
        )
        for name in ("ppo", "dqn")
        for use, read, targets in (
            ("evaluated", _evaluated, "run/[be][en][sc]*/*.safetensors"),
            ("resumed", _resumed, "run/last/*.safetensors"),
            ("flags", _resumed, "run/training.json"),
        )
    ]
    arrays = {
        "npy": lambda path: np.save(path, noise_images()),
        "npz": lambda path: np.savez_compressed(path, observations=noise_images()),
        "idx": _write_idx,
        "idx.gz": lambda path: _write_idx(path, gzip.open),
        "csv": _write_csv,
        "parquet": _write_parquet,
        "tif": _write_deep_image,
    }
    return [
        Format("encoder", _write_encoder, _read_encoder, saved, checked=True),
        Format("interrupted fit", _write_fit, lambda path: _fit(path, True), "resume*", True),
        Format("frame store", _write_store, _read_store, "*"),
        *runs,
        Format("pretraining", _write_pretraining, _pretrained, "run/*.json"),
        Format("detector", _write_detector, _read_detector, "*"),
        *(
            Format(
                f".{suffix}",
                _written_to(f"data.{suffix}", write),
                _frames_in(f"data.{suffix}"),
                "*",
                open_ended=suffix == "csv",
            )
            for suffix, write in arrays.items()
        ),
        Format("labels", _write_labels, _labels_of, "*"),
        Format("images", _write_images, _frames_of, "*", optional=True),
    ]


FORMATS = {each.name: each for each in _formats()}
