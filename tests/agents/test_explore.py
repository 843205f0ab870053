"""The explorer of a folder that pretraining wrote."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from agents.explore import explore_model
from agents.pretrain import pretrain
from agents.pretrain_config import PretrainConfig
from scripts.explore import ExploreConfig, main


def document_of(page: Path) -> Any:
    text = page.read_text(encoding="utf-8").partition('id="document">')[2]
    return json.loads(text.partition("</script>")[0])


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A PCA of drawn images with two factors, pretrained from a file."""
    monkeypatch.chdir(tmp_path)
    generator = np.random.default_rng(0)
    images = generator.integers(0, 256, (40, 8, 8, 3), np.uint8)
    np.savez("data.npz", observations=images, factors=generator.integers(0, 3, (40, 2)))
    np.save("other.npy", images[:12])
    return pretrain(PretrainConfig(model="pca", latent_dim=4, data=Path("data.npz"))).path


def test_the_frames_of_the_pretraining_are_the_default(run: Path) -> None:
    beside = run / "latent.html"
    assert document_of(beside)["map"]["thumbnails"]["count"] == 4, "held-out frames"
    assert explore_model(run) == beside
    assert document_of(beside)["map"]["thumbnails"]["count"] == 40


def test_other_frames_and_known_factors(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    main(ExploreConfig(run, data=Path("other.npy"), out=Path("other.html")))
    assert capsys.readouterr().out == "other.html\n"
    assert document_of(Path("other.html"))["map"]["factors"] == {}
    explore_model(run, Path("data.npz"), Path("factors.html"))
    factors = document_of(Path("factors.html"))["map"]["factors"]
    expected = np.load("data.npz")["factors"].T
    assert np.array_equal([factors["factor 0"], factors["factor 1"]], expected)


def test_a_folder_without_a_model_is_named(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="no model at"):
        explore_model(tmp_path / "nothing")
