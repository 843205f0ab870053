"""Runs of the study of sparse rewards: what they train, keep and resume."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest

from scripts.studies.sparse_rewards import perform
from scripts.studies.sparse_rewards.tasks import TASKS, Run, Task

HEAD = "time/total_timesteps,rollout/ep_rew_mean\n"


@pytest.mark.filterwarnings(
    "ignore:.*(collapsed|encoder may miss|return has not risen)"
)  # after so few steps
@pytest.mark.parametrize("bonus", [pytest.param("token_counts", marks=pytest.mark.slow), "none"])
def test_run_keeps_its_curve_and_its_configuration(tiny: Path, bonus: str) -> None:
    file = perform.perform(Run("Tiny", bonus, 1))
    record = json.loads(file.read_text())
    training = {
        "env": "PixelReach-v0",
        "timesteps": 2_048,
        "novelty": None if bonus == "none" else bonus,
        "seed": 1,
    }
    assert training.items() <= record["training"].items()
    assert record["run"] == {"task": "Tiny", "bonus": bonus, "seed": 1}
    assert record["timesteps"] == 2_048
    assert record["agent"]["algo"] == "ppo"
    assert record["agent"]["hyperparameters"]["timesteps"] == 2_048
    assert 64 <= record["pretraining"]["frames"] <= 128
    assert record["pretraining"]["config"]["steps"] == 3
    assert record["encoder"]["latent_dim"] == 4
    assert {record[mode]["episodes"] for mode in ("deterministic", "stochastic")} == {4}
    rows = list(csv.DictReader(file.with_suffix(".csv").read_text().splitlines()))
    assert [row["timesteps"] for row in rows] == ["2048"]
    assert bool(rows[0]["intrinsic_reward"]) == (bonus != "none")
    before = file.stat().st_mtime_ns
    assert perform.perform(Run("Tiny", bonus, 1)) == file
    assert file.stat().st_mtime_ns == before  # a finished run is not repeated


@pytest.mark.filterwarnings("ignore:.*(collapsed|encoder may miss|return has not risen)")
def test_last_checkpoint_of_dqn_is_evaluated(tiny: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(TASKS, "Tiny", Task("PixelReach-v0", 160, seeds=1, algo="dqn"))
    record = json.loads(perform.perform(Run("Tiny", "none", 0)).read_text())
    assert record["stochastic"]["episodes"] == 4


def test_long_curves_are_thinned_and_keep_their_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(perform, "MOST_ROWS", 4)
    numbers = [str(number) for number in range(1, 101)]
    (tmp_path / "progress-000.csv").write_text("\n".join(["time/total_timesteps", *numbers]))
    perform.write_curve(tmp_path, tmp_path / "curve.csv")
    rows = list(csv.DictReader((tmp_path / "curve.csv").read_text().splitlines()))
    timesteps = [int(row["timesteps"]) for row in rows]
    assert len(timesteps) == 4
    assert timesteps[-1] == 100
    assert timesteps == sorted(timesteps)


def test_short_curves_are_kept_whole(tmp_path: Path) -> None:
    (tmp_path / "progress-000.csv").write_text(HEAD + "100,0.1\n200,0.2\n")
    perform.write_curve(tmp_path, tmp_path / "curve.csv")
    lines = (tmp_path / "curve.csv").read_text().splitlines()
    assert lines == [",".join(perform.CURVE), "100,0.1,,,", "200,0.2,,,"]


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:.*(collapsed|encoder may miss|return has not risen)")
def test_a_random_encoder_shares_the_network_and_costs_no_frames(
    tiny: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in (False, True):
        task = Task("PixelReach-v0", 1_024, untuned=True, random_encoder=name)
        monkeypatch.setitem(TASKS, f"Tiny-{name}", task)
    trained, random = (
        json.loads(perform.perform(Run(f"Tiny-{name}", "none", 0)).read_text())
        for name in (False, True)
    )
    assert random["encoder"] == trained["encoder"]
    assert random["pretraining"]["config"] == trained["pretraining"]["config"]
    assert (random["pretraining"]["frames"], random["training"]["untuned"]) == (0, True)
    assert random["training"]["vae"] == trained["training"]["vae"] + "-random"
