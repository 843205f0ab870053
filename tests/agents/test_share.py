"""Agents on a Hub of the test's own: the card's numbers, the upload, and the same returns again."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml

import latentrl as lrl
from agents.evaluate import evaluate_agent
from agents.share import agent_card, local_run, push_agent
from tests.agents.small import save_run, store_validation

pytest.importorskip("huggingface_hub")

from tests.hub_server import hub_server

RESULT = {"returns": [1.0, 2.5], "lengths": [3, 4], "policy": "stochastic"}


@pytest.fixture
def hub(tmp_path, monkeypatch):
    with hub_server(tmp_path / "cache", monkeypatch) as server:
        yield server


@pytest.fixture
def run(encoder, tmp_path):
    return save_run(tmp_path / "ppo-1", encoder)


def header(card):
    return yaml.safe_load(card.split("---\n")[1])


def evaluate(run, episodes, **options):
    return evaluate_agent(run, episodes, max_episode_steps=20, progress=False, **options)


def test_the_numbers_of_the_card_are_those_of_the_reports(run):
    evaluate(run, 2)
    evaluate(run, 3, deterministic=False)
    evaluate(run, 3, random=True)
    card = agent_card(run, "ada/reach", "mit")
    read = header(card)
    assert read["library_name"] == "latentrl"
    assert read["license"] == "mit"
    assert {"stable-baselines3", "ppo", "PixelReach-v0"} <= {*read["tags"]}
    report = json.loads((run / "evaluation-gymnasium-3-stochastic-steps20.json").read_text())
    (result,) = read["model-index"][0]["results"]
    numbers = {metric["type"]: metric["value"] for metric in result["metrics"]}
    for name, key in [("mean", "mean"), ("std", "std"), ("min", "minimum"), ("p10", "p10")]:
        assert numbers[f"{name}_reward"] == round(report[key], 4)
    assert numbers["episodes"] == 3
    rows = [line.split(" | ") for line in card.splitlines() if line.startswith("| ")][2:]
    assert [(row[0].strip("| "), row[6]) for row in rows] == [
        ("deterministic", "2"),
        ("random", "3"),
        ("stochastic", "3"),
    ]
    assert rows[2][1:6] == [
        f"{report[key]:.4g}" for key in ("mean", "std", "minimum", "p10", "median")
    ]


def test_reports_of_another_agent_are_left_out(run):
    evaluate(run, 2)
    file = run / "evaluation-gymnasium-2-steps20.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), "timesteps": 99}))
    card = agent_card(run)
    assert "model-index" not in header(card)
    assert "license" not in header(card)
    assert "There is no evaluation on test episodes yet." in card


def test_every_evaluation_is_in_the_card_and_the_whole_test_episodes_are_its_metrics(run):
    evaluate_agent(run, 4, max_episode_steps=3, progress=False)
    evaluate_agent(run, 2, seed=77, progress=False)
    expected = evaluate_agent(run, 2, progress=False)
    card = agent_card(run)
    (result,) = header(card)["model-index"][0]["results"]
    numbers = {metric["type"]: metric["value"] for metric in result["metrics"]}
    assert numbers["mean_reward"] == round(expected.mean, 4)
    assert numbers["episodes"] == 2
    rows = [line.split(" | ") for line in card.splitlines() if line.startswith("| ")][2:]
    assert sorted((row[6], row[9], row[10].strip(" |")) for row in rows) == [
        ("2", "1000000", ""),
        ("2", "77", ""),
        ("4", "1000000", "3"),
    ]


def test_the_validation_is_no_test_result(run):
    store_validation(run, **RESULT)
    card = agent_card(run)
    assert "The validation that chose this checkpoint, on other episodes: 1.75 +- 0.75" in card
    assert "model-index" not in header(card)


def test_a_damaged_report_is_refused(run):
    evaluate(run, 2)
    (run / "evaluation-gymnasium-2-steps20.json").write_text('{"returns": [1, "two"]}')
    with pytest.raises(ValueError, match=r"returns in .*evaluation-gymnasium-2-steps20.json"):
        agent_card(run)


def test_a_pushed_agent_has_the_same_returns(run, hub):
    before = evaluate(run, 2)
    (run / "replay.gif").write_bytes(b"GIF89a")
    (run / "training.json").write_text("{}")
    assert push_agent(run, "ada/reach", private=True) == f"{hub.url}/ada/reach"
    files = list(hub.repos["ada/reach"].values())[-1]
    assert {*files} == {
        *("README.md", "best/agent.safetensors", "encoder/config.json"),
        *("encoder/model.safetensors", "evaluation-gymnasium-2-steps20.json", "replay.gif"),
    }
    assert "![One episode](replay.gif)" in files["README.md"].decode()
    folder = local_run(Path("hf://ada/reach"))
    assert folder == Path("runs/hub/ada/reach")
    downloaded = {str(path.relative_to(folder)) for path in folder.glob("*/*") if path.is_file()}
    assert downloaded == {"best/agent.safetensors", "encoder/model.safetensors"}
    assert evaluate(folder, 2) == before
    assert (folder / "evaluation-gymnasium-2-steps20.json").is_file()


def test_the_last_agent_takes_the_place_of_an_older_best_one(encoder, tmp_path, hub):
    best, last = (
        save_run(tmp_path / name, encoder, stack=stack) for stack, name in ((1, "a"), (2, "b"))
    )
    (last / "best").rename(last / "last")
    push_agent(best, "ada/reach")
    push_agent(last, "ada/reach")
    files = list(hub.repos["ada/reach"].values())[-1]
    assert files["best/agent.safetensors"] == (last / "last" / "agent.safetensors").read_bytes()


def test_the_card_has_the_metrics_of_the_encoder_and_its_page(run, hub):
    encoder = lrl.load(run / "encoder")
    encoder.metadata["factors"] = {"probe": {"agent_row": 0.5}}
    lrl.save(encoder, run / "encoder")
    (run / "latent.html").write_text("<html></html>")
    card = agent_card(run)
    assert "| R2 of a linear probe of the factor agent_row | 0.5 |" in card
    assert "[latent.html](latent.html) moves through the latents" in card
    push_agent(run, "ada/reach")
    assert "latent.html" in list(hub.repos["ada/reach"].values())[-1]


def test_a_repository_without_an_agent_is_refused(hub):
    hub.repos["ada/bert"] = {"a" * 40: {"config.json": b"{}"}}
    with pytest.raises(FileNotFoundError, match=r"hf://ada/bert has no best/agent.safetensors"):
        local_run(Path("hf://ada/bert"))
