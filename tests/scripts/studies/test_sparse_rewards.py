"""Studies of sparse rewards: what is run, kept and reported."""

from __future__ import annotations

import csv
import functools
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import scripts.studies.sparse_rewards.report as report
import scripts.studies.sparse_rewards.sparse_rewards as sparse
from agents.algorithms.base import PPO_LATENT
from agents.pretrain import PretrainConfig
from envs import make_env
from envs.make import Environment
from scripts.studies.sparse_rewards.sparse_rewards import TASKS, Run, Task, runs

TINY = functools.partial(PretrainConfig, frames=64, steps=3, latent_dim=4)

SUCCESSES = (0.0, 0.0, 0.3), (0.2, 0.3, 0.3)


@pytest.fixture
def tiny(tmp_path, monkeypatch):
    """Let studies be of one tiny task, in folders of their own."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sparse, "FOLDER", tmp_path / "runs")
    for module in (sparse, report):
        monkeypatch.setattr(module, "RESULTS", tmp_path / "results")
    monkeypatch.setattr(sparse, "PretrainConfig", TINY)
    monkeypatch.setattr(sparse, "UNSEEN_EPISODES", 4)
    monkeypatch.setitem(TASKS, "Tiny", Task("PixelReach-v0", 2_048, seeds=2))
    return tmp_path


def test_the_tasks_can_be_made():
    for task in TASKS.values():
        pytest.importorskip("minigrid")
        make_env(Environment(task.env)).close()


def test_runs_are_of_every_arm_and_seed():
    found = list(runs(["DoorKey-8x8"], seeds=2))
    assert [run.name for run in found] == [
        f"DoorKey-8x8/{arm}-{seed}" for arm in ("parts", "none") for seed in (0, 1)
    ]
    assert [run.arm for run in runs(["DoorKey-8x8"], ["rnd"])] == ["rnd"] * TASKS[
        "DoorKey-8x8"
    ].seeds
    assert {run.task for run in runs()} == set(TASKS)
    with pytest.raises(ValueError, match="unknown task 'Chess'; known: DoorKey-8x8, "):
        list(runs(["Chess"]))
    with pytest.raises(ValueError, match=r"unknown arm 'luck'; known: counts, .*, none"):
        list(runs(arms=["luck"]))
    with pytest.raises(ValueError, match="seeds must be at least 1, got 0"):
        list(runs(seeds=0))


@pytest.mark.filterwarnings("ignore:the latents have collapsed")  # of so little training
@pytest.mark.parametrize("arm", ["parts", "none"])
def test_a_run_leaves_its_curve_and_its_configuration(tiny, arm):
    file = sparse.perform(Run("Tiny", arm, 1))
    record = json.loads(file.read_text())
    training = {
        "env": "PixelReach-v0",
        "timesteps": 2_048,
        "novelty": None if arm == "none" else "parts",
        "seed": 1,
    }
    assert training.items() <= record["training"].items()
    assert record["decisions"] == 2_048
    assert (record["agent"]["algo"], record["agent"]["settings"]["n_envs"]) == (
        "ppo",
        PPO_LATENT["n_envs"],
    )
    assert (record["pretraining"]["frames"], record["pretraining"]["settings"]["steps"]) == (64, 3)
    assert record["encoder"]["latent_dim"] == 4
    assert {record[mode]["episodes"] for mode in ("deterministic", "stochastic")} == {4}
    rows = list(csv.DictReader(file.with_suffix(".csv").read_text().splitlines()))
    assert [row["decisions"] for row in rows] == ["2048"]
    assert bool(rows[0]["bonus"]) == (arm == "parts")
    before = file.stat().st_mtime_ns
    assert sparse.perform(Run("Tiny", arm, 1)) == file
    assert file.stat().st_mtime_ns == before


@pytest.mark.filterwarnings("ignore:the latents have collapsed")
def test_the_last_agent_of_dqn_is_evaluated_without_its_buffer(tiny, monkeypatch):
    monkeypatch.setitem(TASKS, "Tiny", Task("PixelReach-v0", 160, seeds=1, algo="dqn"))
    record = json.loads(sparse.perform(Run("Tiny", "none", 0)).read_text())
    assert record["stochastic"]["episodes"] == 4


def test_what_a_resumed_run_did_again_stands_once(tmp_path):
    head = "time/total_timesteps,rollout/ep_rew_mean\n"
    (tmp_path / "progress-000000000.csv").write_text(head + "100,0.1\n,0.3\n200,0.2\n300,0.9\n")
    (tmp_path / "progress-000000200.csv").write_text(head + "300,0.4\n")
    rows = sparse._logged(tmp_path)
    assert [(row["time/total_timesteps"], row["rollout/ep_rew_mean"]) for row in rows] == [
        ("100", "0.1"),
        ("200", "0.2"),
        ("300", "0.4"),
    ]


def test_the_interval_is_that_of_the_mean():
    values = np.random.default_rng(0).normal(3.0, 1.0, 200)
    low, high = report.interval(values)
    error = 1.96 * values.std() / np.sqrt(len(values))
    assert low == pytest.approx(values.mean() - error, abs=0.03)
    assert high == pytest.approx(values.mean() + error, abs=0.03)
    assert report.interval([0.5]) == (0.5, 0.5)


def test_long_curves_are_thinned_and_keep_their_end(tmp_path, monkeypatch):
    monkeypatch.setattr(sparse, "MOST_ROWS", 4)
    numbers = [str(number) for number in range(1, 11)]
    (tmp_path / "progress-000.csv").write_text("\n".join(["time/total_timesteps", *numbers]))
    sparse._write_curve(tmp_path, tmp_path / "curve.csv")
    rows = list(csv.DictReader((tmp_path / "curve.csv").read_text().splitlines()))
    assert [row["decisions"] for row in rows] == ["1", "4", "7", "10"]


def test_above_zero_means_that_the_interval_is():
    task = Task("PixelReach-v0", 1, goal=0.0)
    luck, skill = [
        [{mode: {"success": x} for mode in ("deterministic", "stochastic")} for x in xs]
        for xs in SUCCESSES
    ]
    assert report._verdict(task, "parts", luck) == ("success above 0", "**no**")
    assert report._verdict(task, "parts", skill) == ("success above 0", "yes")
    assert report._verdict(task, "none", skill) == ("", "")


def test_the_page_has_a_row_for_each_bonus_and_keeps_what_is_around(tiny, monkeypatch):
    pytest.importorskip("matplotlib")
    for arm, success in (("parts", 1.0), ("none", 0.0)):
        for seed in range(2):
            made = {"success": success, "return": success / 2, "episodes": 4}
            file = Run("Tiny", arm, seed).result
            file = tiny / "results" / "Tiny" / file.name
            file.parent.mkdir(parents=True, exist_ok=True)
            flags = {"env": "Tiny", "seed": seed, "novelty": arm}
            pretraining = {"frames": 64, "seconds": 1.0, "settings": {"beta": 1.0, "seed": seed}}
            record = {"decisions": 100, "agent": {"algo": "ppo"}, "encoder": {}, "training": flags}
            record |= {"pretraining": pretraining}
            file.write_text(json.dumps({**record, "deterministic": made, "stochastic": made}))
            file.with_suffix(".csv").write_text(
                "decisions,return,length,bonus\n50,,,\n60,0.1,3,\n100,0.2,3,\n"
            )
    monkeypatch.setattr(report, "DOCS", tiny)
    monkeypatch.setattr(report, "PAGE", tiny / "page.md")
    monkeypatch.setattr(report, "PICTURE", tiny / "curves.png")
    monkeypatch.setattr(report, "README", tiny / "README.md")
    for page in ("page.md", "README.md"):
        (tiny / page).write_text(f"before\n{report.BEGIN}\nold\n{report.END}\nafter\n")
    text = report.write_section().read_text()
    assert text.startswith("before\n")
    assert text.endswith(f"{report.END}\nafter\n")
    assert "old" not in text
    assert "| Tiny | parts | 2 | 164 | 1.00 (1.00 to 1.00) |" in text
    assert "| Tiny | none | 2 | 164 | 0.00 (0.00 to 0.00) |" in text
    assert (
        "| Tiny | 164 | **1.00 / 1.00 (2)** | 0.00 / 0.00 (2) |  |"
        in (tiny / "README.md").read_text()
    )
    assert (tiny / "curves.png").stat().st_size > 1_000
    drawn = (tiny / "curves.png").read_bytes()
    file.write_text(
        json.dumps({**record, "agent": {"algo": "dqn"}, "deterministic": made, "stochastic": made})
    )
    file.with_suffix(".csv").write_text("decisions,return,length,bonus\n50,0.9,,\n")
    with pytest.raises(ValueError, match="parts-0 and none-1 of Tiny differ"):
        report.write_section()
    assert (tiny / "curves.png").read_bytes() == drawn
    file.unlink()
    (tiny / "page.md").write_text("no lines")
    with pytest.raises(ValueError, match=r"page\.md lacks the lines '<!-- results"):
        report.write_section()


def test_agents_that_differ_in_more_than_seed_and_bonus_are_refused(tiny):
    def agents(arm: str, **other: Any) -> list[dict[str, Any]]:
        same = {"agent": 1, "encoder": 1, "pretraining": {"settings": {"beta": 1}}, **other}
        flags = [{"seed": seed, "novelty": arm, "novelty_weight": 1.0} for seed in range(2)]
        return [
            {**same, "training": each, "curve": Path(f"{arm}-{each['seed']}.csv")} for each in flags
        ]

    parts, none = agents("parts"), agents("none")
    report._check("Tiny", {"parts": parts, "none": none})
    report._check("Tiny", {})
    for key, value in {"agent": 2, "encoder": 2, "pretraining": {"settings": {"beta": 2}}}.items():
        with pytest.raises(
            ValueError,
            match="parts-0 and none-0 of Tiny differ in more than seed and bonus: delete",
        ):
            report._check("Tiny", {"parts": parts, "none": agents("none", **{key: value})})
    parts[1]["training"]["novelty_weight"] = 2.0
    with pytest.raises(
        ValueError, match="parts-0 and parts-1 of Tiny differ in more than seed and bonus: delete"
    ):
        report._check("Tiny", {"parts": parts, "none": none})


def test_a_tasks_own_bonuses_come_first_and_none_last(tiny, monkeypatch):
    monkeypatch.setitem(TASKS, "Tiny", Task("PixelReach-v0", 1, arms=("places", "parts", "none")))
    (tiny / "results" / "Tiny").mkdir(parents=True)
    for arm in ("counts", "none", "parts", "places"):
        (tiny / "results" / "Tiny" / f"{arm}-0.json").touch()
    assert report._arms("Tiny") == ["places", "parts", "counts", "none"]
