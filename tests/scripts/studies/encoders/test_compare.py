"""Comparisons of encoders, in small, and their pages."""

from __future__ import annotations

import pytest

from scripts.studies import core
from scripts.studies.core import Result
from scripts.studies.encoders import Rate, WarmStart, compare
from scripts.studies.encoders.compare import Arm
from scripts.studies.encoders.comparison import part

SMALL = (
    Arm("first", 2, shown=True),
    Arm("fresh", 3, {"from_scratch": True}),
    Arm("none", 0),
    Arm("learned", 2, {"beta": 1.0}, ("likelihood={name: gaussian, learned: true}",)),
)


@pytest.mark.filterwarnings("ignore:the latents have collapsed")
@pytest.mark.parametrize("subject", [WarmStart, Rate])
def test_the_page_has_a_table_for_each_metric(subject, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(core.Result, "folder", tmp_path)
    monkeypatch.setattr(compare, "FRAMES", 60)
    monkeypatch.setattr(subject, "arms", SMALL)
    monkeypatch.setattr(subject, "parts", {"reach": part("PixelReach-v0", SMALL)})
    subject().run()
    study = Result(subject.name, "reach").read()
    assert [list(row.baselines) for row in study.rows] == [["fresh", "none", "learned"]] * 5
    assert len(study.images) == 1
    page = subject().write_page().read_text()
    assert "| environment | first | fresh | none | learned |" in page
    assert "| reach |" in page
    assert page.count("\n## ") == len(study.rows)
