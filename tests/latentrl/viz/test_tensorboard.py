"""Metrics, images and hyperparameters of a fit, read back from TensorBoard event files."""

from __future__ import annotations

import contextlib
import io
import signal
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

import latentrl as lrl
from latentrl.training.quality import Quality
from latentrl.viz.figures import LINE, PAD
from latentrl.viz.images import png
from latentrl.viz.tensorboard import (
    RESULTS,
    SHOWN,
    TensorBoardCallback,
    add_scalar,
    log_quality,
)

CONFIG = lrl.FitConfig(epochs=2, batch_size=64, device="cpu", precision="float32")


def read(folder: Path) -> EventAccumulator:
    events = EventAccumulator(str(folder), size_guidance={"scalars": 0, "images": 0})
    events.Reload()
    return events


@pytest.fixture(scope="module")
def board(
    images: Any, small_backbone: Any, tmp_path_factory: pytest.TempPathFactory
) -> tuple[lrl.History, EventAccumulator]:
    folder = tmp_path_factory.mktemp("board")
    torch.manual_seed(0)
    with TensorBoardCallback(folder, {"beta": 0.1, "backbone": small_backbone}) as callback:
        model = lrl.beta_vae((32, 32, 3), 4, beta=0.1, backbone=small_backbone)
        config = lrl.FitConfig(
            epochs=2, batch_size=8, learning_rate=5e-3, device="cpu", precision="float32"
        )
        history = lrl.fit(model, images, config, callbacks=[callback], progress=False)
    return history, read(folder)


def test_every_metric_of_the_history_is_a_curve(
    board: tuple[lrl.History, EventAccumulator],
) -> None:
    history, events = board
    for name in history.epochs[0]:
        if name != "step":
            curve = events.Scalars(name if "/" in name else f"validation/{name}")
            assert [point.step for point in curve] == [row["step"] for row in history.epochs]
            np.testing.assert_allclose(
                [point.value for point in curve], [row[name] for row in history.epochs], 1e-6
            )


def test_kl_per_dimension_sums_to_the_kl(board: tuple[lrl.History, EventAccumulator]) -> None:
    history, events = board
    total = sum(events.Scalars(f"kl_per_dimension/{d:02d}")[-1].value for d in range(4))
    assert total == pytest.approx(history.epochs[-1]["kl"], rel=1e-4)


def test_image_summaries(board: tuple[lrl.History, EventAccumulator]) -> None:
    _, events = board
    for tag, moves in {
        "reconstructions": False,
        "traversals": False,
        "traversals_moving": True,
    }.items():
        shown = events.Images(tag)
        assert len(shown) == 2
        image = Image.open(io.BytesIO(shown[-1].encoded_image_string))
        assert getattr(image, "is_animated", False) is moves


def test_hyperparameters_have_results(board: tuple[lrl.History, EventAccumulator]) -> None:
    _, events = board
    assert b"beta" in events.SummaryMetadata("_hparams_/session_start_info").plugin_data.content
    experiment = events.SummaryMetadata("_hparams_/experiment").plugin_data.content
    for tag in RESULTS:
        assert tag.encode() in experiment
        assert tag in events.Tags()["scalars"]


def test_vectors_have_curves_and_no_images(vectors: Any, tmp_path: Path) -> None:
    with TensorBoardCallback(tmp_path, {}) as callback:
        lrl.fit(lrl.ae((8,), 3), vectors, CONFIG, callbacks=[callback], progress=False)
    events = read(tmp_path)
    assert events.Tags()["images"] == []
    assert not any(tag.startswith("kl_per") for tag in events.Tags()["scalars"])
    assert len(events.Scalars("validation/loss")) == 2


def test_resumed_run_adds_to_the_event_files(vectors: Any, tmp_path: Path) -> None:
    class Interrupting(TensorBoardCallback):
        def on_epoch_end(self, model: Any, validation: Any, row: Any, health: Any) -> None:
            super().on_epoch_end(model, validation, row, health)
            if row["step"] == 15 and not resume:
                raise KeyboardInterrupt

    for resume in (False, True):
        with contextlib.suppress(KeyboardInterrupt), Interrupting(tmp_path / "board", {}) as board:
            run = {"path": tmp_path, "resume": resume, "callbacks": [board], "progress": False}
            lrl.fit(lrl.ae((8,), 3), vectors, CONFIG, **run)
    assert [point.step for point in read(tmp_path / "board").Scalars("validation/loss")] == [15, 30]


def test_interrupted_run_has_no_hyperparameters(vectors: Any, tmp_path: Path) -> None:
    def interrupted() -> None:
        with TensorBoardCallback(tmp_path, {}) as callback:
            lrl.fit(lrl.ae((8,), 3), vectors, CONFIG, callbacks=[callback], progress=False)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    with pytest.raises(KeyError):
        read(tmp_path).SummaryMetadata("_hparams_/session_start_info")


def test_images_show_the_same_frames_in_each_epoch(board: Any) -> None:
    _, events = board
    first, second = (
        np.asarray(Image.open(io.BytesIO(image.encoded_image_string)))
        for image in events.Images("reconstructions")
    )
    differs = (first != second).any((1, 2))
    # The PSNR above the frames changes; the frames below it do not.
    row = slice(LINE + PAD // 2, LINE + PAD // 2 + 96)
    assert not differs[row].any()
    assert first.shape[1] > SHOWN * 96
    assert differs[row.stop :].any(), "the reconstructions change"


def test_quality_is_a_point_of_each_curve(tmp_path: Path, images: Any) -> None:
    measured = Quality(0.9, None, 30.0, 20.0, 3, 4, 0.25, (0.5, 0.75))
    log_quality(tmp_path, measured, png(images[0]), 70)
    events = read(tmp_path)
    logged = {tag: events.Scalars(tag)[0] for tag in events.Tags()["scalars"]}
    assert {tag: point.value for tag, point in logged.items()} == {
        "quality/explained": pytest.approx(0.9),
        "quality/psnr": 30,
        "quality/mean_psnr": 20,
        "quality/used_dimensions": 3,
        "quality/latent_dim": 4,
        "quality/lost_detail": 0.25,
        "quality/probe/00": 0.5,
        "quality/probe/01": 0.75,
    }
    assert {point.step for point in logged.values()} == {70}
    shown = Image.open(io.BytesIO(events.Images("quality/lost_details")[0].encoded_image_string))
    np.testing.assert_array_equal(np.asarray(shown), images[0])


class Interrupted:
    """A writer in whose middle Ctrl-C comes."""

    def __init__(self) -> None:
        self.written: list[Any] = []

    def add_scalar(self, *values: Any) -> None:
        signal.raise_signal(signal.SIGINT)
        self.written.append(values)


def test_a_value_is_written_before_an_interruption_acts() -> None:
    writer: Any = Interrupted()
    with pytest.raises(KeyboardInterrupt):
        add_scalar(writer, "loss", 2.0, 7)
    assert writer.written == [("loss", 2.0, 7)]
