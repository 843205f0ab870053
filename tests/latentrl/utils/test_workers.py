"""Worker processes do not collect the objects that they inherit."""

from __future__ import annotations

import gc
import os

from latentrl.utils.workers import in_workers
from tests.helpers import Clock


class Collecting(Clock):
    """A clock that collects garbage in each reset."""

    def reset(self, **kwargs):
        gc.collect()
        return super().reset(**kwargs)


class Inherited:
    """A cycle, freed by the garbage collector alone, that writes the id of the process."""

    def __init__(self, file):
        self.file, self.itself = file, self

    def __del__(self):
        with self.file.open("a") as lines:
            lines.write(f"{os.getpid()}\n")


def test_workers_do_not_finalise_objects_of_their_parent(tmp_path):
    gc.disable()
    try:
        Inherited(tmp_path / "finalised")
        envs = in_workers([Collecting] * 2)
    finally:
        gc.enable()
    envs.reset(seed=0)
    envs.close()
    gc.collect()
    assert (tmp_path / "finalised").read_text().split() == [str(os.getpid())]
    assert gc.get_freeze_count() == 0
