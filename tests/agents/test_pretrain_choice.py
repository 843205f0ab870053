"""Which flags leave the encoder to the choice, and what a run then keeps."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch
from gymnasium import spaces

import agents.pretrain
import latentrl as lrl
from agents.pretrain import build_model, pretrain
from agents.pretrain_choice import (
    MEASURED_FRAMES,
    STEPS,
    WARM_FRAMES,
    WARM_STEPS,
    default_frames,
    with_choice,
    with_size,
)
from agents.pretrain_config import (
    BATCH_SIZE,
    FRAMES,
    IMAGE_BATCH_SIZE,
    PretrainConfig,
    completed,
    fit_config,
    is_open,
    read_config,
)
from latentrl.training.trainer import Trainer
from tests.latentrl.training.ball import ball_frames

REACH = PretrainConfig("PixelReach-v0")


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, True),
        ({"batch_size": 8, "steps": 3, "size": 32}, True),
        ({"latent_dim": 32}, False),
        ({"beta": 4.0}, False),
        ({"likelihood": "bernoulli"}, False),
        ({"option": ("topk_weight=4",)}, False),
        ({"option": ("contrast_weight=30",)}, True),
        ({"option": ("contrast_weight=30", "losses=[sparsity]")}, True),
        ({"option": ("contrast_weight=30", "topk_weight=4")}, False),
        ({"model": "vae"}, False),
    ],
)
def test_flags_of_the_network_close_the_choice(changes, expected):
    assert is_open(dataclasses.replace(REACH, **changes)) == expected


def test_environments_with_a_tuned_encoder_keep_it():
    frames = {"MiniGrid-DoorKey-8x8-v0": 20_000, "KeyRooms-v0": 20_000}
    for env, count in frames.items():
        config = completed(PretrainConfig(env), None)
        assert not is_open(config)
        assert config.frames == count


@pytest.mark.parametrize(
    ("changes", "size", "expected"),
    [
        ({}, 64, WARM_FRAMES),
        ({"steps": 0}, 64, MEASURED_FRAMES),
        ({"steps": 0, "from_scratch": True}, 64, FRAMES),
        ({"from_scratch": True}, 64, FRAMES),
        ({"latent_dim": 32}, 64, FRAMES),
        ({"model": "vae"}, 64, FRAMES),
        ({}, 128, FRAMES),
        ({}, 32, FRAMES),
    ],
)
def test_general_weights_need_fewer_frames(changes, size, expected):
    config = completed(dataclasses.replace(REACH, **changes), None)
    images = lrl.Preprocessing(size=(size, size))
    assert default_frames(config, spaces.Box(0, 255, (80, 90, 3), np.uint8), images) == expected


def detailed(side: int) -> lrl.Frames:
    return lrl.as_frames(np.random.default_rng(0).integers(0, 255, (20, side, side, 3), np.uint8))


def test_images_with_many_details_are_enlarged(capsys):
    larger = with_size(REACH, detailed(64), lrl.Preprocessing())
    assert larger == dataclasses.replace(REACH, size=96)
    assert "images have many details: --size 96, because 4 linear" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("changes", "side"), [({"size": 64}, 64), ({"latent_dim": 8}, 64), ({}, 100), ({}, 40)]
)
def test_flags_and_images_of_other_sizes_keep_their_size(changes, side):
    config = dataclasses.replace(REACH, **changes)
    assert with_size(config, detailed(side), lrl.Preprocessing()) == config


def test_plain_images_keep_their_size():
    config = PretrainConfig("Ball")
    assert with_size(config, ball_frames(40).frames, lrl.Preprocessing()) == config


def test_vectors_have_no_general_weights():
    config = completed(PretrainConfig("Ant-v5"), None)
    assert default_frames(config, spaces.Box(-1, 1, (105,)), lrl.Preprocessing()) == FRAMES


def test_encoders_of_the_flags_have_fresh_weights():
    grid = ("backbone={name: spatial}",)
    for changes in ({"option": grid, "latent_dim": 256}, {"model": "vae", "latent_dim": 256}):
        assert completed(dataclasses.replace(REACH, **changes), None).from_scratch


def test_flags_of_the_training_take_precedence(capsys):
    frames, plain = ball_frames(60).frames, lrl.Preprocessing()
    chosen = with_choice(REACH, frames, plain)
    assert (chosen.batch_size, chosen.steps) == (None, STEPS)
    assert "of the pixels change in a step: 8 x 8 cells" in capsys.readouterr().err
    given = with_choice(dataclasses.replace(REACH, batch_size=7, epochs=2), frames, plain)
    assert (given.batch_size, given.epochs, given.steps) == (7, 2, None)
    assert given.latent_dim == chosen.latent_dim
    added = with_choice(dataclasses.replace(REACH, option=("contrast_weight=30",)), frames, plain)
    assert added.option == ("contrast_weight=30", *chosen.option)


def test_a_chosen_encoder_starts_from_general_weights(capsys):
    images = np.random.default_rng(0).integers(0, 256, (60, 64, 64, 3), np.uint8)
    frames = lrl.as_frames(images)
    chosen = with_choice(REACH, frames, lrl.Preprocessing())
    assert chosen.steps == WARM_STEPS
    assert "starts from general-purpose weights" in capsys.readouterr().err
    fresh = with_choice(dataclasses.replace(REACH, from_scratch=True), frames, lrl.Preprocessing())
    assert fresh.steps == STEPS
    assert "starts from fresh weights" in capsys.readouterr().err
    expected = lrl.beta_vae((64, 64, 3), chosen.latent_dim, backbone={"name": "spatial"})
    lrl.warm_start(expected)
    for config, same in ((chosen, True), (fresh, False)):
        model = build_model(config, frames.space, from_environment=True)
        assert torch.equal(model.encoder[1].weight, expected.encoder[1].weight) == same


@pytest.mark.filterwarnings("ignore:.*(collapsed|encoder may miss)")
def test_a_run_keeps_what_was_chosen(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    result = pretrain(dataclasses.replace(REACH, frames=64, steps=2, backend="gymnasium"))
    flags = read_config(result.path)
    assert flags.latent_dim == result.model.latent_dim
    assert any(word.startswith("backbone=") for word in flags.option)
    assert result.model.latent_layout.grid == (8, 8)
    assert flags.batch_size == IMAGE_BATCH_SIZE


@pytest.mark.filterwarnings("ignore:the encoder may miss")
def test_small_batches_are_for_images(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    vectors = PretrainConfig("CartPole-v1", "ae", frames=64, steps=2, latent_dim=2)
    assert fit_config(pretrain(vectors).config).batch_size == BATCH_SIZE


def interrupt(monkeypatch, owner, name, calls):
    """Interrupt the call number ``calls`` of a function, in place of that call."""
    function, count = getattr(owner, name), iter(range(calls))

    def interrupted(*args, **kwargs):
        if next(count) == calls - 1:
            raise KeyboardInterrupt
        return function(*args, **kwargs)

    monkeypatch.setattr(owner, name, interrupted)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:.*(collapsed|encoder may miss)")
@pytest.mark.parametrize("size", [None, 64], ids=["fresh", "general-purpose"])
def test_a_run_that_is_interrupted_anywhere_ends_with_the_same_weights(tmp_path, monkeypatch, size):
    monkeypatch.chdir(tmp_path)
    few = {"frames": 64, "steps": 3, "size": size, "backend": "gymnasium"}
    config = dataclasses.replace(REACH, **few, out=tmp_path / "a")
    whole = pretrain(config).model.state_dict()
    moments = [
        (agents.pretrain, "collect_frames", 1),
        (agents.pretrain, "with_choice", 1),  # the flags are written without a choice
        (agents.pretrain, "build_model", 2),  # the flags are written with it
        (Trainer, "_step", 2),
        (agents.pretrain, "write_images", 1),
    ]
    for owner, name, calls in moments:
        path = tmp_path / name
        with monkeypatch.context() as patch:
            interrupt(patch, owner, name, calls)
            with pytest.raises(KeyboardInterrupt):
                pretrain(dataclasses.replace(config, out=path))
        resumed = pretrain(dataclasses.replace(REACH, out=path, resume=True)).model
        assert all(torch.equal(value, whole[key]) for key, value in resumed.state_dict().items())
