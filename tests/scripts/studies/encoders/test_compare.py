"""Comparisons of encoders, in small, and their pages."""

from __future__ import annotations

import dataclasses

import pytest

from scripts.studies import core
from scripts.studies.core import Result
from scripts.studies.encoders import Rate, WarmStart, compare
from scripts.studies.encoders.comparison import part


@pytest.mark.filterwarnings("ignore:the latents have collapsed")
@pytest.mark.parametrize("subject", [WarmStart, Rate])
def test_the_page_has_a_table_for_each_metric(subject, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(core.Result, "folder", tmp_path)
    monkeypatch.setattr(compare, "FRAMES", 60)
    arms = [dataclasses.replace(arm, steps=min(arm.steps, 2)) for arm in subject.arms]
    monkeypatch.setattr(subject, "parts", {"reach": part("PixelReach-v0", arms)})
    subject().run()
    study = Result(subject.name, "reach").read()
    assert [list(row.baselines) for row in study.rows] == [[arm.name for arm in arms[1:]]] * 5
    assert len(study.images) == any(arm.shown for arm in arms)
    page = subject().write_page().read_text()
    assert f"| environment | {' | '.join(arm.name for arm in arms)} |" in page
    assert "| reach |" in page
    assert page.count("\n## ") == len(study.rows)
