"""Records: an interrupted part continues with the cases that are missing."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from scripts.studies.reliability.extent import Extent
from scripts.studies.reliability.record import record_of, recorded


@dataclass(frozen=True)
class Found:
    """An outcome."""

    number: int


@pytest.fixture
def run(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)

    def run(extent, fail_at=None):
        ran = []

        def case(number):
            if number == fail_at:
                raise KeyboardInterrupt
            ran.append(number)
            return Found(number)

        try:
            found = list(recorded("part", extent, Found, case))
        except KeyboardInterrupt:
            found = None
        return ran, found

    return run


def test_only_what_is_missing_runs(run):
    every = [Found(number) for number in range(5)]
    assert run(Extent(5, 3), fail_at=2) == ([0, 1], None)
    with record_of("part", 3).open("a") as lines:
        lines.write('[2, {"num')  # a kill in the middle of a line
    assert run(Extent(2, 4)) == ([0, 1], every[:2])
    assert run(Extent(5, 3)) == ([2, 3, 4], every)
    assert run(Extent(5, 3)) == ([0, 1, 2, 3, 4], every)


def test_a_single_case_has_no_record(run):
    assert run(Extent(5, 3, 4)) == ([4], [Found(4)])
    assert not record_of("part", 3).exists()
