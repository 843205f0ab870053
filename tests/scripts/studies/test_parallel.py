from __future__ import annotations

import os

import pytest

from scripts.studies.parallel import each_in_a_process

WRITE = """
import os, pathlib
text = os.environ["OMP_NUM_THREADS"] + " " + str(len(os.sched_getaffinity(0)))
pathlib.Path({path!r}).write_text(text)
"""


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(os, "sched_getaffinity"), reason="no affinity here")
def test_a_crash_ends_no_other_call(tmp_path, monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "8")  # which the call replaces
    files = [tmp_path / "one", tmp_path / "two"]
    calls = [("import os; os._exit(3)",), *((WRITE.format(path=str(file)),) for file in files)]
    finished = each_in_a_process(exec, calls, 1)
    assert [status for _, status in finished] == [3, 0, 0]
    assert [file.read_text() for file in files] == ["1 1", "1 1"]
