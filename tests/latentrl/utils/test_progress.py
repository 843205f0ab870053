"""Progress bars print a few lines to a log file, or nothing."""

from __future__ import annotations

import pytest

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
