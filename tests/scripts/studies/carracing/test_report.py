from __future__ import annotations

import numpy as np
import pytest

from latentrl.utils.io import read_json, write_csv, write_json
from scripts.studies.carracing import arms, report
from scripts.studies.carracing.arms import RECIPE, SHORT, Run
from scripts.studies.carracing.report import write_page
from scripts.studies.carracing.transfer import COLOURS, KEY


@pytest.fixture
def write(tmp_path, monkeypatch):
    """Write the result of a run whose tracks have the returns ``mean - 1`` and ``mean + 1``."""
    for module in (arms, report):
        monkeypatch.setattr(module, "RESULTS", tmp_path / "results")
    monkeypatch.setattr(report, "NOTES", tmp_path / "results" / "notes.txt")
    monkeypatch.setattr(report, "FILE", tmp_path / "results" / "probe.json")
    monkeypatch.setattr(report, "PAGE", tmp_path / "carracing.md")
    monkeypatch.setattr(report, "PLOTS", tmp_path / "images")

    def write_result(arm, seed, mean):
        run = Run(arm, seed)
        run.result.parent.mkdir(parents=True, exist_ok=True)
        rows = [[4_000 * i, 120.0 * i, mean * i / 4] for i in range(1, 5)]
        write_csv(run.result.with_suffix(".csv"), [("env_frames", "seconds", "return"), *rows])
        record = {
            "run": {"arm": arm, "seed": seed},
            "machine": "one core",
            "pretraining": {"seconds": 60.0, "frames": 8_000, "quality": {"changing": 0.5}},
            "timesteps": 4_000,
            "evaluation": {
                "backend": "drawn",
                "returns": [mean - 1.0, mean + 1.0],
                "stochastic": [7.0],
            },
        }
        write_json(run.result, record)

    return write_result


@pytest.mark.parametrize(("mean", "verdict"), [(910, "reaches"), (905, "**misses**")])
def test_the_goal(write, mean, verdict):
    write(RECIPE, 0, mean)
    page = write_page().read_text()
    assert f"The recipe {verdict} the goal of 906" in page
    assert f"{mean} over 1 of 3 seeds, 0 of 100 tracks lost" in page
    assert (
        f"| 0 | {mean} | 1 | {mean - 1} | {mean - 1} | {mean} | 0 | 7 | 4,000 | 16,000 | 8 |"
        in page
    )
    assert "## Controls" not in page


def test_a_lost_track_misses_the_goal(write):
    write(RECIPE, 0, 5_000)
    write(RECIPE, 1, 499)
    assert "misses" in write_page().read_text()


def test_controls_that_do_as_well_come_first(write):
    for seed in range(3):
        write(SHORT, seed, 800 + seed)
        write("pixels", seed, 300 + seed)
        write("random encoder", seed, 801 + seed)
    page = write_page().read_text()
    assert "ahead of, of those with more than one run: random encoder.\n" in page
    assert page.index("not clearly ahead") < page.index("## Controls")
    assert "500 (499 to 501) ahead |" in page
    for axis in ("seconds", "env_frames"):
        assert (report.PLOTS / f"{axis}.png").is_file()


def test_one_run_shows_no_order(write):
    write(SHORT, 0, 800)
    write("pixels", 0, 300)
    found = {arm: [report.Record.read(Run(arm, 0).result)] for arm in (SHORT, "pixels")}
    assert report.difference(found, "pixels").verdict == "open"
    assert np.isinf(report.difference(found, "pixels").low)
    assert "| 500 (one run) |" in write_page().read_text()


def test_other_colours_stand_beside_the_own_ones(write):
    write(SHORT, 0, 800)
    write("pixels", 0, 400)
    assert "## Other colours" not in write_page().read_text()
    record = read_json(Run(SHORT, 0).result)
    write_json(Run(SHORT, 0).result, {**record, KEY: {key: [600.0, 680.0] for key in COLOURS}})
    page = write_page().read_text()
    assert "| short recipe | 0 | 800 |" + " 640 (0.80) |" * len(COLOURS) in page
    assert "| pixels | 0 | 400 |" not in page


def test_a_probe_stands_beside_the_returns(write):
    arms = (SHORT, "random encoder", "pca", "ae", "vector")
    for number, arm in enumerate(arms):
        write(arm, 0, 100 * number)
    scores = {arm: {"speed": 0.1 * i, "heading": -0.1 * i} for i, arm in enumerate(arms)}
    write_json(report.FILE, scores)
    page = write_page().read_text()
    assert "| ae | 0.30 | -0.30 |" in page
    assert "| correlation with the return | 1.00 | -1.00 |" in page


def test_no_results(write):
    with pytest.raises(ValueError, match=r"no results in .*study.py carracing"):
        write_page()
