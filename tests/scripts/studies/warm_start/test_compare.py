"""The comparison of initial weights, in small, and its page."""

from __future__ import annotations

import pytest

from scripts.studies import core, warm_start
from scripts.studies.core import Result
from scripts.studies.warm_start import WarmStart, compare


@pytest.mark.filterwarnings("ignore:the latents have collapsed")
def test_the_page_has_a_table_for_each_metric(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(core.Result, "folder", tmp_path)
    monkeypatch.setattr(compare, "FRAMES", 60)
    monkeypatch.setattr(compare, "WARM_STEPS", 2)
    monkeypatch.setattr(compare, "STEPS", 3)
    monkeypatch.setattr(WarmStart, "parts", {"reach": warm_start.part("PixelReach-v0")})
    WarmStart().run()
    study = Result("warm_start", "reach").read()
    assert [len(row.baselines) for row in study.rows] == [3] * 4
    assert len(study.images) == 1
    page = WarmStart().write_page().read_text()
    assert "| reach |" in page
    assert page.count("\n## ") == len(study.rows)
