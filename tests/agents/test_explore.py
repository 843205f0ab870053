"""The explorer of a folder that pretraining wrote."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import agents.explore
import latentrl as lrl
from agents.explore import explore_model
from agents.pretrain import pretrain
from agents.pretrain_config import PretrainConfig
from latentrl.models.autoencoder import Autoencoder
from scripts.explore import ExploreConfig, main
from tests.agents.small import save_run

pytestmark = pytest.mark.filterwarnings("ignore:the encoder may miss")


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


def test_a_class_of_each_image_colours_the_map(run: Path) -> None:
    classes = np.arange(12) % 3
    np.savez("classes.npz", observations=np.load("other.npy"), labels=classes)
    explore_model(run, Path("classes.npz"), Path("classes.html"))
    factors = document_of(Path("classes.html"))["map"]["factors"]
    assert factors == {"label": classes.tolist()}


def test_errors_come_before_the_agent_plays(
    run: Path, encoder: Autoencoder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    agent, nothing = save_run(tmp_path / "agent", encoder), tmp_path / "nothing"
    monkeypatch.setattr(agents.explore, "visit", lambda *_, **__: pytest.fail("it played"))
    with pytest.raises(FileNotFoundError, match="no model at"):
        explore_model(nothing, agent=agent)
    with pytest.raises(FileNotFoundError, match="nothing"):
        explore_model(run, nothing, agent=agent)
    with pytest.raises(TypeError, match="no decoder"):
        explore_model(None, agent=agent)
    (run / "pretraining.json").unlink()
    with pytest.raises(FileNotFoundError, match=r"no agent at"):
        explore_model(run, agent=nothing)
    message = r"has no pretraining\.json for its frames: add --data FILE"
    with pytest.raises(FileNotFoundError, match=message):
        explore_model(run, agent=agent)


def test_a_model_of_the_hub(run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("huggingface_hub")
    from tests.hub_server import hub_server

    reference, data, out = Path("hf://ada/squares"), Path("data.npz"), Path("hub.html")
    no_folder = "hf://ada/squares is no folder of a pretraining to read frames from and to write to"
    with pytest.raises(ValueError, match=f"^{no_folder}: add --data FILE and --out FILE$"):
        explore_model(reference)
    with pytest.raises(ValueError, match=f"^{no_folder}: add --out FILE$"):
        explore_model(reference, data)
    with pytest.raises(ValueError, match=f"^{no_folder}: add --data FILE$"):
        explore_model(reference, out=out)
    with pytest.raises(ValueError, match=r"expected hf://user/name or .*, got 'hf:/ada'"):
        explore_model(Path("hf://ada"), data, out)
    with hub_server(tmp_path / "cache", monkeypatch):
        lrl.push_to_hub(run, "ada/squares")
        assert explore_model(reference, data, out) == out
    explore_model(run, data, Path("local.html"))
    assert document_of(out) == document_of(Path("local.html"))
    assert not Path("hf:").exists()


def test_a_folder_without_a_model_is_named(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="no model at"):
        explore_model(tmp_path / "nothing")
