"""SB3 callbacks: progress, settings, curves per environment frame, and pictures of what the agent
sees and is paid.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from gymnasium import spaces
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.logger import HParam, TensorBoardOutputFormat
from stable_baselines3.common.vec_env import VecEnvWrapper

from latentrl.models.autoencoder import Autoencoder
from latentrl.models.preprocessing import is_image
from latentrl.novelty import NormalizedBonus
from latentrl.utils.progress import progress_bar
from latentrl.viz import images as pictures
from latentrl.viz.novelty_map import RecentStates, novelty_map
from latentrl.viz.tensorboard import SHOWN, add_picture
from latentrl.wrappers.sb3 import LatentVecEnv


def summary_writer(callback: BaseCallback) -> Any:
    """Return the TensorBoard writer of a callback's algorithm, None where it logs elsewhere."""
    for output in callback.logger.output_formats:
        if isinstance(output, TensorBoardOutputFormat):
            return output.writer
    return None


class ProgressCallback(BaseCallback):
    """A bar with decisions a second, the time left and the latest mean return."""

    def __init__(self, total: int, frame_skip: int = 1) -> None:
        """Expect ``total`` decisions of ``frame_skip`` environment frames each."""
        super().__init__()
        self.total, self.frame_skip = total, frame_skip

    def _on_training_start(self) -> None:
        self.bar = progress_bar(self.total, self.num_timesteps, "training", "decision", True)

    def _on_step(self) -> bool:
        self.bar.update(self.num_timesteps - self.bar.n)
        return True

    def _on_rollout_end(self) -> None:
        returns = [episode["r"] for episode in self.model.ep_info_buffer or ()]
        if returns:
            frames = self.num_timesteps * self.frame_skip
            self.bar.set_postfix_str(
                f"return {np.mean(returns):.1f}, {frames:,} env frames", refresh=False
            )

    def _on_training_end(self) -> None:
        self.bar.close()


class EnvFrameCurves(BaseCallback):
    """The task's own return against environment frames, beside SB3's curve against decisions."""

    def __init__(self, frame_skip: int) -> None:
        """Count ``frame_skip`` environment frames a decision."""
        super().__init__()
        self.frame_skip = frame_skip

    def _on_step(self) -> bool:
        return True

    def _on_rollout_end(self) -> None:
        writer, episodes = summary_writer(self), self.model.ep_info_buffer
        if writer is not None and episodes:
            mean = float(np.mean([episode["r"] for episode in episodes]))
            writer.add_scalar(
                "rollout/ep_rew_mean_per_env_frame", mean, self.num_timesteps * self.frame_skip
            )


class LatentPictures(BaseCallback):
    """Now and then: frames that the agent has just seen, beside what its code keeps of them."""

    def __init__(self, every: int) -> None:
        """Write one picture every ``every`` decisions."""
        super().__init__()
        self.every, self._next = every, 0

    def _on_step(self) -> bool:
        return True

    def _on_rollout_end(self) -> None:
        writer, host = summary_writer(self), _latent_host(self.training_env)
        if writer is None or host is None or self.num_timesteps < self._next:
            return
        self._next = self.num_timesteps + self.every
        model = host.transform.encoder
        if (
            isinstance(model, Autoencoder)
            and model.decoder is not None
            and is_image(model.observation_space)
        ):
            picture = pictures.reconstructions(model, host.transform.last_frames[:SHOWN])
            add_picture(writer, "agent/reconstructions", pictures.png(picture), self.num_timesteps)


class Hyperparameters(BaseCallback):
    """Puts the run's settings on TensorBoard's page of hyper-parameters."""

    def __init__(self, values: Mapping[str, Any]) -> None:
        """Show ``values``."""
        super().__init__()
        self.values = {
            key: value
            for key, value in values.items()
            if isinstance(value, bool | int | float | str)
        }

    def _on_training_start(self) -> None:
        metrics = {"rollout/ep_rew_mean": 0.0, "eval/mean_return": 0.0}
        self.logger.record(
            "hparams", HParam(self.values, metrics), exclude=("stdout", "log", "json", "csv")
        )

    def _on_step(self) -> bool:
        return True


def _latent_host(venv: Any) -> LatentVecEnv | None:
    while isinstance(venv, VecEnvWrapper):
        if isinstance(venv, LatentVecEnv):
            return venv
        venv = venv.venv
    return None


class NoveltyCurves(BaseCallback):
    """Curves of a scaled novelty: what it paid, its share, its unit, its weight, and the figures of
    its parts.
    """

    def __init__(self, novelty: NormalizedBonus) -> None:
        """Log the figures of ``novelty`` after every rollout."""
        super().__init__()
        self.novelty = novelty
        self._rollout, self._point = np.zeros(4), np.zeros(4)
        """Steps, bonus, size of the bonus and of the task reward: of this rollout, and since the
        curves' last point."""

    def _on_step(self) -> bool:
        rewards = np.array(
            [(info["intrinsic_reward"], info["extrinsic_reward"]) for info in self.locals["infos"]]
        )
        self._rollout += (len(rewards), rewards[:, 0].sum(), *np.abs(rewards).sum(0))
        return True

    def _on_rollout_end(self) -> None:
        pending = (
            "novelty/bonus" in self.logger.name_to_value
        )  # DQN's rollouts are shorter than the way to a point
        self._point = self._rollout + pending * self._point
        self._rollout = np.zeros(4)
        steps, paid, bonus, task = self._point
        self.logger.record("novelty/bonus", paid / max(1, steps))
        self.logger.record("novelty/share", bonus / (bonus + task) if bonus else 0.0)
        for name, value in self.novelty.metrics().items():
            self.logger.record(f"novelty/{name}", value)


class NoveltyMap(BaseCallback):
    """Now and then: the states visited since, in the plane of their codes, by what their novelty
    was paid.
    """

    def __init__(self, every: int, size: int = 2_000, seed: int = 0) -> None:
        """Write one picture every ``every`` decisions, of about ``size`` states drawn at random
        from those since.

        Raises:
            ValueError: ``every`` or ``size`` is less than 1.
        """
        super().__init__()
        if every < 1:
            raise ValueError(f"a picture is written every 1 or more decisions, got every={every}")
        self.every, self.visits, self.share = every, RecentStates(size), size / every
        self.rng = np.random.default_rng(seed)

    def _on_training_start(self) -> None:
        host = _latent_host(self.training_env)
        pays = host is not None and host.payment is not None and _frame_space(host) is not None
        self.host = host if pays and summary_writer(self) is not None else None
        self._next = self._after()

    def _after(self) -> int:
        return (self.num_timesteps // self.every + 1) * self.every

    def _on_step(self) -> bool:
        if self.host is not None:
            self._remember(self.host)
        return True

    def _remember(self, host: LatentVecEnv) -> None:
        rows = np.flatnonzero(self.rng.random(host.num_envs) < self.share)
        if len(rows):
            infos = self.locals["infos"]
            frames, codes = host.transform.reached(np.flatnonzero(self.locals["dones"]))
            self.visits.add(
                frames[rows], codes[rows], np.array([infos[i]["intrinsic_reward"] for i in rows])
            )

    def _on_rollout_end(self) -> None:
        space = None if self.host is None else _frame_space(self.host)
        if space is None or not self.visits.seen or self.num_timesteps < self._next:
            return
        self._next = self._after()
        picture = novelty_map(
            *self.visits.newest(), low=float(space.low.min()), high=float(space.high.max())
        )
        add_picture(
            summary_writer(self), "novelty/novelty_map", pictures.png(picture), self.num_timesteps
        )


def _frame_space(host: LatentVecEnv) -> spaces.Box | None:
    """Return the space of the frames that are encoded, None where they are no images."""
    space, key = host.venv.observation_space, host.transform.key
    space = space[key] if isinstance(space, spaces.Dict) and key is not None else space
    return space if isinstance(space, spaces.Box) and is_image(space) else None
