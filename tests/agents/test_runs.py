from __future__ import annotations

import os

import pytest

import latentrl as lrl
from agents.pretrain import newest_encoder
from agents.runs import env_folder, new_run, newest_run


def test_runs_are_numbered_and_found(tmp_path):
    assert str(env_folder("vae", "ALE/Pong:v5")) == "runs/vae/ALE_Pong.v5"
    assert newest_run("vae", "X-v0", "model") is None
    names = []
    for age in (300, 100, 200):
        path = new_run("vae", "X-v0", "pca")
        names.append(path.name)
        (path / "sub").mkdir(parents=True)
        (path / "sub" / "model").touch()
        os.utime(path / "sub" / "model", (1e9 - age, 1e9 - age))
    assert names == ["pca-1", "pca-2", "pca-3"]
    assert newest_run("vae", "X-v0", "sub/model") == env_folder("vae", "X-v0") / "pca-2"
    assert newest_run("vae", "X-v0", "other") is None


def test_the_newest_encoder(encoder):
    with pytest.raises(
        FileNotFoundError,
        match=r"no pretrained encoder for X-v0 in runs/vae/X-v0; make one with\n"
        "  python scripts/pretrain_vae.py --env X-v0",
    ):
        newest_encoder("X-v0")
    for number in (1, 2):
        file = lrl.save(encoder, env_folder("vae", "X-v0") / f"pca-{number}") / "model.safetensors"
        os.utime(file, (1e9 - number, 1e9 - number))
    assert newest_encoder("X-v0").name == "pca-1"
