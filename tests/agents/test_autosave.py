"""Interruptions while a training writes its log."""

from __future__ import annotations

import itertools
import os
import signal

import pytest
from stable_baselines3.common.logger import KVWriter

from agents.autosave import OrderlyLogger, StopByClock
from agents.checkpoint import build
from agents.train_config import TrainConfig
from scripts.studies.agent_runs import logged_rows
from tests.agents.small import CHANGES, as_words, make_venv, small_config, tiny_train


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


def test_training_ends_by_the_clock_and_logs_it(encoder):
    seconds = itertools.count()
    result = tiny_train(encoder, lambda: float(next(seconds)), timesteps=10**6, minutes=1.0)
    # A second passes at each look at the clock; each step looks once, of two environments.
    assert 0 < result.timesteps <= 2 * 60
    logged = [float(row["time/clock"]) for row in logged_rows(result.path) if row["time/clock"]]
    assert logged == sorted(logged)
    assert 0 < logged[0] <= logged[-1] <= 62


def test_schedules_end_with_the_clock_or_with_the_timesteps(encoder):
    now = [100.0]
    stop, config = StopByClock(1.0, lambda: now[0]), small_config()
    model = stop.model = build(config, make_venv(config, encoder))
    stop._on_training_start()
    for seconds, timesteps, left in ((0, 0, 1), (15, 10, 0.75), (15, 60, 0.4), (90, 60, 0)):
        now[0] = 100.0 + seconds
        model._update_current_progress_remaining(timesteps, 100)
        assert model._current_progress_remaining == left
    stop._on_training_end()
    model._update_current_progress_remaining(60, 100)
    assert model._current_progress_remaining == 0.4


def test_the_learning_rate_of_a_training_follows_the_clock(encoder):
    seconds = itertools.count()
    words = (*as_words(CHANGES["ppo"]), "learning_rate:lin_1e-3")
    flags = {"timesteps": 10**6, "minutes": 1.0, "hyperparams": words}
    result = tiny_train(encoder, lambda: float(next(seconds)), **flags)
    logged = [row.get("train/learning_rate") for row in logged_rows(result.path)]
    rates = [float(rate) for rate in logged if rate]
    assert rates == sorted(rates, reverse=True)
    assert rates[0] < 5e-4  # over the timesteps it would be 1e-3


def test_a_clock_starts_with_the_training(encoder):
    now = [100.0]
    stop = StopByClock(0.5, lambda: now[0])
    stop.model = build(config := small_config(), make_venv(config, encoder))
    stop._on_training_start()
    now[0] += 29.9
    assert stop._on_step()
    now[0] += 0.1
    assert not stop._on_step()


def test_minutes_are_positive():
    with pytest.raises(ValueError, match=r"minutes must be above 0, got 0\.0"):
        TrainConfig(minutes=0.0)
