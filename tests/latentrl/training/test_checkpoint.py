"""Saved models are complete, survive kills, and refuse damage by name."""

from __future__ import annotations

import copy
import json
import os
import stat
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from gymnasium import spaces
from safetensors.torch import save_file

import latentrl as lrl
from latentrl.models.backbones.base import BACKBONES
from latentrl.training import checkpoint
from latentrl.training.checkpoint import check_observation_space, load_shared
from latentrl.utils.device import pick_device
from latentrl.utils.io import strip_prefixes

IMAGES = spaces.Box(0, 255, (32, 32, 3), np.uint8)


@pytest.fixture
def folder(fitted: lrl.Autoencoder, tmp_path: Path) -> Path:
    return lrl.save(fitted, tmp_path / "model")


def same_weights(a: torch.nn.Module, b: torch.nn.Module) -> bool:
    first, second = a.state_dict(), b.state_dict()
    return first.keys() == second.keys() and all(
        torch.equal(first[name], second[name]) for name in first
    )


def test_a_checkpoint_is_complete(fitted: lrl.Autoencoder, folder: Path, images: Any) -> None:
    loaded = lrl.load(folder, device="cpu", observation_space=IMAGES)
    assert same_weights(loaded, fitted)
    assert json.dumps(loaded.config.to_json()) == json.dumps(fitted.config.to_json())
    assert loaded.metadata == fitted.metadata
    assert loaded.metadata["fingerprint"] == lrl.as_frames(images).fingerprint
    assert loaded.latent_quantiles.any()
    assert loaded.latent_kl.any()
    assert loaded.source == str(folder)
    assert not loaded.training
    np.testing.assert_array_equal(loaded.reconstruct(images), fitted.reconstruct(images))


def test_the_config_is_readable_beside_the_weights(fitted: lrl.Autoencoder, folder: Path) -> None:
    assert sorted(file.name for file in folder.iterdir()) == ["config.json", "model.safetensors"]
    assert (
        json.loads((folder / "config.json").read_text())["config"]["latent_dim"]
        == fitted.latent_dim
    )


def test_another_process_loads_the_same_bits(
    fitted: lrl.Autoencoder, folder: Path, images: Any
) -> None:
    np.save(folder / "images.npy", images[:8])
    program = (
        "import sys, numpy, torch, latentrl; torch.set_num_threads(1); path = sys.argv[1];"
        "latents = latentrl.load(path, 'cpu').encode(numpy.load(path + '/images.npy'));"
        "numpy.save(path + '/latents.npy', latents)"
    )
    subprocess.run([sys.executable, "-c", program, str(folder)], check=True)
    np.testing.assert_array_equal(np.load(folder / "latents.npy"), fitted.encode(images[:8]))


def test_nothing_is_pickled(folder: Path) -> None:
    # A safetensors file begins with the length of its header in 8 bytes, whatever they are.
    assert (folder / "model.safetensors").read_bytes()[8:].startswith(b'{"__metadata__"')
    assert (folder / "config.json").read_text().startswith("{")


def test_permissions_follow_the_umask(folder: Path) -> None:
    mask = os.umask(0)
    os.umask(mask)
    assert {stat.S_IMODE(file.stat().st_mode) for file in folder.iterdir()} == {0o666 & ~mask}


def test_a_kill_while_saving_keeps_the_old_model(
    fitted: lrl.Autoencoder, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def die(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(Path, "replace", die)
    with pytest.raises(KeyboardInterrupt):
        lrl.save(lrl.ae((8,), 3), folder)
    assert same_weights(lrl.load(folder, "cpu"), fitted)


def test_a_kill_between_the_two_files_leaves_the_new_model(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def die(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(checkpoint, "write_json", die)
    new = lrl.ae((8,), 3)
    with pytest.raises(KeyboardInterrupt):
        lrl.save(new, folder)
    assert same_weights(lrl.load(folder, "cpu"), new)


def test_every_flipped_byte_is_detected(tmp_path: Path) -> None:
    model = lrl.ae((4,), 2, backbone={"name": "linear"})
    file = lrl.save(model, tmp_path) / "model.safetensors"
    whole, config, undetected = file.read_bytes(), lrl.load(tmp_path, "cpu").config, []
    for position in range(len(whole)):
        flipped = bytearray(whole)
        flipped[position] ^= 1
        file.write_bytes(flipped)
        try:
            loaded = lrl.load(tmp_path, "cpu")
        except ValueError as error:
            assert str(tmp_path) in str(error)  # noqa: PT017 - some flips may be harmless
        else:
            if not same_weights(loaded, model) or loaded.config != config:
                undetected.append(position)
    assert undetected == []


@pytest.mark.parametrize("kept", [0, 4, 100, -1])
def test_truncated_files_are_named(kept: int, folder: Path) -> None:
    file = folder / "model.safetensors"
    file.write_bytes(file.read_bytes()[:kept])
    with pytest.raises(ValueError, match=r"model.safetensors is damaged: "):
        lrl.load(folder)


def test_a_flipped_bit_in_the_weights_is_named(folder: Path) -> None:
    file = folder / "model.safetensors"
    content = bytearray(file.read_bytes())
    content[-1000] ^= 1
    file.write_bytes(content)
    with pytest.raises(ValueError, match="is damaged: its contents do not match their checksum"):
        lrl.load(folder)


def test_foreign_files_are_named(tmp_path: Path) -> None:
    save_file({"weight": torch.zeros(2)}, tmp_path / "model.safetensors", {"format": "pt"})
    with pytest.raises(
        ValueError, match="was not written by latentrl: its header has no 'latentrl'"
    ):
        lrl.load(tmp_path)


ADDED = ("low", "high", "constant")
"""Buffers of preprocessing that format 2 lacks."""


@pytest.mark.parametrize(
    ("version", "message"),
    [
        (1, "model format 1, written by latentrl 0.2 or older: train it again"),
        (4, "has model format 4, this version reads up to 3: update latentrl"),
    ],
)
def test_other_formats_are_refused(
    version: int,
    message: str,
    fitted: lrl.Autoencoder,
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with monkeypatch.context() as other:
        other.setattr(checkpoint, "FORMAT", version)
        lrl.save(fitted, folder)
    with pytest.raises(ValueError, match=message):
        lrl.load(folder)


@pytest.mark.parametrize("shape", [(16, 16, 3), (5,)])
def test_models_of_format_2_are_loaded(
    shape: tuple[int, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = lrl.ae(spaces.Box(0, 200, shape, np.float32), latent_dim=2, backbone="mlp")
    state = model.state_dict()
    kept = {name: value for name, value in state.items() if name.split(".")[-1] not in ADDED}
    with monkeypatch.context() as other:
        other.setattr(checkpoint, "FORMAT", 2)
        other.setattr(model, "state_dict", lambda: kept)
        lrl.save(model, tmp_path)
    assert len(kept) < len(state)
    loaded = lrl.load(tmp_path, device="cpu").state_dict()
    assert all(torch.equal(loaded[name], value) for name, value in state.items())


def test_a_missing_model_is_named(tmp_path: Path) -> None:
    with pytest.raises(
        FileNotFoundError, match=r"no model at .*nowhere: it has no model.safetensors"
    ):
        lrl.load(tmp_path / "nowhere")


@pytest.mark.parametrize(
    ("space", "message"),
    [
        (
            spaces.Box(0, 255, (64, 64, 3), np.uint8),
            r"takes .* \(32, 32, 3\) uint8, .* gives \(64, 64, 3\) uint8; if a "
            "wrapper resizes them, leave it out, since the encoder resizes; otherwise train an",
        ),
        (
            spaces.Box(0, 255, (32, 32, 12), np.uint8),
            r"gives \(32, 32, 12\) uint8; if frames are stacked, wrap below the stack, since",
        ),
        (
            spaces.Box(0, 255, (4, 32, 32, 3), np.uint8),
            r"gives \(4, 32, 32, 3\) uint8; if frames are stacked, wrap below the stack",
        ),
        (spaces.Box(0, 255, (32, 32), np.uint8), "if a wrapper makes them grey, leave it out"),
        (spaces.Box(0, 255, (32, 32, 1), np.uint8), "if a wrapper makes them grey, leave it out"),
        (spaces.Box(0, 255, (32, 32, 4), np.uint8), r"32, 4\) uint8: train an encoder on its"),
        (spaces.Box(0, 1, (32, 32, 3), np.float32), r"the environment gives \(32, 32, 3\) float32"),
        (
            spaces.Box(0, 255, (3, 32, 32), np.uint8),
            "these look channels-first: wrap before VecTransposeImage",
        ),
        (spaces.Discrete(3), r"the environment gives Discrete\(3\)"),
    ],
)
def test_other_observations_are_refused(space: Any, message: str, folder: Path) -> None:
    with pytest.raises(ValueError, match=message):
        lrl.load(folder, observation_space=space)


def test_a_second_wrap_is_named(fitted: lrl.Autoencoder) -> None:
    with pytest.raises(ValueError, match="its own latents: the environment is wrapped already"):
        check_observation_space(fitted, fitted.latent_space)


def test_encoders_without_an_observation_space_take_any() -> None:
    check_observation_space(object(), IMAGES)


@pytest.mark.parametrize("prefix", ["_orig_mod.", "module.", "module._orig_mod."])
def test_prefixes_of_wrapped_modules_are_stripped(
    prefix: str, fitted: lrl.Autoencoder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    state = {prefix + name: tensor for name, tensor in fitted.state_dict().items()}
    with monkeypatch.context() as old:
        old.setattr(checkpoint, "strip_prefixes", lambda name: name)
        old.setattr(fitted, "state_dict", lambda: state)
        lrl.save(fitted, tmp_path)
    assert same_weights(lrl.load(tmp_path, "cpu"), fitted)


def test_only_whole_names_are_prefixes() -> None:
    assert strip_prefixes("encoder._orig_mod.0.weight") == "encoder.0.weight"
    assert strip_prefixes("submodule.weight") == "submodule.weight"


def test_shared_models_are_one_object_until_the_content_changes(
    fitted: lrl.Autoencoder, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = folder / "model.safetensors"
    first, times = load_shared(folder, "cpu"), (file.stat().st_atime_ns, file.stat().st_mtime_ns)
    assert load_shared(str(folder), "cpu") is first
    os.utime(file)
    assert load_shared(folder, "cpu") is first
    other = copy.deepcopy(fitted)
    other.latent_mean += 1
    lrl.save(other, folder)
    os.utime(file, ns=times)
    assert same_weights(load_shared(folder, "cpu"), other)
    with pytest.raises(FileNotFoundError, match="no model at"):
        load_shared(folder / "nowhere")
    # The same relative path leads to another file from another folder.
    lrl.save(fitted, folder / "inside" / folder.name)
    monkeypatch.chdir(folder.parent)
    assert same_weights(load_shared(folder.name, "cpu"), other)
    monkeypatch.chdir(folder / "inside")
    assert same_weights(load_shared(folder.name, "cpu"), fitted)


def test_devices() -> None:
    assert pick_device("cpu") == torch.device("cpu")
    assert pick_device().type in ("cpu", "cuda")
    for name in ("cuda:99", "abacus"):
        with pytest.raises(
            ValueError, match=f"device '{name}' cannot be used here; try 'auto' or 'cpu'"
        ):
            pick_device(name)


def test_a_part_that_is_not_registered_names_the_remedy(tmp_path: Path, monkeypatch: Any) -> None:
    lrl.save(lrl.ae((4,), 2, backbone={"name": "mlp"}), tmp_path)
    monkeypatch.delitem(BACKBONES._parts, "mlp")
    with pytest.raises(ValueError, match=r"unknown backbone 'mlp'; .*, or add --plugin MODULE"):
        lrl.load(tmp_path)


def test_a_folder_in_the_place_of_the_model(tmp_path):
    with pytest.raises(TypeError, match="save takes a model, then a folder; got PosixPath"):
        lrl.save(tmp_path, lrl.pca((8,), 2))
