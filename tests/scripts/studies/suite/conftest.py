from __future__ import annotations

import pytest

from latentrl.utils.io import write_csv, write_json
from scripts.studies.suite import report, tasks
from scripts.studies.suite.tasks import LATENTS, RANDOM_ACTIONS, Run


@pytest.fixture
def results(tmp_path, monkeypatch):
    """An empty folder of results; the page and its plots go to the same place."""
    monkeypatch.setattr(tasks, "RESULTS", tmp_path / "results" / "suite")
    monkeypatch.setattr(report, "RESULTS", tmp_path / "results" / "suite")
    monkeypatch.setattr(report, "NOTES", tmp_path / "results" / "suite" / "notes.txt")
    monkeypatch.setattr(report, "PAGE", tmp_path / "results" / "suite.md")
    monkeypatch.setattr(report, "PLOTS", tmp_path / "images" / "suite")
    return tmp_path


@pytest.fixture
def write(results):
    """Write the result of a run whose return grows linearly to ``final`` at the end."""

    def write_result(
        env, arm, seed, final=1.0, minutes=8.0, frames=4_000, changing=0.7, novelty=False, run=None
    ):
        run = run or Run(env, arm, seed)
        run.result.parent.mkdir(parents=True, exist_ok=True)
        evaluation = {"mean": final, "returns": [final]}
        record = {"minutes": minutes, "machine": "one core", "stochastic": evaluation}
        record["run"] = {"env": env, "arm": arm, "seed": seed}
        if arm != RANDOM_ACTIONS:
            quality = {"changing": changing, "explained": 0.9, "lost_detail": 0.1}
            seconds, collected = (60.0, 1_000) if arm == LATENTS else (0.0, 0)
            record |= {
                "deterministic": {"mean": final - 1, "returns": [final - 1]},
                "pretraining": {"seconds": seconds, "frames": collected, "quality": quality},
                "timesteps": 48_000,
                "training_minutes": 8.0,
                "novelty": novelty,
            }
            rows = [[frames * i / 4, 120.0 * i, final * i / 4] for i in range(1, 5)]
            columns = ("env_frames", "seconds", "return")
            write_csv(run.result.with_suffix(".csv"), [columns, *rows])
        write_json(run.result, record)

    return write_result
