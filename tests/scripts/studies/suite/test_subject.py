from __future__ import annotations

import pytest

from scripts.studies.suite import subject
from scripts.studies.suite.subject import Suite

PONG = "ALE/Pong-v5"


@pytest.fixture
def performed(results, monkeypatch):
    """The runs that the study performs, none of them really; pixels fail."""
    calls = []

    def each(function, arguments, jobs):
        calls.extend(arguments)
        return [(one, int(one[0].arm == "pixels")) for one in arguments]

    monkeypatch.setattr(subject, "each_in_a_process", each)
    return calls


def test_runs_with_a_result_are_not_repeated(performed, write, capsys):
    write(PONG, "latents", 0)
    Suite(env=(PONG,), arm=("latents", "pixels"), seeds=2, minutes=5.0).run()
    assert [(run.name, minutes) for run, minutes, _ in performed] == [
        ("ALE_Pong-v5/pixels-0", 5.0),
        ("ALE_Pong-v5/latents-1", 5.0),
        ("ALE_Pong-v5/pixels-1", 5.0),
    ]
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("1 of 3: ALE_Pong-v5/pixels-0: FAILED, see ")
    assert lines[1].endswith("latents-1.json")


def test_random_encoders_begin_after_all_pretrained_ones(performed, monkeypatch):
    stages = []

    def each(function, arguments, jobs):
        stages.append([run.name.partition("/")[2] for run, *_ in arguments])
        return [(one, 0) for one in arguments]

    monkeypatch.setattr(subject, "each_in_a_process", each)
    Suite(env=(PONG,), arm=("latents", "random_encoder"), jobs=8).run()
    assert stages == [
        ["latents-0", "latents-1", "latents-2"],
        [f"random_encoder-{i}" for i in (0, 1)],
    ]


def test_minutes_are_positive(performed):
    with pytest.raises(ValueError, match=r"minutes must be above 0, got -1"):
        Suite(minutes=-1.0).run()
    assert performed == []
