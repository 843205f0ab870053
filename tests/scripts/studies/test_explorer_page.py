"""The benchmark of the explorer's page."""

from __future__ import annotations

import shutil

import pytest

import latentrl as lrl
from scripts import benchmark
from scripts.studies import explorer_page


def small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(explorer_page, "FRAMES", 20)
    model = lrl.vae((64, 64, 3), latent_dim=3, backbone={"name": "mlp", "hidden": (8,)})
    monkeypatch.setattr(explorer_page, "_models", lambda: [("small", model)])


def test_without_a_browser_size_and_time_of_writing_are_measured(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    small(monkeypatch)
    monkeypatch.setattr(shutil, "which", lambda _: None)
    benchmark.main(benchmark.BenchmarkConfig("explorer", repeats=1))
    lines = capsys.readouterr().out.split("\n")[1:-1]
    assert lines[0] == "explorer: kB or ms, median of 1"
    assert [line.split("  ")[1] for line in lines[1:]] == ["small: size (kB)", "small: write (ms)"]


@pytest.mark.slow
def test_the_networks_are_measured_in_chromium(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("selenium")
    if not (shutil.which("chromium") and shutil.which("chromedriver")):
        pytest.skip("needs Chromium and its driver")
    small(monkeypatch)
    rows = dict(explorer_page.explorer_page(3))
    assert [*rows][2:] == ["small: decode in Chromium (ms)", "small: encode in Chromium (ms)"]
    assert rows["small: decode in Chromium (ms)"] >= 0
