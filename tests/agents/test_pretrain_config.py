"""Flags of a pretraining run that are read again: their types are those of the flags."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import pytest

from agents.pretrain_config import (
    PretrainConfig,
    as_json,
    completed,
    read_config,
    resumed_config,
)
from envs import EnvDefaults, EnvFamily

FLAGS = PretrainConfig(
    env="A-v0", option=("weight=0.5",), crop=(1, 2, 3, 4), data=Path("data.npy"), beta=0.5
)


def write(folder, **changes):
    (folder / "pretraining.json").write_text(json.dumps({**as_json(FLAGS), **changes}))


def test_flags_are_read_as_they_were(tmp_path):
    write(tmp_path)
    assert read_config(tmp_path) == FLAGS


def test_runs_from_before_a_flag_have_its_default(tmp_path):
    flags = {"env": "A-v0", "out": "here"}
    (tmp_path / "pretraining.json").write_text(json.dumps(flags))
    expected = PretrainConfig(env="A-v0", out=Path("here"))
    assert read_config(tmp_path) == dataclasses.replace(
        expected, store_original=True, from_scratch=True
    )


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"env": [None]}, r"env of the flags in .*pretraining\.json is a string, got"),
        ({"option": [7]}, "item 0 of option of the flags .* is a string, got 7"),
        ({"from_render": 1e30}, "from_render of .* is true or false, got"),
        ({"crop": [1, 2]}, "crop of .* has 4 items, got"),
        ({"data": 3}, "data of .* is a string, got 3"),
        ({"data": "x" * 5_000}, "data of .* is no path: File name too long"),
        ({"out": "a\0b"}, "out of .* is no path: embedded null byte"),
        ({"unheard": 1}, "unknown field 'unheard' in the flags"),
    ],
)
def test_other_types_are_refused(changes, message, tmp_path):
    write(tmp_path, **changes)
    with pytest.raises(ValueError, match=message):
        read_config(tmp_path)


def test_unknown_defaults_of_a_family_are_named(monkeypatch):
    family = EnvFamily("mine", ("Mine-",), EnvDefaults(pretraining={"steps": 9, "latentdim": 3}))
    monkeypatch.setattr("envs.families.FAMILIES", {"mine": family})
    message = "unknown field 'latentdim' in pretraining of the family of Mine-v0"
    with pytest.raises(ValueError, match=message):
        completed(PretrainConfig("Mine-v0"), None)


@pytest.mark.parametrize(
    ("changes", "given", "message"),
    [
        ({"seed": 1}, "seed", "seed=1, the call has seed=0"),
        ({"stride": 3}, "stride", "stride=3, the call has stride=1"),
        ({"untuned": True}, "untuned", "untuned=True, the call has untuned=False"),
        ({"model": "vae"}, "model", "model=vae, the call has model=beta_vae"),
    ],
)
def test_a_default_that_is_given_is_compared(changes, given, message, tmp_path):
    write(tmp_path, **changes)
    with pytest.raises(ValueError, match=f"has {message}: resume it without the flag"):
        resumed_config(PretrainConfig(given=("resume", given)), tmp_path)
    assert resumed_config(PretrainConfig(given=("resume",)), tmp_path).env == "A-v0"


def test_what_the_data_decide_may_be_left_to_the_run(tmp_path):
    write(tmp_path, from_scratch=True, latent_dim=8, seed=0)
    call = PretrainConfig(given=("from_scratch", "latent_dim", "seed"))
    assert resumed_config(call, tmp_path).latent_dim == 8
    assert "given" not in as_json(call)
