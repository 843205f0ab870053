"""Studies are kept on disk, printed and put on a page as they were measured; their helpers against
brute force."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import scripts.studies.core as study_module
import scripts.studies.report as report
from agents.algorithms.base import PPO_MINIGRID, TUNED
from latentrl.utils.registry import Registry
from scripts import benchmark
from scripts.studies import OF_AGENTS, STUDIES, speed
from scripts.studies.autoencoders.data import psnr
from scripts.studies.autoencoders.hashing import _changes, _nearest
from scripts.studies.autoencoders.restoration import _holes
from scripts.studies.core import Row, Study, Table, question, run
from scripts.studies.report import print_study, write_page
from tests.helpers import ROOT


@pytest.fixture
def counted(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[int]:
    calls: list[int] = []
    registry: Registry[Study] = Registry("study")

    @registry.register("tiny")
    def tiny() -> Study:
        """One figure, one table, one picture."""
        calls.append(1)
        picture = np.arange(48, dtype=np.uint8).reshape(4, 4, 3)
        table = Table("A table", ["name", "value"], [["a", "1"]])
        rows = [
            Row("a figure", 1.5, {"other": 0.25}, "above 1", True),
            Row("another", 0.5, goal="above 1", reached=False),
        ]
        return Study(rows, [table], {"A picture": picture})

    monkeypatch.setattr(study_module, "STUDIES", registry)
    monkeypatch.setattr(study_module, "FOLDER", tmp_path / "runs")
    monkeypatch.setattr(report, "PAGE", tmp_path / "docs" / "page.md")
    monkeypatch.setattr(report, "PICTURES", tmp_path / "docs" / "images")
    return calls


def test_a_study_is_made_once_and_read_back_as_it_was(counted: list[int]) -> None:
    first, again = run("tiny"), run("tiny")
    assert len(counted) == 1
    assert (again.rows, again.tables) == (first.rows, first.tables)
    np.testing.assert_array_equal(again.pictures["A picture"], first.pictures["A picture"])
    run("tiny", fresh=True)
    assert len(counted) == 2


def test_print_and_page_say_what_was_missed(counted: list[int], capsys: Any) -> None:
    study = run("tiny")
    print_study("tiny", study)
    printed = capsys.readouterr().out
    assert "reached: above 1" in printed
    assert "MISSED: above 1" in printed
    page = write_page({"tiny": study}).read_text()
    assert "| another | 0.500 |  | above 1 | **no** |" in page
    assert "![A picture](images/tiny-0.png)" in page
    assert (report.PICTURES / "tiny-0.png").exists()


def test_every_study_says_what_it_asks_and_stands_on_the_page() -> None:
    page = (ROOT / "docs" / "autoencoders.md").read_text()
    for name in STUDIES:
        assert question(name)
        assert (question(name) in page) == (name not in OF_AGENTS)


def test_an_unknown_study_is_named() -> None:
    with pytest.raises(ValueError, match="unknown study 'magic'; known: anomaly, "):
        run("magic")


def test_psnr_counts_only_where_asked() -> None:
    clean, images = np.zeros((1, 4, 4, 1), np.uint8), np.zeros((1, 4, 4, 1), np.uint8)
    images[0, 0, 0] = 255
    assert psnr(images, clean) == pytest.approx(10 * np.log10(16))
    where = np.zeros((1, 4, 4), bool)
    where[0, 0, :2] = True
    assert psnr(images, clean, where) == pytest.approx(10 * np.log10(2))


def test_holes_are_single_boxes_of_the_stated_sizes() -> None:
    holes = _holes(np.zeros((50, 40, 30, 3), np.uint8), np.random.default_rng(0))
    for hole in holes:
        rows, columns = np.flatnonzero(hole.any(1)), np.flatnonzero(hole.any(0))
        assert hole.sum() == len(rows) * len(columns)
        assert 8 <= len(rows) <= 20
        assert 6 <= len(columns) <= 15


def test_nearest_by_brute_force() -> None:
    rng = np.random.default_rng(0)
    index, queries = rng.random((40, 16)) > 0.5, rng.random((3, 16)) > 0.5
    for query, found in zip(queries, _nearest(index, queries), strict=True):
        distances = [(query != row).sum() for row in index]
        assert sorted(distances)[:10] == [distances[i] for i in found]


def test_changes_are_measured_in_the_factors_spread() -> None:
    class Shifted:
        latent_dim = 1

        def encode(self, images: Any) -> Any:
            self.images = images
            return np.zeros((len(images), 1), np.float32)

        def decode(self, codes: Any) -> Any:
            return np.roll(self.images, 2 if codes[0, 0] > 0 else -2, axis=2)

    images = np.zeros((4, 32, 32, 1), np.uint8)
    images[:, 12:20, 14:18] = 255
    changes = _changes(Shifted(), images, np.ones(1))  # type: ignore[arg-type]
    assert changes["x"] > 0.5
    assert changes["area"] == changes["y"] == changes["angle"] == 0


def test_an_unknown_benchmark_is_named() -> None:
    with pytest.raises(
        ValueError,
        match="unknown benchmark 'novel'; known: speed, encode, fit, sparse, step, autoe",
    ):
        benchmark.main(benchmark.BenchmarkConfig("novel"))


def test_speed_on_sparse_tasks_is_of_every_part(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("minigrid")
    monkeypatch.setattr(speed.importlib.util, "find_spec", lambda _: None)
    monkeypatch.setitem(
        TUNED,
        ("MiniGrid-", "ppo", True),
        {**PPO_MINIGRID, "n_envs": 2, "n_steps": 8, "batch_size": 8},
    )
    rows = dict(speed.sparse_rate(1))
    assert list(rows) == [
        f"gymnasium, {what}"
        for what in ("frames", "codes", "codes and bonus", "codes and bonus, PPO")
    ]
    assert all(rate > 0 for rate in rows.values())
