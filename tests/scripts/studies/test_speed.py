"""Benchmarks of speed."""

from __future__ import annotations

import functools

import pytest

from agents.train_config import TrainConfig
from scripts import benchmark
from scripts.studies import speed


def test_unknown_benchmark_lists_the_known_ones() -> None:
    with pytest.raises(
        ValueError, match="unknown benchmark 'novel'; known: encode, fit, sparse, step"
    ):
        benchmark.main(benchmark.BenchmarkConfig("novel"))


def test_benchmark_prints_a_rate_for_each_row(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(
        speed.BENCHMARKS._parts, "fit", lambda repeats: [("a row", 1000.0 * repeats)]
    )
    benchmark.main(benchmark.BenchmarkConfig("fit", repeats=3))
    output = capsys.readouterr().out
    assert "fit: frames/s, median of 3" in output
    assert "a row" in output
    assert "3,000" in output


def test_sparse_benchmark_measures_each_stage(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("minigrid")
    monkeypatch.setattr(speed.importlib.util, "find_spec", lambda _: None)  # no EnvPool
    small = functools.partial(TrainConfig, n_envs=2, hyperparams=("n_steps:8", "batch_size:8"))
    monkeypatch.setattr(speed, "TrainConfig", small)
    rows = dict(speed.sparse_rate(1))
    stages = ("frames", "latents", "latents and bonus", "latents and bonus, PPO")
    assert list(rows) == [f"gymnasium, {stage}" for stage in stages]
    assert all(rate > 0 for rate in rows.values())
