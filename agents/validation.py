"""Validation during training: it chooses the best checkpoint."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path

from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.vec_env import VecNormalize

from agents.evaluate import Evaluation, actor, play
from latentrl.utils.io import read_json, write_json

VALIDATION_SEED = 500_000
"""First seed of the validation episodes: higher than training's, lower than those of the test."""
RESULT = "validation.json"


class ValidationCallback(BaseCallback):
    """Evaluates the agent every ``every`` timesteps and saves the best and the last checkpoint."""

    def __init__(
        self,
        path: Path,
        every: int,
        episodes: int,
        make_venv: Callable[[], VecNormalize],
        save: Callable[[str], None],
    ) -> None:
        """Prepare the validations of one run.

        Args:
            path: folder of the run.
            every: timesteps between two validations.
            episodes: episodes per validation, the same ones each time.
            make_venv: makes the environments; called once, at the first validation.
            save: saves the agent as the checkpoint of the given name, "best" or "last".
        """
        super().__init__()
        self.path = path
        self.every = every
        self.episodes = episodes
        self.make_venv = make_venv
        self.save = save
        self.best: Evaluation | None = None
        self.evaluated_at = -1
        self._venv: VecNormalize | None = None
        self._next = every

    def restore(self, timesteps: int) -> None:
        """Restore the best result of a run that resumes after ``timesteps``."""
        if (self.path / RESULT).exists():
            self.best = Evaluation(**read_json(self.path / RESULT))
        self._next = timesteps + self.every

    def _on_step(self) -> bool:
        if self.num_timesteps >= self._next:
            self._next += self.every
            self.evaluate()
            self.save("last")
        return True

    def evaluate(self) -> None:
        """Evaluate the agent; it becomes the best checkpoint if its mean is the highest so far.

        Of equal means the newest one is best: it has had more training.
        """
        self.evaluated_at = self.model.num_timesteps
        result = play(self._environments(), actor(self.model, deterministic=True), self.episodes)
        self.logger.record("eval/mean_return", result.mean)
        self.logger.record("eval/std_return", result.std)
        self.logger.dump(self.evaluated_at)
        if self.best is None or result.mean >= self.best.mean:
            self.best = result
            self.save("best")
            write_json(self.path / RESULT, dataclasses.asdict(result))

    def _environments(self) -> VecNormalize:
        """Return the validation environments, seeded anew and normalized as those of training."""
        if self._venv is None:
            self._venv = self.make_venv()
        self._venv.seed(VALIDATION_SEED)
        training = self.model.get_vec_normalize_env()
        if training is not None and training.norm_obs:
            self._venv.obs_rms = training.obs_rms
        return self._venv

    def close(self) -> None:
        """Close the environments."""
        if self._venv is not None:
            self._venv.close()
