"""Benchmarks of speed."""

from __future__ import annotations

import functools
import os
import subprocess
import sys

import pytest

from agents.train_config import TrainConfig
from scripts import benchmark
from scripts.studies import speed


def test_unknown_benchmark_lists_the_known_ones() -> None:
    with pytest.raises(
        ValueError,
        match="unknown benchmark 'novel'; known: busy, devices, encode, explorer, fit, memory, sp",
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


def test_busy_benchmark_measures_alone_and_beside_a_process(monkeypatch):
    started = []

    class Neighbour(subprocess.Popen):
        def __init__(self, command):
            started.append(self)
            super().__init__(command)

    monkeypatch.setattr(speed.subprocess, "Popen", Neighbour)
    monkeypatch.setattr(speed, "_training_rate", lambda agent, venv, repeats: 2.0)
    monkeypatch.setattr(speed, "_median_rate", lambda work, count, repeats: 3.0)
    rows = dict(speed.busy_rate(1))
    assert [name.partition(",")[2] for name in rows] == [" alone"] * 2 + [
        " beside a busy process"
    ] * 2
    assert list(rows.values()) == [3.0, 2.0] * 2
    assert len(started) == 1
    assert started[0].returncode is not None  # it has ended


@pytest.mark.parametrize("package", ["agents", "scripts"])
@pytest.mark.parametrize(
    ("own", "policy"), [({}, "PASSIVE"), ({"OMP_WAIT_POLICY": "ACTIVE"}, "ACTIVE")]
)
def test_waiting_threads_sleep_unless_the_user_decides(package, own, policy):
    code = (
        f"import {package}, os, sys; print(os.environ['OMP_WAIT_POLICY'], 'torch' in sys.modules)"
    )
    bare = {name: value for name, value in os.environ.items() if name != "OMP_WAIT_POLICY"}
    shown = subprocess.run(
        [sys.executable, "-c", code],
        env={**bare, **own},
        capture_output=True,
        text=True,
        check=True,
    )
    assert shown.stdout.split() == [policy, "False"]


def test_memory_benchmark_has_both_ways_of_processing(monkeypatch: pytest.MonkeyPatch) -> None:
    small = functools.partial(TrainConfig, n_envs=2, hyperparams=("n_steps:8", "batch_size:8"))
    monkeypatch.setattr(speed, "TrainConfig", small)
    taken = []
    removed = speed._timestep_by_timestep
    monkeypatch.setattr(
        speed, "_timestep_by_timestep", lambda model: taken.append(removed(model)) or None
    )
    rows = dict(speed.memory_rate(1))
    assert list(rows)[1:] == ["PPO with an LSTM", "PPO with an LSTM, timestep by timestep"]
    assert len(taken) == 1
    assert all(rate > 0 for rate in rows.values())


def test_sparse_benchmark_measures_each_stage(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("minigrid")
    monkeypatch.setattr(speed.importlib.util, "find_spec", lambda _: None)  # no EnvPool
    small = functools.partial(TrainConfig, n_envs=2, hyperparams=("n_steps:8", "batch_size:8"))
    monkeypatch.setattr(speed, "TrainConfig", small)
    rows = dict(speed.sparse_rate(1))
    stages = ("frames", "latents", "latents and bonus", "latents and bonus, PPO")
    assert list(rows) == [f"gymnasium, {stage}" for stage in stages]
    assert all(rate > 0 for rate in rows.values())
