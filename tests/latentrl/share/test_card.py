"""The card of an encoder: its header is YAML, and its numbers are those of the file."""

from __future__ import annotations

import dataclasses

import pytest
import yaml

import latentrl as lrl
from latentrl.share.card import IMAGES, Card, source_of, table
from latentrl.training.quality import Quality

QUALITY = Quality(0.91234567, None, 27.5, 20.25, 5, 6, 0.125, (0.5, 0.875))
DATA = {
    "environment": {"id": "Square-v0", "frame_skip": 4},
    "shards": [{"name": "000", "policy": "uniform"}, {"name": "001", "policy": "sticky"}],
}


@pytest.fixture
def folder(tmp_path, small_backbone):
    model = lrl.beta_vae((32, 32, 3), latent_dim=6, backbone=small_backbone)
    model.metadata = {"frames": 1234, "fingerprint": "abc", "data": DATA}
    model.metadata["quality"] = dataclasses.asdict(QUALITY)
    return lrl.save(model, tmp_path / "model")


def header(card):
    opening, text, _ = card.split("---\n", 2)
    assert opening == ""
    return yaml.safe_load(text)


def test_the_header_holds_the_metrics_of_the_data_card(folder):
    read = header(lrl.share.model_card(folder))
    assert read["library_name"] == "latentrl"
    assert read["tags"] == ["latentrl", "representation-learning", "beta_vae", "Square-v0"]
    assert "license" not in read
    (index,) = read["model-index"]
    (result,) = index["results"]
    assert index["name"] == "beta_vae of Square-v0"
    assert result["task"] == {"type": "image-feature-extraction"}
    assert result["dataset"] == {"type": "Square-v0", "name": "Square-v0"}
    assert {metric["type"]: metric["value"] for metric in result["metrics"]} == {
        "explained": 0.9123,
        "psnr": 27.5,
        "mean_psnr": 20.25,
        "lost_detail": 0.125,
        "used_dimensions": 5,
    }


def test_the_hub_reads_the_same_metrics(folder):
    hub = pytest.importorskip("huggingface_hub")
    data = hub.ModelCard(lrl.share.model_card(folder, license="mit")).data
    assert data.license == "mit"
    values = {result.metric_type: result.metric_value for result in data.eval_results}
    assert values["psnr"] == QUALITY.psnr


def test_the_text_describes_model_data_and_pictures(folder):
    model = lrl.load(folder)
    model.metadata["factors"] = {"probe": {"agent": 0.75}, "disentanglement": {"mig": 0.25}}
    lrl.save(model, folder)
    for name in ("traversals.png", "latent.html"):
        (folder / name).write_bytes(b"content")
    card = lrl.share.model_card(folder, "ada/square")
    assert "observations `(32, 32, 3) uint8` into 6 latents, with a decoder" in card
    assert 'lrl.load("hf://ada/square")' in card
    assert "| PSNR in dB | 27.5 |" in card
    assert (
        "| R2 of a linear probe of the factor agent | 0.75 |\n| disentanglement: mig | 0.25 |"
        in card
    )
    assert "changing pixels" not in card
    data = "Data: Square-v0: 1,234 frames; collected by the policy uniform, sticky; "
    assert f"{data}4 environment frames per step; fingerprint `abc`." in card
    assert "![Traversals: one dimension moves per row](traversals.png)" in card
    assert "[latent.html](latent.html) moves through the latents" in card
    assert "reconstructions.png" not in card


def test_a_file_of_data_is_named_without_its_folder(tmp_path, vectors):
    model = lrl.pca((8,), latent_dim=2)
    model.metadata = {"frames": 9, "data": {"source": "/home/ada/secret/sensors.npz"}}
    card = lrl.share.model_card(lrl.save(model, tmp_path))
    assert "secret" not in card
    assert header(card)["tags"][-1] == "sensors.npz"
    assert "model-index" not in header(card)


def test_the_id_of_a_minari_dataset_is_kept_whole():
    model = lrl.pca((8,), latent_dim=2)
    model.metadata = {"data": {"source": "minari://CartPole/random-v0"}}
    assert source_of(model) == "CartPole/random-v0"


def test_what_is_uploaded_is_what_pretraining_writes():
    from agents.pretrain_images import FILES
    from agents.quality import IMAGE

    assert {*FILES.values(), IMAGE} == {*IMAGES}


def test_a_damaged_data_card_is_refused(folder):
    model = lrl.load(folder)
    model.metadata["quality"]["psnr"] = "high"
    with pytest.raises(ValueError, match="quality in a model's data card"):
        lrl.share.model_card(lrl.save(model, folder))


def test_any_text_is_valid_yaml():
    name = 'a: "b"\n# c \\ é 🚗'
    card = Card(name, "task", name, [name, "latentrl"], {"score": 1e-7, "other": 1e7})
    read = header(card.text(name).replace(f"# {name}", ""))
    assert read["license"] == name
    assert read["tags"] == ["latentrl", name]
    values = [metric["value"] for metric in read["model-index"][0]["results"][0]["metrics"]]
    assert values == [0.0, 1e7]


def test_tables_escape_their_separator():
    assert table(["a|b", "c"], [[1.23456, 2]]) == "| a\\|b | c |\n| --- | --- |\n| 1.235 | 2 |"
