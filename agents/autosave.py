"""Ends of a training: checkpoints by the clock, interruptions, weights that are not finite."""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable
from pathlib import Path

from stable_baselines3.common.base_class import BaseAlgorithm
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.logger import Logger

from latentrl.utils.signals import held_interrupts

SAVING = 10
"""Time from one save to the next, in durations of the save, up to as many times the minutes."""


class SaveByClock(BaseCallback):
    """Saves the last checkpoint between two rollouts, every few minutes.

    A machine that fails, or a job that is stopped before its first validation, loses no more.
    After a save that takes long, as that of a large replay buffer does, the next one comes later.
    """

    def __init__(self, minutes: float, last: Path, save: Callable[[str], None]) -> None:
        """Save every ``minutes``.

        Args:
            minutes: time between two checkpoints; 0 saves before every rollout.
            last: folder of the last checkpoint, for messages.
            save: saves the agent as the checkpoint of the given name.
        """
        super().__init__()
        self.seconds = 60 * minutes
        self.last = last
        self.save = save

    def _on_training_start(self) -> None:
        self._next = time.monotonic() + self.seconds

    def _on_rollout_start(self) -> None:
        check_weights(self.model, self.last)
        start = time.monotonic()
        if start >= self._next:
            self.save("last")
            end = time.monotonic()
            self._next = end + max(self.seconds, SAVING * min(end - start, self.seconds))

    def _on_step(self) -> bool:
        return True


class StopByClock(BaseCallback):
    """Ends the training after some minutes, validations included, and logs ``time/clock``.

    Schedules, such as that of the learning rate, reach their ends with the minutes, or with the
    timesteps where these are over first. Those of a resumed run start anew, as its clock does.
    """

    def __init__(self, minutes: float, clock: Callable[[], float] = time.monotonic) -> None:
        """End the training ``minutes`` after its start; that of a resumed run starts anew.

        Args:
            minutes: the budget.
            clock: function that returns seconds.
        """
        super().__init__()
        self.seconds, self.clock = 60 * minutes, clock
        self._last = 0.0

    def seconds_left(self) -> float:
        """Return the seconds that were left at the last step."""
        return max(0.0, self.seconds - self._last)

    def _on_training_start(self) -> None:
        self._start = self.clock()
        by_timesteps = self.model._update_current_progress_remaining

        def update(num_timesteps: int, total_timesteps: int) -> None:
            by_timesteps(num_timesteps, total_timesteps)
            left = max(0.0, 1 - self._elapsed() / self.seconds)
            model = self.model
            model._current_progress_remaining = min(model._current_progress_remaining, left)

        # SB3 has no other place between the count of timesteps and the update that reads it.
        vars(self.model)["_update_current_progress_remaining"] = update

    def _on_step(self) -> bool:
        self._last = self._elapsed()
        return self._last < self.seconds

    def _on_rollout_end(self) -> None:
        self.logger.record("time/clock", self._elapsed())

    def _on_training_end(self) -> None:
        del vars(self.model)["_update_current_progress_remaining"]

    def _elapsed(self) -> float:
        return self.clock() - self._start


class OrderlyLogger(Logger):
    """A logger that finishes what it writes before an interruption acts.

    TensorBoard writes by a thread, which an interruption in its queue would leave waiting for ever,
    and the training that closes it as well.
    """

    def dump(self, step: int = 0) -> None:
        """Write all recorded values."""
        with held_interrupts():
            super().dump(step)


def check_weights(model: BaseAlgorithm, last: Path, cause: BaseException | None = None) -> None:
    """Stop a training that can learn nothing any more.

    Args:
        model: the algorithm.
        last: folder of the last checkpoint, which stays as it is.
        cause: error that the weights have caused already.

    Raises:
        FloatingPointError: a weight of the policy is NaN or infinite.
    """
    if not all(bool(weight.isfinite().all()) for weight in model.policy.parameters()):
        raise FloatingPointError(
            f"the weights became NaN or infinite within {model.num_timesteps:,} timesteps: lower "
            f"learning_rate, or look at the rewards; {last} has the last finite ones"
        ) from cause


def attempt(step: Callable[[], object]) -> bool:
    """Take a step after an error, which an error of the step must not hide; return if it worked."""
    try:
        step()
        return True
    except Exception as error:
        warnings.warn(f"after the training ended by an error: {error}", UserWarning, stacklevel=2)
        return False
