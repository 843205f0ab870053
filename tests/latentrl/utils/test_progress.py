"""Progress bars print a few lines to a log file, or nothing."""

from __future__ import annotations

import pytest

from latentrl.utils import progress
from latentrl.utils.progress import LOG_INTERVAL, progress_bar


def test_a_log_file_gets_few_lines(capsys: pytest.CaptureFixture[str]) -> None:
    with progress_bar(100, 40, "training", "step", show=True) as bar:
        assert bar.mininterval == LOG_INTERVAL
        for _ in range(60):
            bar.update(1)
    text = capsys.readouterr().err
    assert "training: 100%" in text
    assert "100/100" in text
    assert text.count("\r") <= 3


def test_a_hidden_bar_prints_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    with progress_bar(2, 0, "training", "step", show=False) as bar:
        bar.update(2)
    assert capsys.readouterr().err == ""


def test_a_nested_bar_appears_late_and_is_cleared(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for delay, texts in ((60.0, 0), (1e-9, 1)):
        monkeypatch.setattr(progress, "NESTED_DELAY", delay)
        monkeypatch.setattr(progress, "LOG_INTERVAL", 0.0)
        with progress_bar(2, 0, "validating", "episode", show=True, nested=True) as bar:
            bar.update(0)
        text = capsys.readouterr().err
        assert text.count("validating:   0%") == texts
        assert text.rpartition("\r")[2] == ""
