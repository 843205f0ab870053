"""Data of the user's own that pretraining reads: arrays of archives, series, tables."""

from __future__ import annotations

import dataclasses
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from gymnasium import spaces

import latentrl as lrl
from agents.pretrain import pretrain
from agents.pretrain_config import PretrainConfig, read_data, reading_flags, run_name
from agents.quality import describe_invariance, warn_if_interrupted
from latentrl.data.store import FrameWriter
from latentrl.models.autoencoder import Autoencoder
from tests.latentrl.training.helpers import InterruptAt

pytestmark = pytest.mark.filterwarnings("ignore:the encoder may miss")

SPACE = spaces.Box(0, 255, (16, 16, 3), np.uint8)


def test_flags_choose_an_array_and_cut_a_series(tmp_path: Path) -> None:
    series = np.random.default_rng(0).normal(size=(40, 3))
    np.savez(tmp_path / "two.npz", a=series, b=series[:, 0])
    config = PretrainConfig(data=tmp_path / "two.npz", array="b", window=8, stride=4)
    frames = read_data(config)
    assert frames is not None
    np.testing.assert_array_equal(frames[1][:, 0], series[4:12, 0])
    assert reading_flags(config) == ["--array", "b", "--window", "8", "--stride", "4"]


@pytest.fixture
def short(monkeypatch: pytest.MonkeyPatch) -> None:
    """A second training of five steps."""
    config = lrl.FitConfig(steps=5, batch_size=8)
    monkeypatch.setattr("agents.pretrain.INVARIANCE_CONFIG", config)


def test_an_encoder_becomes_invariant_to_a_corruption(tmp_path: Path, short: None) -> None:
    images = np.random.default_rng(0).integers(0, 256, (40, 16, 16, 3)).astype(np.uint8)
    np.save(tmp_path / "images.npy", images)
    network = {"latent_dim": 3, "option": ("backbone={name: linear}",), "steps": 20}
    config = PretrainConfig(data=tmp_path / "images.npy", out=tmp_path / "run", **network)
    with pytest.raises(ValueError, match="unknown corruption 'fog'"):
        pretrain(dataclasses.replace(config, invariant_to="[hue_shift, fog]"))
    with pytest.raises(ValueError, match="name at least one corruption"):
        pretrain(dataclasses.replace(config, invariant_to="[]"))
    assert not (tmp_path / "run").exists()
    with pytest.warns(UserWarning, match="still depend on blur, hue_shift"):
        result = pretrain(dataclasses.replace(config, invariant_to="[blur, hue_shift]"))
    saved = lrl.load(tmp_path / "run", "cpu")
    np.testing.assert_array_equal(saved.encode(images), result.model.encode(images))
    (line,) = describe_invariance(saved)
    assert line.startswith("invariant to blur, hue_shift: R2 of the latents of corrupted frames ")
    assert describe_invariance(lrl.ae((4,), 2)) == []
    # A run that is resumed after its last gradient step has the same end.
    resumed = dataclasses.replace(config, resume=True)
    with pytest.warns(UserWarning, match="still depend on blur, hue_shift"):
        pretrain(resumed)
    again = lrl.load(tmp_path / "run", "cpu")
    np.testing.assert_array_equal(again.encode(images), saved.encode(images))


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        ({"steps": 30}, "has steps=20, the call has steps=30: resume it without the flag"),
        ({"model": "ae"}, "has model=vae, the call has model=ae: "),
        ({"seed": 9}, "has seed=0, the call has seed=9: "),
        ({"option": ("backbone={name: conv}",)}, r"has option=\['backbone={name: linear}'\]"),
    ],
)
def test_a_run_is_resumed_with_its_own_flags(
    flags: dict[str, Any], message: str, tmp_path: Path
) -> None:
    np.save(
        tmp_path / "images.npy",
        np.random.default_rng(0).integers(0, 256, (40, 16, 16, 3), np.uint8),
    )
    network = {"latent_dim": 3, "option": ("backbone={name: linear}",), "steps": 20}
    where = {"data": tmp_path / "images.npy", "out": tmp_path / "run"}
    config = PretrainConfig(model="vae", **where, **network)
    pretrain(config)
    with pytest.raises(ValueError, match=message):
        pretrain(dataclasses.replace(config, resume=True, **flags))
    pretrain(dataclasses.replace(config, resume=True))
    pretrain(PretrainConfig(out=tmp_path / "run", resume=True))


def test_a_finished_encoder_can_become_invariant(tmp_path: Path, short: None) -> None:
    images = np.random.default_rng(0).integers(0, 256, (40, 16, 16, 3)).astype(np.uint8)
    np.save(tmp_path / "images.npy", images)
    network = {"latent_dim": 3, "option": ("backbone={name: linear}",), "steps": 20}
    config = PretrainConfig(data=tmp_path / "images.npy", out=tmp_path / "run", **network)
    plain = pretrain(config).model
    assert "invariance" not in plain.metadata
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warn_if_interrupted(lrl.load(tmp_path / "run", "cpu"))
    with pytest.warns(UserWarning, match="still depend on hue_shift"):
        pretrain(dataclasses.replace(config, resume=True, invariant_to="hue_shift"))
    saved = lrl.load(tmp_path / "run", "cpu")
    assert saved.metadata["invariance"]["corruptions"] == [{"name": "hue_shift"}]
    # As if it had been interrupted in between.
    lrl.save(plain, tmp_path / "run")
    with pytest.warns(UserWarning, match="not yet invariant to hue_shift: its training was"):
        warn_if_interrupted(lrl.load(tmp_path / "run", "cpu"))


def test_an_encoder_of_an_interrupted_training_is_a_warning(tmp_path: Path) -> None:
    images = np.random.default_rng(0).integers(0, 256, (40, 16, 16, 3)).astype(np.uint8)
    np.save(tmp_path / "images.npy", images)
    network = {"latent_dim": 3, "option": ("backbone={name: linear}",), "steps": 20}
    config = PretrainConfig(data=tmp_path / "images.npy", out=tmp_path / "run", **network)
    with pytest.MonkeyPatch.context() as patch:
        interrupt = InterruptAt(12)
        patch.setattr(Autoencoder, "losses", lambda *arguments: interrupt(*arguments))
        with pytest.raises(KeyboardInterrupt):
            pretrain(config)
    message = r"not yet trained to the end, and .* not checked: .*--resume --out .*run completes it"
    with pytest.warns(UserWarning, match=message):
        warn_if_interrupted(lrl.load(tmp_path / "run", "cpu"))
    pretrain(dataclasses.replace(config, resume=True))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warn_if_interrupted(lrl.load(tmp_path / "run", "cpu"))


def test_data_need_no_flags(tmp_path: Path) -> None:
    (tmp_path / "sensors.csv").write_text("a,b\n1,2\n3,4\n", encoding="utf-8")
    config = PretrainConfig(data=tmp_path / "sensors.csv")
    frames = read_data(config)
    assert frames is not None
    assert frames[:].tolist() == [[1, 2], [3, 4]]
    assert reading_flags(config) == []
    assert run_name(config, frames) == "sensors"
    assert read_data(PretrainConfig()) is None


def test_a_store_without_frames_is_not_filled(tmp_path: Path) -> None:
    with FrameWriter(tmp_path / "empty", SPACE, spaces.Discrete(2), {"id": "PixelReach-v0"}):
        pass
    with pytest.raises(ValueError, match="need at least 2 frames, got 0"):
        pretrain(PretrainConfig(data=tmp_path / "empty", size=16, out=tmp_path / "run"))
    assert not (tmp_path / "run").exists()


def test_a_store_of_another_crop_is_refused_before_it_is_measured(tmp_path: Path) -> None:
    stored = lrl.Preprocessing(size=(16, 16))
    lrl.collect("PixelReach-v0", 4, tmp_path / "store", preprocessing=stored, progress=False)
    config = PretrainConfig(data=tmp_path / "store", crop=(20, 0, 0, 0), out=tmp_path / "run")
    with pytest.raises(ValueError, match=r"the frame store has crop=\[0, 0, 0, 0\], the call"):
        pretrain(config)
    assert not (tmp_path / "run").exists()


@pytest.mark.filterwarnings("ignore:the latents have collapsed")
def test_a_store_of_resized_frames_needs_no_size(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    env = "tests.latentrl.training.test_choice:Wide"
    flags = {"steps": 1, "backend": "gymnasium", "batch_size": 8}
    first = pretrain(PretrainConfig(env, frames=40, size=24, **flags))
    (store,) = (tmp_path / "runs/frames" / env.replace(":", ".")).iterdir()
    again = pretrain(PretrainConfig(data=store, out=tmp_path / "again", **flags))
    assert again.model.preprocess.shape == first.model.preprocess.shape == (3, 24, 24)
