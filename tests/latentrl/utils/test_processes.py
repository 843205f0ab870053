from __future__ import annotations

import os

import cv2
import numpy as np
import pytest
import torch

from latentrl.utils.processes import usable_cores
from latentrl.utils.workers import in_worker


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="no affinity here")
def test_the_cores_are_those_of_this_process():
    before = os.sched_getaffinity(0)
    assert usable_cores() == len(before)
    try:
        os.sched_setaffinity(0, {min(before)})
        assert usable_cores() == 1
    finally:
        os.sched_setaffinity(0, before)


def test_a_system_without_affinity_has_all_cores(monkeypatch):
    monkeypatch.delattr(os, "sched_getaffinity", raising=False)
    monkeypatch.setattr(os, "cpu_count", lambda: 3)
    assert usable_cores() == 3


def resized():
    image = np.zeros((1000, 1000, 3), np.uint8)
    for _ in range(5):
        cv2.resize(image, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA)
    return cv2.getNumThreads(), torch.get_num_threads()


def test_a_worker_computes_on_one_thread_after_its_parent_used_many():
    before = cv2.getNumThreads()
    try:
        cv2.setNumThreads(4)
        resized()
        assert in_worker(resized, timeout=20) == (1, 1)
        assert cv2.getNumThreads() == 4
    finally:
        cv2.setNumThreads(before)
