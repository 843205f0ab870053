"""Commands that ``scripts/pretrain_vae.py`` prints."""

from __future__ import annotations

import pytest

import latentrl as lrl
from latentrl.cli import suggestions

SECOND = {
    "vae": "sample",
    "denoiser": "denoise",
    "painter": "inpaint",
    "hash": "search",
    "pca": "reconstruct",
    "random": "search",
}


@pytest.mark.parametrize("name", SECOND)
def test_suggested_commands_run(name, models, tmp_path, use):
    lines = suggestions(lrl.load(models / name), models / name, models / "digits.npz")
    assert lines[0][0] == ("search" if name == "random" else "reconstruct")
    verb, flag, model, *rest = lines[-1]
    assert (verb, flag) == (SECOND[name], "--model")
    use(verb, model, *rest, "--out", tmp_path)
    assert list(tmp_path.glob("*.npy"))


def test_suggested_commands_read_the_data_as_training_did(models):
    model, data = lrl.load(models / "vae"), models / "digits.npz"
    lines = suggestions(model, models / "vae", data, ["--window", "50"])
    assert lines[0][-2:] == ["--window", "50"]
