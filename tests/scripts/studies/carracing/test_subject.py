from __future__ import annotations

import pytest

from latentrl.utils.io import write_json
from scripts.studies.carracing import arms, subject
from scripts.studies.carracing.arms import RECIPE, Run
from scripts.studies.carracing.subject import CarRacing


@pytest.mark.parametrize("probed", [True, False])
def test_runs_with_a_result_are_not_repeated(tmp_path, monkeypatch, capsys, probed):
    monkeypatch.setattr(arms, "RESULTS", tmp_path)
    write_json(Run(RECIPE, 0).result, {})
    monkeypatch.setattr(
        subject, "each_in_a_process", lambda _, calls, jobs: [(call, jobs) for call in calls]
    )
    monkeypatch.setattr(subject, "probe_encoders", lambda: probed)
    CarRacing(arm=(RECIPE, "pixels"), seeds=2, jobs=0).run()
    lines = capsys.readouterr().out.splitlines()
    assert [line.partition(": /")[0] for line in lines[:3]] == [
        "1 of 3: pixels-0",
        "2 of 3: recipe-1",
        "3 of 3: pixels-1",
    ]
    assert ("no probe of the encoders: the run recipe-0 has no agent here" in lines) != probed


def test_a_failure_names_its_log(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(arms, "RESULTS", tmp_path)
    monkeypatch.setattr(
        subject, "each_in_a_process", lambda _, calls, jobs: [(call, 1) for call in calls]
    )
    CarRacing(arm=("pca",), seeds=1).run()
    assert "1 of 1: pca-0: FAILED, see" in capsys.readouterr().out
