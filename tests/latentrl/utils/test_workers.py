"""Environments in processes of their own leave what they inherit alone."""

from __future__ import annotations

import gc
import os

from latentrl.utils.workers import in_workers
from tests.helpers import Clock


class Diligent(Clock):
    """Collects garbage wherever it begins an episode."""

    def reset(self, **kwargs):
        gc.collect()
        return super().reset(**kwargs)


class Heirloom:
    """Cannot be freed but by collecting garbage, and writes down which process did it."""

    def __init__(self, file):
        self.file, self.itself = file, self

    def __del__(self):
        with self.file.open("a") as lines:
            lines.write(f"{os.getpid()}\n")


def test_workers_do_not_end_what_their_parent_has_begun(tmp_path):
    gc.disable()
    try:
        Heirloom(tmp_path / "ended")
        envs = in_workers([Diligent] * 2)
    finally:
        gc.enable()
    envs.reset(seed=0)
    envs.close()
    gc.collect()
    assert (tmp_path / "ended").read_text().split() == [str(os.getpid())]
    assert gc.get_freeze_count() == 0
