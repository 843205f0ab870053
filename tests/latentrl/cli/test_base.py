"""Output folder and ``perform``, for every verb and kind of observation."""

from __future__ import annotations

import numpy as np
import pytest

import latentrl as lrl
from latentrl.cli import VERBS
from latentrl.cli.base import Output, at_least
from latentrl.viz import figures
from tests.latentrl.cli.helpers import read_image

FEW = ["--count", 2]
FLAGS = {
    "anomaly": ["--false-alarm-rate", 0.05, *FEW],
    "arithmetic": ["--label", 1, *FEW],
    "denoise": ["--corrupt", "gaussian_noise", *FEW],
    "inpaint": FEW,
    "interpolate": FEW,
    "manifold": ["--steps", 2],
    "reconstruct": FEW,
    "sample": FEW,
    "search": FEW,
}
MOVIES = {"traverse": "traversals.gif", "interpolate": "interpolations.gif"}


@pytest.mark.parametrize("kind", ["vectors", "sequences"])
@pytest.mark.parametrize("verb", list(VERBS))
def test_every_verb_writes_arrays_and_plots_without_images(verb, kind, others, tmp_path, use):
    data = [] if verb in ("sample", "manifold") else ["--data", others / f"{kind}.npz"]
    output = use(verb, others / kind, *data, *FLAGS.get(verb, []), "--out", tmp_path / "out")
    written = {file.suffix for file in (tmp_path / "out").iterdir()}
    assert {".npy", ".csv"} & written
    assert ".png" in written
    assert ".gif" not in written
    note = f"\nnot written: {MOVIES.get(verb)}, which needs images\n"
    assert (note in output) == (verb in MOVIES)
    for figure in (tmp_path / "out").glob("*.png"):
        colours = np.unique(read_image(figure).reshape(-1, 3), axis=0)
        assert len(colours) > 5


def test_results_are_beside_the_model_by_default(models, use):
    use("sample", models / "vae", "--count", 2)
    assert np.load(models / "vae" / "sample" / "samples.npy").shape == (2, 8, 8)


def test_interrupted_write_keeps_the_old_file(tmp_path, models):
    output = Output(tmp_path, lrl.load(models / "vae"))
    output.array("numbers.npy", np.arange(3))

    def interrupted():
        yield np.arange(2)
        raise KeyboardInterrupt

    space = lrl.as_frames(np.zeros((4, 2))).space
    with pytest.raises(KeyboardInterrupt):
        output.stream("numbers.npy", interrupted(), 4, space)
    assert np.load(tmp_path / "numbers.npy").tolist() == [0, 1, 2]
    assert [file.name for file in tmp_path.iterdir()] == ["numbers.npy"]
    assert output.files == [tmp_path / "numbers.npy"]


def test_missing_matplotlib_is_an_error_before_any_work(models, tmp_path, use, monkeypatch):
    monkeypatch.setattr(figures.importlib.util, "find_spec", lambda name: None)
    error = use("sample", models / "vae", "--out", tmp_path / "out", fails=True)
    assert error == "error: figures need matplotlib: pip install 'latentrl[viz]'\n"
    assert not (tmp_path / "out").exists()


def test_a_model_of_the_hub_needs_a_folder_for_the_results(use):
    error = use("sample", "hf://ada/digits", fails=True)
    assert error == "error: hf:/ada/digits is no folder to write to: choose one with --out\n"


def test_at_least_names_the_flag():
    at_least(1, count=1, k=2)
    with pytest.raises(ValueError, match="--k must be at least 2, got 1"):
        at_least(2, count=2, k=1)
