"""Pretraining: flags that are refused, held-out images, runs that are resumed."""

from __future__ import annotations

import numpy as np
import pytest

import agents.pretrain
import latentrl as lrl
from agents.pretrain import PretrainConfig, build_model, pretrain
from agents.pretrain_config import completed, fit_config
from agents.pretrain_images import IMAGES, write_images
from latentrl.viz.quality import varied_frames
from tests.agents.small import REACH


def test_flags_that_contradict_each_other():
    vectors = lrl.as_frames(np.random.default_rng(0).normal(size=(50, 4)).astype(np.float32))
    with pytest.raises(ValueError, match="model 'pca' has no beta: remove --beta"):
        pretrain(PretrainConfig(model="pca", beta=2.0))
    with pytest.raises(ValueError, match="unknown model 'vea'; known: ae, beta_tcvae"):
        pretrain(PretrainConfig(model="vea"))
    with pytest.raises(
        ValueError,
        match=r"size and crop are for images; the observations of CartPole-v1 have shape \(4,\)",
    ):
        build_model(
            PretrainConfig(env="CartPole-v1", model="pca", size=64),
            vectors.space,
            from_environment=True,
        )


def test_nothing_to_resume():
    with pytest.raises(
        FileNotFoundError, match=r"nothing to resume for X-v0: no run in runs/vae/X-v0"
    ):
        pretrain(PretrainConfig(env="X-v0", resume=True))


def test_a_model_in_the_folder_is_not_replaced(tmp_path):
    lrl.save(lrl.pca((4,), latent_dim=2), tmp_path / "mine")
    with pytest.raises(ValueError, match="mine already holds a model: choose another --out"):
        pretrain(PretrainConfig(env="CartPole-v1", latent_dim=2, out=tmp_path / "mine"))
    assert [file.name for file in tmp_path.iterdir()] == ["mine"], "nothing is collected"


def test_a_solved_model_is_resumed_to_the_same():
    flags = {"env": "CartPole-v1", "model": "pca", "latent_dim": 2, "frames": 60}
    first = pretrain(PretrainConfig(**flags))
    again = pretrain(PretrainConfig(**flags, out=first.path, resume=True))
    assert again.path == first.path


def test_flags_are_checked_before_frames_are_collected(tmp_path):
    cases = {
        "latent_dim is a number of values, at least 1; got 0": {"latent_dim": 0},
        "epochs must be a whole number of at least 1, got 0": {"epochs": 0},
        "steps 0 keeps the general-purpose weights, and there are none": {"steps": 0},
        r"or let it be chosen from images of an environment: --untuned --size 64, without": {
            "steps": 0,
            "size": 64,
            "from_scratch": True,
        },
        "frames must be at least 2, got 1": {"frames": 1},
        "device 'cuda:7' cannot be used here": {"device": "cuda:7"},
        "has vectors of 4 values, fewer than latent_dim=32; add --from-render": {
            "env": "CartPole-v1",
            "latent_dim": 32,
        },
        r"has observations Discrete\(16\); add --from-render to learn from rendered images": {
            "env": "FrozenLake-v1"
        },
    }
    for message, flags in cases.items():
        with pytest.raises(ValueError, match=message):
            pretrain(PretrainConfig(**{"env": "PixelReach-v0", "out": tmp_path / "run", **flags}))
    assert not (tmp_path / "run").exists()


def test_data_have_no_number_of_frames_to_collect(tmp_path):
    np.save(tmp_path / "images.npy", np.zeros((20, 8, 8, 3), np.uint8))
    config = PretrainConfig(data=tmp_path / "images.npy", frames=10, out=tmp_path / "run")
    with pytest.raises(ValueError, match="and data are given: remove --frames"):
        pretrain(config)


def test_the_defaults_of_an_environment_are_for_its_own_images():
    tuned = completed(PretrainConfig("KeyRooms-v0"), None)
    assert (tuned.latent_dim, tuned.beta, tuned.steps) == (256, 0.1, 3_000)
    assert "backbone={name: patches}" in tuned.option
    for flags in ({"size": 32}, {"untuned": True}):
        assert completed(PretrainConfig("KeyRooms-v0", **flags), None).latent_dim is None
    assert completed(PretrainConfig("KeyRooms-v0", latent_dim=512), None).latent_dim == 512
    assert completed(PretrainConfig("KeyRooms-v0", epochs=3), None).steps is None
    mlp = completed(PretrainConfig("KeyRooms-v0", option=("backbone={name: mlp}",)), None)
    assert mlp.option == ("backbone={name: mlp}", "topk_weight=4.0")


def test_training_is_open_ended_unless_its_length_is_given():
    length = lambda **flags: fit_config(completed(PretrainConfig("PixelReach-v0", **flags), None))  # noqa: E731
    default = length()
    assert (default.epochs, default.steps, default.patience) == (None, None, 10)
    assert default.total_steps(556) == 1500, "few distinct frames"
    assert (length(epochs=3).epochs, length(epochs=3).patience) == (3, None)
    rooms = fit_config(completed(PretrainConfig("KeyRooms-v0"), None))
    assert (rooms.steps, rooms.patience) == (3_000, None)
    assert (length(steps=7).steps, length(steps=7).patience) == (7, None)


@pytest.fixture
def tiny_run(monkeypatch):
    """A pretraining on frames of which many are equal, and the frames that its images show."""
    drawn = []
    write = write_images

    def recorded(model, held_out, path):
        drawn.append(varied_frames(model, held_out, IMAGES))
        return write(model, held_out, path)

    monkeypatch.setattr(agents.pretrain, "write_images", recorded)
    flags = {"model": "pca", "latent_dim": 4, "frames": 600, "size": 16}
    return pretrain(PretrainConfig(REACH.id, **flags)), drawn[0]


@pytest.mark.filterwarnings("ignore:the encoder may miss something")
def test_images_show_frames_that_training_never_had(tiny_run):
    result, shown = tiny_run
    training = {frame.tobytes() for frame in result.history.training[:]}
    assert len(training) == len(result.history.training)
    assert len(training) + len(result.history.validation) < len(result.frames), "none was equal"
    assert len(shown) == IMAGES
    assert not {frame.tobytes() for frame in shown} & training
    assert [image.name for image in result.images] == [
        "reconstructions.png",
        "traversals.png",
        "traversals.gif",
        "latent.html",
        "lost_details.png",
    ]
    assert all(image.stat().st_size > 100 for image in result.images)


def test_frames_that_cannot_be_learned_leave_no_run(tmp_path):
    np.save(tmp_path / "equal.npy", np.full((20, 16, 16, 3), 7, np.uint8))
    flags = {"data": tmp_path / "equal.npy", "model": "pca", "out": tmp_path / "mine"}
    with pytest.raises(ValueError, match="all 20 observations are identical"):
        pretrain(PretrainConfig(**flags))
    assert not (tmp_path / "mine").exists()
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "notes.txt").write_text("keep me")
    with pytest.raises(ValueError, match="all 20 observations are identical"):
        pretrain(PretrainConfig(**flags))
    assert (tmp_path / "mine" / "notes.txt").exists(), "a folder of the user's own is kept"
    assert not (tmp_path / "mine" / "pretraining.json").exists()


def test_vectors_of_an_environment_have_as_many_latents_as_values(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    with pytest.warns(UserWarning, match=r"of the variance of value \d is kept .* longer with"):
        result = pretrain(PretrainConfig("CartPole-v1", frames=200, steps=5))
    assert result.model.latent_dim == 4
    words = "CartPole-v1 has vectors of 4 values; add --from-render to learn from rendered images"
    assert words in capsys.readouterr().err


def test_frames_that_are_all_equal(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ValueError, match=r"all 64 frames of .*:Still are equal: an episode"):
        pretrain(PretrainConfig("tests.agents.failing:Still", frames=32))
