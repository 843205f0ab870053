"""The page of the study of sparse rewards."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from scripts.studies.sparse_rewards import report
from scripts.studies.sparse_rewards.tasks import Task
from tests.helpers import ROOT

pytest.importorskip("matplotlib")


def found(values: list[float]) -> list[dict[str, Any]]:
    modes = ("deterministic", "stochastic")
    return [{mode: {"success": value} for mode in modes} for value in values]


@pytest.mark.parametrize(
    ("values", "reached"), [([0.0, 0.0, 0.3], "**no**"), ([0.2, 0.3, 0.3], "yes")]
)
def test_goal_above_zero_is_about_the_interval(values: list[float], reached: str) -> None:
    task = Task("PixelReach-v0", 1, goal=0.0)
    assert report.verdict(task, "token_counts", found(values)) == ("success above 0", reached)


def test_agents_without_a_bonus_have_no_goal() -> None:
    assert report.verdict(Task("PixelReach-v0", 1), "none", found([1.0])) == ("", "")


def write_result(folder: Path, bonus: str, seed: int, success: float, **other: Any) -> None:
    evaluation = {"success": success, "return": success / 2, "episodes": 4}
    record = {
        "timesteps": 100,
        "agent": {"algo": "ppo", "environment": {"frame_skip": 2}},
        "encoder": {},
        "training": {"env": "Tiny", "seed": seed, "novelty": bonus},
        "pretraining": {"frames": 64, "seconds": 1.0, "config": {"beta": 1.0, "seed": seed}},
        "deterministic": evaluation,
        "stochastic": evaluation,
        **other,
    }
    file = folder / "results" / "Tiny" / f"{bonus}-{seed}.json"
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps(record))
    file.with_suffix(".csv").write_text("timesteps,return,length\n50,,\n60,0.1,3\n100,0.2,3\n")


@pytest.fixture
def page(tiny: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the page of a study with results of four agents."""
    monkeypatch.setattr(report, "PAGE", tiny / "results" / "page.md")
    monkeypatch.setattr(report, "PLOT", tiny / "images" / "returns.png")
    monkeypatch.setattr(report, "README", tiny / "README.md")
    (tiny / "README.md").write_text(f"before\n{report.BEGIN}\nold\n{report.END}\nafter\n")
    for bonus, success in (("token_counts", 1.0), ("none", 0.0)):
        for seed in range(2):
            write_result(tiny, bonus, seed, success)
    return tiny / "results" / "page.md"


def test_page_has_a_row_for_each_bonus(page: Path) -> None:
    assert report.write_page() == page
    text = page.read_text()
    assert "| Tiny | token_counts | 2 | 328 | 1.00 (1.00 to 1.00) |" in text
    assert "| Tiny | none | 2 | 328 | 0.00 (0.00 to 0.00) |" in text
    assert "](../images/returns.png)" in text
    assert report.PLOT.stat().st_size > 1_000


def test_one_agent_has_no_interval(page: Path, tiny: Path) -> None:
    for bonus in ("token_counts", "none"):
        (tiny / "results" / "Tiny" / f"{bonus}-1.json").unlink()
    assert "| Tiny | token_counts | 1 | 328 | 1.00 | 1.00 | 0.50 | 0.50 |" in (
        report.write_page().read_text()
    )


def test_readme_gets_the_short_table(page: Path) -> None:
    report.write_page()
    text = report.README.read_text()
    assert text.startswith("before\n")
    assert text.endswith(f"{report.END}\nafter\n")
    assert "old" not in text
    assert "| Tiny | 328 | token_counts | **1.00 / 1.00 (2)** | 0.00 / 0.00 (2) |  |" in text


def test_incomparable_results_leave_page_and_plot_as_they_are(page: Path, tiny: Path) -> None:
    report.write_page()
    before = page.read_bytes(), report.PLOT.read_bytes()
    write_result(tiny, "none", 1, 0.0, agent={"algo": "dqn"})
    with pytest.raises(ValueError, match="token_counts-0 of Tiny has algo=ppo"):
        report.write_page()
    assert (page.read_bytes(), report.PLOT.read_bytes()) == before


def test_results_of_before_are_comparable_where_their_settings_are_the_defaults(
    page: Path, tiny: Path
) -> None:
    agent = {"algo": "ppo", "environment": {"frame_skip": 2}, "encoder": "encoder"}
    training = {"env": "Tiny", "seed": 2, "novelty": "token_counts", "self_imitation": False}
    new = {"agent": {**agent, "scaled_actions": True}, "training": training}
    write_result(tiny, "token_counts", 2, 1.0, **new)
    report.write_page()
    assert "| Tiny | token_counts | 3 | 328 |" in page.read_text()
    write_result(tiny, "token_counts", 2, 1.0, training={**training, "self_imitation": True})
    with pytest.raises(ValueError, match="token_counts-0 of Tiny has self_imitation=False"):
        report.write_page()


def test_published_page_is_generated(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    published = report.PAGE.read_text(encoding="utf-8")
    plot = report.PLOT
    monkeypatch.setattr(report, "plot", lambda: plot)
    monkeypatch.setattr(report, "replace_section", lambda page, begin, text, end: page)
    pages: dict[Path, str] = {}
    monkeypatch.setattr(report, "write_text", pages.__setitem__)
    assert pages[report.write_page()] == published


def test_readme_has_the_published_short_table() -> None:
    table = report.markdown_table(report.SHORT, list(report.summary()))
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    assert f"{report.BEGIN}\n{table}\n{report.END}" in readme
