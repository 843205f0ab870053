from __future__ import annotations

import subprocess
import sys
import time

from scripts.studies.suite.clock import core_seconds

BUSY = """
import sys, time
while time.process_time() < 0.3:
    pass
print("done", flush=True)
sys.stdin.read()
"""


def test_sleep_costs_nothing_and_work_does():
    before = core_seconds()
    time.sleep(0.2)
    assert core_seconds() - before < 0.1
    start = time.process_time()
    while time.process_time() < start + 0.1:
        pass
    assert core_seconds() - before >= 0.1


def test_children_count_while_they_live_and_once_they_have_ended():
    before = core_seconds()
    command = [sys.executable, "-S", "-c", BUSY]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as child:
        assert child.stdout.readline() == b"done\n"
        living = core_seconds() - before
        assert living >= 0.28
    assert living - 0.02 <= core_seconds() - before < living + 0.2
