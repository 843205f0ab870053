"""Validation during training: it chooses the best checkpoint, and the mode of its policy."""

from __future__ import annotations

import contextlib
import copy
import dataclasses
import math
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from stable_baselines3.common.base_class import BaseAlgorithm
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.vec_env import VecNormalize
from tqdm import tqdm

from agents.algorithms import AlgorithmSpec
from agents.checkpoint import WEIGHTS, read_agent
from agents.familiar_frames import FrameSample
from agents.play import Evaluation, Policy, actor, play
from latentrl.utils.decoding import decode
from latentrl.utils.io import read_json
from latentrl.utils.progress import progress_bar

VALIDATION_SEED = 500_000
"""First seed of the validation episodes: higher than training's, lower than those of the test."""
OLD_RESULT = "validation.json"
"""File of the best result in runs whose agents have format 2."""
POLICIES: tuple[Policy, ...] = ("deterministic", "stochastic")
"""Policies of one agent; of equal means the first one is better."""
PARTS = len(POLICIES) + 1
"""Parts of a validation: half of the episodes by each policy, and the others by the better one."""
LEAST_BUDGET = 1_000
"""Timesteps that a validation may always take, which are a second or two."""


class ValidationCallback(BaseCallback):
    """Evaluates the agent every ``every`` timesteps and saves the best and the last checkpoint.

    The deterministic and the stochastic policy play the same half of the episodes. The better one
    plays the other half, too, and the mean of all its episodes is the agent's. A deterministic
    policy can be stuck where samples of the same policy are not. The choice between two policies
    raises the expected mean a little, for every checkpoint alike.

    A validation takes at most half as many timesteps as are trained between two validations.
    Timesteps rather than seconds limit it, so that the choice does not depend on the machine's
    load. ``play`` states which of the episodes count at the end of the budget.
    """

    def __init__(
        self,
        every: int,
        episodes: int,
        total: int,
        spec: AlgorithmSpec,
        make_venv: Callable[[int], VecNormalize],
        save: Callable[[str], None],
    ) -> None:
        """Prepare the validations of one run.

        Args:
            every: timesteps between two validations.
            episodes: episodes per validation, the same ones each time.
            total: timesteps of the run.
            spec: the algorithm, whose stochastic policy explores as at the end of training.
            make_venv: makes the environments that play a number of episodes; called once, at the
                first validation.
            save: saves the agent as the checkpoint of the given name, "best" or "last".
        """
        super().__init__()
        self.every = every
        self.episodes = episodes
        self.half = math.ceil(episodes / 2)
        self.budget = max(LEAST_BUDGET, min(every, total) // 2)
        self.spec = spec
        self.make_venv = make_venv
        self.save = save
        self.best: Evaluation | None = None
        self.last: Evaluation | None = None
        self.evaluated_at = -1
        self.sample: FrameSample | None = None
        """Frames of the newest validation."""
        self._venv: VecNormalize | None = None
        self._next = every

    def restore(self, path: Path, timesteps: int) -> None:
        """Restore the best result of the run in ``path`` that resumes after ``timesteps``.

        The next validation is at the next multiple of ``every``: a run that is stopped again and
        again is validated, too.
        """
        best = best_result(path)
        # Episodes that were cut are no longer comparable where a longer run has a larger budget.
        comparable = best is None or not best.cut or best.budget == self.budget
        self.best = best if comparable else None
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
        result = self.last = self._evaluate()
        self.logger.record("eval/mean_return", result.mean)
        self.logger.record("eval/std_return", result.std)
        if result.successes is not None:
            self.logger.record("eval/success_rate", result.successes / len(result.returns))
        self.logger.dump(self.evaluated_at)
        if self.best is None or result.mean >= self.best.mean:
            self.best = result
            self.save("best")

    def _evaluate(self) -> Evaluation:
        others = self.episodes - self.half
        total = len(POLICIES) * self.half + others
        bar = progress_bar(total, 0, "validating", "episode", show=True, nested=True)
        with bar, own_random_numbers(self.model) as model:
            halves = [self._play(model, policy, self.half, 0, bar) for policy in POLICIES]
            best = max(halves, key=lambda result: result.mean)
            rest = [self._play(model, best.policy, others, self.half, bar)] if others else []
        for half in halves:
            self.logger.record(f"eval/mean_return_{half.policy}", half.mean)
        parts = halves + rest
        if any(part.cut for part in parts) or sum(len(part.returns) for part in parts) < total:
            self._warn()
        return dataclasses.replace(sum(rest, best), budget=self._budget_now())

    def _play(
        self, model: BaseAlgorithm, policy: Policy, episodes: int, first: int, bar: tqdm[None]
    ) -> Evaluation:
        bar.set_description(f"validating, {policy} policy", refresh=False)
        self.spec.prepare_evaluation(model)
        venv = self._environments(VALIDATION_SEED + first)
        act = self.sample = FrameSample(actor(model, policy == "deterministic"), venv)
        return play(venv, act, episodes, policy, bar=bar, budget=self._budget_now() // PARTS)

    def _budget_now(self) -> int:
        """Return the budget in timesteps: the clock can end a run before its first validation."""
        return max(LEAST_BUDGET, min(self.budget, self.model.num_timesteps // 2))

    def _warn(self) -> None:
        warnings.warn(
            f"a validation of {self._budget_now():,} timesteps is too short for its episodes: "
            "those that have not ended count with their return so far, or not at all; end episodes "
            "that have no end by --max-episode-steps, lower --eval-episodes, or train longer "
            "between validations (--timesteps, --eval-every)",
            UserWarning,
            stacklevel=2,
        )

    def _environments(self, seed: int) -> VecNormalize:
        """Return the validation environments, seeded anew and normalized as those of training."""
        if self._venv is None:
            self._venv = self.make_venv(self.half)
        self._venv.seed(seed)
        training = self.model.get_vec_normalize_env()
        if training is not None and training.norm_obs:
            self._venv.obs_rms = training.obs_rms
        return self._venv

    def close(self) -> None:
        """Close the environments."""
        if self._venv is not None:
            self._venv.close()


@contextlib.contextmanager
def own_random_numbers(model: BaseAlgorithm) -> Iterator[BaseAlgorithm]:
    """Yield an agent with the model's policy that leaves the random numbers of training alone.

    Policies draw from the global generators of PyTorch and NumPy, epsilon-greedy ones also from the
    action space.
    """
    player = copy.copy(model)
    player.action_space = copy.deepcopy(model.action_space)
    player.action_space.seed(VALIDATION_SEED)
    noise = _gsde_noise(model)
    before = dict(noise)
    state = np.random.get_state()  # noqa: NPY002
    with torch.random.fork_rng([model.device] if model.device.type == "cuda" else []):
        torch.manual_seed(VALIDATION_SEED)
        np.random.seed(VALIDATION_SEED)  # noqa: NPY002
        try:
            yield player
        finally:
            np.random.set_state(state)  # noqa: NPY002
            noise.update(before)


def _gsde_noise(model: BaseAlgorithm) -> dict[str, Any]:
    """Return the attributes with the matrices of gSDE, of which each environment has one."""
    if not getattr(model, "use_sde", False):
        return {}
    policy: Any = getattr(model.policy, "actor", model.policy)
    noise: dict[str, Any] = vars(policy.action_dist)
    return noise


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
