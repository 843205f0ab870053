from __future__ import annotations

import pytest

from scripts.studies.suite import report
from scripts.studies.suite.records import records
from scripts.studies.suite.report import goals, write_page
from scripts.studies.suite.tasks import ENVS, LATENTS, PIXELS, RANDOM_ENCODER, runs

PONG = "ALE/Pong-v5"


def test_partial_results_are_called_so(write):
    write(PONG, LATENTS, 0, final=5.0)
    write(PONG, LATENTS, 1, final=6.0)
    page = write_page().read_text()
    assert "| 2 of 3 / 0 of 3 / 0 of 2 |" in page
    assert "| ALE/Pong-v5 | 5.5 |" in page  # the better mode
    assert page.count("not all runs are finished") == 4
    assert "ALE/Breakout-v5" not in page
    assert "| ALE/Pong-v5 | 0.7 | 0.9 | 0.1 | 60 | 1,000 | 100 |  |" in page
    for axis in ("seconds", "env_frames"):
        assert (report.PLOTS / f"{axis}.png").is_file()


@pytest.mark.parametrize(("pixels", "verdicts"), [(1.0, ["yes"] * 4), (9.0, ["**no**"] * 2)])
def test_goals_of_all_runs(write, pixels, verdicts):
    finals = {LATENTS: 5.0, PIXELS: pixels, RANDOM_ENCODER: 0.0}
    for run in runs():
        write(run.env, run.arm, run.seed, final=finals.get(run.arm, 0.0))
    rows = list(goals({env: records(env) for env in ENVS}))
    assert [row[2] for row in rows][: len(verdicts)] == verdicts
    ahead = "12 of 12" if pixels < 5 else "0 of 12"
    assert rows[0][1] == ahead
    assert rows[2][1] == "12 of 12"


def test_ablations_are_compared_with_the_same_seed(write):
    for seed, final in ((0, 5.0), (1, 50.0)):
        write(PONG, LATENTS, seed, final=final)
    assert "## With one default changed" not in write_page().read_text()
    write(PONG, "refined", 0, final=2.0)
    write(PONG, "general", 1, final=10.0)
    at_the_end, on_average = write_page().read_text().split("mean return from the start")
    assert "| ALE/Pong-v5 | 40 (one run) |  | 3 (one run) |  |" in at_the_end
    (row,) = [line for line in on_average.splitlines() if line.count("(one run) |") == 2]
    general, refined = (float(cell.split()[0]) for cell in row.split(" | ") if "(" in cell)
    assert 0 < general < 40
    assert 0 < refined < 3


def test_runs_that_kept_the_bonus_are_named(write):
    write(PONG, LATENTS, 0)
    write(PONG, PIXELS, 0)
    assert "novelty bonus" not in write_page().read_text()
    write(PONG, LATENTS, 1, novelty=True)
    assert "These runs kept it: ALE/Pong-v5 (1 of 2 on latents)." in write_page().read_text()


def test_notes_follow_the_goals(write):
    write(PONG, PIXELS, 0)
    report.NOTES.write_text("Pong is short.\n")
    page = write_page().read_text()
    assert page.index("## Goals") < page.index("Pong is short.") < page.index("## Returns")


def test_differences_of_both_controls_and_both_axes(write):
    for arm, final in ((LATENTS, 5.0), (PIXELS, 3.0), (RANDOM_ENCODER, 4.5)):
        write(PONG, arm, 0, final=final)
    row = "| ALE/Pong-v5 | 2 (one run) | 2 (one run) | 0.5 (one run) | 0.5 (one run) |"
    assert row in write_page().read_text()


def test_no_results(results):
    with pytest.raises(ValueError, match=r"no results in .*: run python scripts/study.py suite"):
        write_page()
