"""Interruptions while a training writes its log."""

from __future__ import annotations

import os
import signal

import pytest
from stable_baselines3.common.logger import KVWriter

from agents.autosave import OrderlyLogger


class Interrupted(KVWriter):
    """A format in whose middle Ctrl-C comes."""

    def __init__(self):
        self.written = []

    def write(self, key_values, key_excluded, step=0):
        os.kill(os.getpid(), signal.SIGINT)
        self.written.append((dict(key_values), step))


def test_what_is_logged_is_written_before_an_interruption_acts(tmp_path):
    form = Interrupted()
    logger = OrderlyLogger(str(tmp_path), [form])
    logger.record("loss", 2.0)
    with pytest.raises(KeyboardInterrupt):
        logger.dump(7)
    assert form.written == [({"loss": 2.0}, 7)]
