"""Self-imitation: an on-policy agent also learns from its past episodes that were good."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from gymnasium import spaces
from stable_baselines3.common.base_class import BaseAlgorithm
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.on_policy_algorithm import OnPolicyAlgorithm
from torch.nn.utils import clip_grad_norm_

from agents.algorithms import find_algorithm
from agents.good_episodes import GoodEpisodes, OpenEpisodes
from agents.train_config import TrainConfig
from latentrl.types import Array

BATCHES, BATCH_SIZE = 4, 512
"""Most gradient steps between two rollouts, and timesteps of each."""
WEIGHT = 0.1
"""Weight of the loss, as in the paper's PPO."""
VALUE_WEIGHT = 0.01
"""Weight of the values' term in the loss, as in the paper."""


def keeps_episodes(config: TrainConfig) -> bool:
    """Return whether a training keeps its good episodes from the start.

    It does if the flags want it to learn from them, or leave that to the verdict on the rewards.

    Raises:
        ValueError: the flags want it, and the algorithm does not learn from rollouts, or is
            recurrent.
    """
    spec = find_algorithm(config.algo)
    on_policy = issubclass(spec.cls, OnPolicyAlgorithm)
    if config.self_imitation and not on_policy:
        raise ValueError(
            f"self_imitation is for algorithms that learn from rollouts; {config.algo} has a "
            "replay buffer of past episodes: remove --self-imitation"
        )
    if config.self_imitation and spec.recurrent:
        raise ValueError(
            f"self_imitation learns from single timesteps of past episodes, and {config.algo} "
            "needs the timesteps before them: remove --self-imitation"
        )
    if config.self_imitation is None:
        return on_policy and not spec.recurrent and config.judges_rewards
    return config.self_imitation


class SelfImitation(BaseCallback):
    """Repeats the actions of past episodes where their return was above the value function.

    An episode is good, and kept, if its extrinsic return exceeds the mean of the last ones. Between
    two rollouts the policy learns from kept timesteps, with the loss of Oh et al. 2018
    (arXiv:1806.05635): ``-log pi(a|s) max(R - V(s), 0)`` and a fraction of the square of the same
    difference, both in units of the normalised rewards. Where one episode in fifty reaches a goal,
    the updates between two of them would unlearn it for the novelty bonus. After a rollout in which
    a good episode ends, the algorithm learns from that one itself. The loss is 0 once the values
    predict the returns.
    """

    def __init__(self, model: BaseAlgorithm, seed: int, learns: bool = True) -> None:
        """Start without episodes.

        Args:
            model: algorithm that learns from rollouts.
            seed: of the batches.
            learns: whether the policy learns from good episodes; if not, they are kept until
                ``decide`` is called.
        """
        super().__init__()
        self._keeps, self._learns = True, learns
        self._had_good_one = False  # the present rollout
        self.episodes = GoodEpisodes(model.observation_space, model.action_space)
        """Good episodes so far."""
        self._open = OpenEpisodes(model.n_envs)
        self._rng = np.random.default_rng(seed)

    def decide(self, learns: bool) -> None:
        """Learn from the episodes that were kept and from later ones, or keep none any more."""
        self._keeps = self._learns = learns
        if not learns:
            self.clear()

    def clear(self) -> None:
        """Remove all timesteps, because a new encoder gives them other observations."""
        self.episodes.clear()
        self._open.clear()

    def _on_step(self) -> bool:
        if not self._keeps:
            return True
        infos, normalizer = self.locals["infos"], self._model.get_vec_normalize_env()
        raw = self.locals["rewards"] if normalizer is None else normalizer.get_original_reward()
        pairs = zip(infos, raw, strict=True)
        rewards = [info.get("extrinsic_reward", reward) for info, reward in pairs]
        observations: Any = self.model._last_obs
        self._open.add(observations, self.locals["actions"], np.array(rewards, np.float32))
        for env in np.flatnonzero(self.locals["dones"]):
            self._end(int(env), infos[env])
        return True

    def _end(self, env: int, info: dict[str, Any]) -> None:
        observations, actions, rewards = self._open.end(env)
        if self.episodes.judge(float(info["episode"]["r"])):
            self._had_good_one = True
            self.episodes.add(observations, actions, rewards, self._value_after(info))

    def _value_after(self, info: dict[str, Any]) -> float:
        if not info.get("TimeLimit.truncated", False):
            return 0.0
        policy = self._model.policy
        with torch.no_grad():
            tensor, _ = policy.obs_to_tensor(info["terminal_observation"])
            return float(policy.predict_values(tensor)) * self._unit

    @property
    def _unit(self) -> float:
        """Standard deviation by which rewards are divided; it changes during the training."""
        normalizer = self._model.get_vec_normalize_env()
        return 1.0 if normalizer is None else float(normalizer.unnormalize_reward(np.ones(1))[0])

    def _normalized(self, rewards: Array) -> Array:
        normalizer = self._model.get_vec_normalize_env()
        return rewards if normalizer is None else normalizer.normalize_reward(rewards)

    def _on_rollout_start(self) -> None:
        # After the update with the last rollout, so that PPO's ratios stay those of its rollout.
        needless, self._had_good_one = self._had_good_one, False
        batches = min(BATCHES, self.episodes.budget // BATCH_SIZE)
        if needless or not self._learns or not batches:
            return
        self.episodes.budget -= batches * BATCH_SIZE
        self._model.policy.set_training_mode(True)
        # In the present units of the rewards, which are those of the values.
        returns = self.episodes.returns(self._normalized, self._unit, self._model.gamma)
        advantages = [self._learn(returns) for _ in range(batches)]
        self._model.policy.set_training_mode(False)  # as SB3 does for a rollout
        self.logger.record("self_imitation/advantage", float(np.mean(advantages)))
        self.logger.record("self_imitation/timesteps", len(self.episodes))

    def _learn(self, returns: Array) -> float:
        """Do one gradient step; return the mean advantage of the batch, negative ones as 0."""
        model, policy = self._model, self._model.policy
        rows = self._rng.choice(self.episodes.rows, BATCH_SIZE)
        arrays = (self.episodes.arrays["observations"], self.episodes.arrays["actions"], returns)
        observations, actions, target = (
            torch.from_numpy(array[rows]).to(model.device) for array in arrays
        )
        if isinstance(model.action_space, spaces.Box):
            actions = actions.flatten(1) if actions.ndim > 1 else actions[:, None]
        values, log_prob, _ = policy.evaluate_actions(observations, actions)
        advantages = (target - values.flatten()).clamp(min=0)
        loss = imitation_loss(log_prob, advantages)
        policy.optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        if model.max_grad_norm > 0:
            clip_grad_norm_(policy.parameters(), model.max_grad_norm)
        policy.optimizer.step()
        return float(advantages.detach().mean())

    @property
    def _model(self) -> OnPolicyAlgorithm:
        assert isinstance(self.model, OnPolicyAlgorithm)
        return self.model


def imitation_loss(log_prob: torch.Tensor, advantages: torch.Tensor) -> torch.Tensor:
    """Return the loss of self-imitation, weighted.

    Args:
        log_prob: log-probabilities of the actions, ``(B,)``.
        advantages: returns above the values, ``max(R - V(s), 0)``, ``(B,)``.
    """
    imitation = -(log_prob * advantages.detach()).mean()
    return WEIGHT * (imitation + VALUE_WEIGHT * advantages.square().mean() / 2)
