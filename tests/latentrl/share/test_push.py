"""An encoder on a Hub of the test's own: what is uploaded, what is loaded, and every refusal."""

from __future__ import annotations

import sys

import numpy as np
import pytest

import latentrl as lrl

pytest.importorskip("huggingface_hub")

from tests.hub_server import READ, hub_server


@pytest.fixture
def hub(tmp_path, monkeypatch):
    with hub_server(tmp_path / "cache", monkeypatch) as server:
        yield server


@pytest.fixture(scope="module")
def model(small_backbone):
    return lrl.beta_vae((32, 32, 3), latent_dim=6, backbone=small_backbone).eval()


def downloaded(hub):
    asked = [request.partition("/resolve/main/") for request in hub.requests]
    return [name for verb, _, name in asked if verb.startswith("GET") and name]


def test_a_pushed_model_is_loaded_with_the_same_weights(hub, model, images, tmp_path):
    page = lrl.push_to_hub(model, "ada/squares")
    assert page == f"{hub.url}/ada/squares"
    (files,) = list(hub.repos["ada/squares"].values())[1:]
    assert {*files} == {"README.md", "config.json", "model.safetensors"}
    loaded = lrl.load("hf://ada/squares")
    np.testing.assert_array_equal(loaded.encode(images), model.encode(images))
    assert downloaded(hub) == ["model.safetensors"]
    assert tmp_path / "cache" in (tmp_path / loaded.source).parents


def test_a_folder_is_pushed_without_its_other_files(hub, model, tmp_path):
    folder = lrl.save(model, tmp_path / "model")
    for name in ("reconstructions.png", "latent.html", "resume.safetensors", "notes.pkl"):
        (folder / name).write_bytes(b"content of " + name.encode())
    lrl.push_to_hub(folder, "ada/squares", private=True, license="mit")
    files = list(hub.repos["ada/squares"].values())[-1]
    pushed = {"README.md", "config.json", "model.safetensors", "reconstructions.png", "latent.html"}
    assert {*files} == pushed
    assert files["model.safetensors"] == (folder / "model.safetensors").read_bytes()
    assert b"license: " in files["README.md"]
    assert hub.visibilities == {"ada/squares": "private"}
    assert not (folder / "README.md").exists()


def test_a_card_of_ones_own_is_pushed_as_it_is(hub, model, tmp_path):
    folder = lrl.save(model, tmp_path / "model")
    (folder / "README.md").write_text("my words")
    lrl.push_to_hub(folder, "ada/squares")
    assert list(hub.repos["ada/squares"].values())[-1]["README.md"] == b"my words"
    with pytest.raises(ValueError, match="write the license into the header of"):
        lrl.push_to_hub(folder, "ada/squares", license="mit")


def test_a_revision_is_loaded(hub, model, images):
    lrl.push_to_hub(model, "ada/squares")
    commit = list(hub.repos["ada/squares"])[-1]
    other = lrl.random(images.shape[1:], latent_dim=3)
    lrl.push_to_hub(other, "ada/squares")
    assert lrl.load("hf://ada/squares").latent_dim == 3
    assert lrl.load(f"hf://ada/squares@{commit}").latent_dim == model.latent_dim


def test_an_environment_is_wrapped_by_a_reference(hub):
    import gymnasium as gym

    from envs.pixel_reach import PixelReach

    lrl.push_to_hub(lrl.random((32, 32, 3), latent_dim=3), "ada/reach")
    env = lrl.wrap(PixelReach(), "hf://ada/reach")
    assert isinstance(env, gym.Env)
    assert env.reset(seed=0)[0].shape == (3,)


def test_without_a_network_the_cache_is_used(hub, model, monkeypatch):
    from huggingface_hub import constants

    lrl.push_to_hub(model, "ada/squares")
    lrl.load("hf://ada/squares")
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    assert lrl.load("hf://ada/squares").latent_dim == model.latent_dim
    with pytest.raises(FileNotFoundError, match="the Hub cannot be reached"):
        lrl.load("hf://ada/circles")
    with pytest.raises(FileNotFoundError, match="the Hub cannot be reached"):
        lrl.push_to_hub(model, "ada/circles")


def test_wrong_references_are_refused(hub, model):
    with pytest.raises(ValueError, match=r"expected hf://user/name or .*, got 'hf://squares'"):
        lrl.load("hf://squares")
    with pytest.raises(ValueError, match=r"expected hf://user/name"):
        lrl.push_to_hub(model, "squares")
    with pytest.raises(ValueError, match=r"hf://ada/squares..git: Cannot have"):
        lrl.push_to_hub(model, "ada/squares..git")
    with pytest.raises(FileNotFoundError, match=r"there is no hf://ada/circles, or it is private"):
        lrl.load("hf://ada/circles")
    lrl.push_to_hub(model, "ada/squares")
    with pytest.raises(FileNotFoundError, match=r"@v2: there is no such revision"):
        lrl.load("hf://ada/squares@v2")


def test_a_gated_repository_and_a_broken_hub_are_named(hub, model):
    hub.gated.add("ada/gated")
    with pytest.raises(PermissionError, match="hf://ada/gated is gated: accept its terms"):
        lrl.load("hf://ada/gated")
    hub.down = True
    with pytest.raises(OSError, match="hf://ada/squares: the Hub replied 500"):
        lrl.push_to_hub(model, "ada/squares")


def test_other_contents_are_refused(hub):
    files = {"pytorch_model.bin": b"a pickle"}
    hub.repos["ada/bert"] = {"a" * 40: files}
    with pytest.raises(FileNotFoundError, match=r"hf://ada/bert has no model.safetensors"):
        lrl.load("hf://ada/bert")
    hub.repos["ada/bert"] = {"b" * 40: files | {"model.safetensors": b"no tensors"}}
    with pytest.raises(ValueError, match=r"model.safetensors is damaged"):
        lrl.load("hf://ada/bert")
    assert "pytorch_model.bin" not in downloaded(hub)


@pytest.mark.parametrize(
    ("token", "message"), [(READ, "the token does not allow it"), ("", "there is no token: log in")]
)
def test_writing_needs_a_token(hub, model, monkeypatch, tmp_path, token, message):
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_TOKEN_PATH", str(tmp_path / "none"))
    monkeypatch.setenv("HF_TOKEN", token)
    with pytest.raises(PermissionError, match=message):
        lrl.push_to_hub(model, "ada/squares")


def test_what_is_no_folder_of_a_model_is_not_pushed(hub, tmp_path):
    with pytest.raises(FileNotFoundError, match="no model at"):
        lrl.push_to_hub(tmp_path, "ada/squares")
    with pytest.raises(ValueError, match="load hf://ada/circles first"):
        lrl.push_to_hub("hf://ada/circles", "ada/squares")
    assert hub.requests == []


def test_a_missing_package_is_named(model, monkeypatch):
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    with pytest.raises(ImportError, match=r"pip install 'latentrl\[hub\]'"):
        lrl.load("hf://ada/squares")
    with pytest.raises(ImportError, match=r"pip install 'latentrl\[hub\]'"):
        lrl.push_to_hub(model, "ada/squares")
