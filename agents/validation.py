"""Validation during training: it chooses the best checkpoint."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.vec_env import VecNormalize

from agents.checkpoint import WEIGHTS, read_agent
from agents.evaluate import actor
from agents.play import Evaluation, play
from latentrl.utils.decoding import decode
from latentrl.utils.io import read_json

VALIDATION_SEED = 500_000
"""First seed of the validation episodes: higher than training's, lower than those of the test."""
OLD_RESULT = "validation.json"
"""File of the best result in runs whose agents have format 2."""


class ValidationCallback(BaseCallback):
    """Evaluates the agent every ``every`` timesteps and saves the best and the last checkpoint."""

    def __init__(
        self,
        every: int,
        episodes: int,
        make_venv: Callable[[], VecNormalize],
        save: Callable[[str], None],
    ) -> None:
        """Prepare the validations of one run.

        Args:
            every: timesteps between two validations.
            episodes: episodes per validation, the same ones each time.
            make_venv: makes the environments; called once, at the first validation.
            save: saves the agent as the checkpoint of the given name, "best" or "last".
        """
        super().__init__()
        self.every = every
        self.episodes = episodes
        self.make_venv = make_venv
        self.save = save
        self.best: Evaluation | None = None
        self.evaluated_at = -1
        self._venv: VecNormalize | None = None
        self._next = every

    def restore(self, path: Path, timesteps: int) -> None:
        """Restore the best result of the run in ``path`` that resumes after ``timesteps``.

        The next validation is at the next multiple of ``every``: a run that is stopped again and
        again is validated, too.
        """
        self.best = best_result(path)
        self._next = (timesteps // self.every + 1) * self.every

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


def best_result(run: Path) -> Evaluation | None:
    """Return the validation of a run's best checkpoint, None before the first one.

    Raises:
        ValueError: a file is damaged.
    """
    if not (run / "best" / WEIGHTS).is_file():
        return None
    result = read_agent(run / "best")[2].get("validation")
    if result is None and (run / OLD_RESULT).is_file():
        result = read_json(run / OLD_RESULT)
    where = f"the validation of {run / 'best'}"
    found: Evaluation | None = decode(Evaluation | None, result, where)
    return found
