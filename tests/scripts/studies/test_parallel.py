from __future__ import annotations

import os
from pathlib import Path

import pytest

from scripts.studies.parallel import each_in_a_process


def write_core(folder: Path, name: str) -> None:
    if name == "fails":
        os._exit(3)
    threads = os.environ["OMP_NUM_THREADS"]
    (folder / name).write_text(f"{threads} {len(os.sched_getaffinity(0))}")


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(os, "sched_getaffinity"), reason="no affinity here")
def test_a_crash_ends_no_other_call(tmp_path):
    calls = [(tmp_path, name) for name in ("fails", "one", "two")]
    finished = dict(each_in_a_process(write_core, calls, 1))
    assert list(finished.values()) == [3, 0, 0]
    assert (tmp_path / "one").read_text() == (tmp_path / "two").read_text() == "1 1"
