"""scripts/evaluate_agent.py prints the returns of its episodes, and where they are kept."""

from __future__ import annotations

import os

import pytest

import latentrl as lrl
from tests.agents.small import save_run
from tests.scripts.running import script


def evaluate(folder, *flags):
    return script(folder, "evaluate_agent", "--agent", "run", "--episodes", "3", *flags)


def test_returns_are_printed_where_no_report_can_be_written(tmp_path, monkeypatch):
    run = save_run(tmp_path / "run", lrl.random((32, 32, 3), latent_dim=6).eval())
    done = evaluate(tmp_path)
    report = "every episode: run/evaluation-gymnasium-3.json"
    assert done.code in (0, None)
    assert report in done.out
    (line,) = (line for line in done.out.splitlines() if line.startswith("extrinsic return: "))

    def fail(*_):
        raise OSError(30, "Read-only file system")

    (run / "evaluation-gymnasium-3.json").write_text('{"returns": [1.0]}')
    monkeypatch.setattr(os, "fsync", fail)
    with pytest.warns(UserWarning, match="has no report: .* cannot be written.*: Read-only file"):
        done = evaluate(tmp_path)
    assert done.code in (0, None)
    assert line in done.out
    assert report not in done.out, "it has the returns of other episodes"
