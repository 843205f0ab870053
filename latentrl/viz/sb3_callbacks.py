"""SB3 callbacks: progress, hyperparameters, curves, and images of observations and bonuses."""

from __future__ import annotations

from collections.abc import Callable, Mapping
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
from latentrl.viz import images
from latentrl.viz.decoded import reconstruction_sheet
from latentrl.viz.figures import can_draw, figure_png
from latentrl.viz.novelty_map import RecentStates, novelty_map
from latentrl.viz.tensorboard import SHOWN, add_image, add_scalar
from latentrl.wrappers.intrinsic import IntrinsicRewards
from latentrl.wrappers.sb3 import LatentVecEnv


def summary_writer(callback: BaseCallback) -> Any:
    """Return the TensorBoard writer of a callback's logger, None if it has none."""
    for output in callback.logger.output_formats:
        if isinstance(output, TensorBoardOutputFormat):
            return output.writer
    return None


class ProgressCallback(BaseCallback):
    """Progress bar with timesteps per second, the time left and the newest mean return."""

    def __init__(
        self,
        total: int,
        frame_skip: int = 1,
        seconds_left: Callable[[], float] | None = None,
    ) -> None:
        """Show progress towards ``total`` timesteps of ``frame_skip`` environment frames each.

        Args:
            total: timesteps at the end.
            frame_skip: environment frames of a timestep.
            seconds_left: of a training that ends by the clock, function that returns the seconds
                until then, which are shown as the time left.
        """
        super().__init__()
        self.total, self.frame_skip = total, frame_skip
        self.seconds_left, self._returns = seconds_left, ""

    def _on_training_start(self) -> None:
        # tqdm estimates the time left from the total, which the clock may end long before.
        total = self.total if self.seconds_left is None else None
        self.bar = progress_bar(total, self.num_timesteps, "training", "timestep", True)

    def _on_step(self) -> bool:
        if self.seconds_left is not None:
            text = f"at most {self.seconds_left() / 60:.1f} minutes left{self._returns}"
            self.bar.set_postfix_str(text, refresh=False)
        self.bar.update(self.num_timesteps - self.bar.n)
        return True

    def _on_rollout_end(self) -> None:
        returns = [episode["r"] for episode in self.model.ep_info_buffer or ()]
        if returns:
            frames = self.num_timesteps * self.frame_skip
            text = f"return {np.mean(returns):.1f}, {frames:,} env frames"
            self._returns = f", {text}"
            if self.seconds_left is None:
                self.bar.set_postfix_str(text, refresh=False)

    def _on_training_end(self) -> None:
        self.bar.close()


class EnvFrameCurves(BaseCallback):
    """Extrinsic return against environment frames, beside SB3's curve against timesteps."""

    def __init__(self, frame_skip: int) -> None:
        """Count ``frame_skip`` environment frames per timestep."""
        super().__init__()
        self.frame_skip = frame_skip

    def _on_step(self) -> bool:
        return True

    def _on_rollout_end(self) -> None:
        writer, episodes = summary_writer(self), self.model.ep_info_buffer
        if writer is not None and episodes:
            mean = float(np.mean([episode["r"] for episode in episodes]))
            add_scalar(
                writer,
                "rollout/ep_rew_mean_per_env_frame",
                mean,
                self.num_timesteps * self.frame_skip,
            )


class ReconstructionImages(BaseCallback):
    """Images of the newest frames, the reconstructions of their latents, and the differences."""

    def __init__(self, every: int) -> None:
        """Write one image every ``every`` timesteps."""
        super().__init__()
        self.every, self._next = every, 0

    def _on_training_start(self) -> None:
        host = _latent_host(self.training_env)
        decodes = host is not None and _image_decoder(host) is not None
        is_logged = decodes and summary_writer(self) is not None
        self.host = host if is_logged and can_draw("the image of reconstructions") else None

    def _on_step(self) -> bool:
        return True

    def _on_rollout_end(self) -> None:
        if self.host is None or self.num_timesteps < self._next:
            return
        self._next = self.num_timesteps + self.every
        model = _image_decoder(self.host)  # may be another one than at the start of the training
        if model is not None:
            sheet = reconstruction_sheet(model, self.host.transform.last_frames[:SHOWN])
            png = figure_png(sheet)
            add_image(summary_writer(self), "agent/reconstructions", png, self.num_timesteps)


def _image_decoder(host: LatentVecEnv) -> Autoencoder | None:
    """Return the encoder if it can decode images, too."""
    model = host.transform.encoder
    if not isinstance(model, Autoencoder) or model.decoder is None:
        return None
    return model if is_image(model.observation_space) else None


class Hyperparameters(BaseCallback):
    """Writes the run's hyperparameters to TensorBoard's page of them."""

    def __init__(self, values: Mapping[str, Any]) -> None:
        """Write those of ``values`` that are numbers, strings or bools."""
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
    """Curves of the intrinsic reward, its fraction of the whole reward, and the bonus's metrics.

    They end where the environments lose the bonus.
    """

    def __init__(self, novelty: NormalizedBonus) -> None:
        """Log the metrics of ``novelty`` after every rollout."""
        super().__init__()
        self.novelty = novelty
        self._rollout, self._point = np.zeros(4), np.zeros(4)
        """Steps, and sums of intrinsic rewards, of their magnitudes and of those of extrinsic ones:
        in this rollout, and since the last point of the curves."""

    def _on_step(self) -> bool:
        infos = self.locals["infos"]
        if "intrinsic_reward" not in infos[0]:
            return True
        rewards = np.array([(info["intrinsic_reward"], info["extrinsic_reward"]) for info in infos])
        self._rollout += (len(rewards), rewards[:, 0].sum(), *np.abs(rewards).sum(0))
        return True

    def _on_rollout_end(self) -> None:
        if not self._rollout[0]:
            return
        # SB3 writes a point after several rollouts of DQN, and clears the logger then: while a
        # value is pending, the new one covers the rollouts before, too.
        pending = "novelty/intrinsic_reward" in self.logger.name_to_value
        self._point = self._rollout + pending * self._point
        self._rollout = np.zeros(4)
        steps, total, intrinsic, extrinsic = self._point
        fraction = intrinsic / (intrinsic + extrinsic) if intrinsic else 0.0
        self.logger.record("novelty/intrinsic_reward", total / max(1, steps))
        self.logger.record("novelty/fraction", fraction)
        for name, value in self.novelty.metrics().items():
            # The one metric of ``NormalizedBonus`` that is a mean over the steps since the last
            # call; while values are pending, it covers their rollouts, too.
            mean = name == "raw_bonus"
            record = self.logger.record_mean if mean else self.logger.record
            record(f"novelty/{name}", value)


class NoveltyMap(BaseCallback):
    """Images of the states reached since the last one, in the plane of their latents, by bonus."""

    def __init__(self, every: int, size: int = 2_000, seed: int = 0) -> None:
        """Write an image every ``every`` timesteps, of about ``size`` states drawn at random.

        Raises:
            ValueError: ``every`` or ``size`` is less than 1.
        """
        super().__init__()
        if every < 1:
            raise ValueError(f"an image is written every 1 or more timesteps, got every={every}")
        self.every, self.states = every, RecentStates(size)
        self._probability = size / every
        self.rng = np.random.default_rng(seed)

    def _on_training_start(self) -> None:
        host = _latent_host(self.training_env)
        has_bonus = host is not None and host.intrinsic is not None
        has_images = host is not None and _frame_space(host) is not None
        is_logged = has_bonus and has_images and summary_writer(self) is not None
        self.host = host if is_logged and can_draw("the novelty map") else None
        self._next = self._after()

    def _after(self) -> int:
        return (self.num_timesteps // self.every + 1) * self.every

    def _on_step(self) -> bool:
        if self.host is not None and self.host.intrinsic is not None:
            self._add(self.host.intrinsic)
        return True

    def _add(self, intrinsic: IntrinsicRewards) -> None:
        rows = np.flatnonzero(self.rng.random(intrinsic.num_envs) < self._probability)
        if len(rows) and intrinsic.transitions is not None:
            reached, infos = intrinsic.transitions[rows], self.locals["infos"]
            bonuses = np.array([infos[i]["intrinsic_reward"] for i in rows])
            self.states.add(reached.next_observations, reached.next_latents, bonuses)

    def _on_rollout_end(self) -> None:
        space = None if self.host is None else _frame_space(self.host)
        if space is None or not self.states.count or self.num_timesteps < self._next:
            return
        self._next = self._after()
        low, high = float(space.low.min()), float(space.high.max())
        image = images.png(novelty_map(*self.states.newest(), low=low, high=high))
        add_image(summary_writer(self), "novelty/novelty_map", image, self.num_timesteps)


def _frame_space(host: LatentVecEnv) -> spaces.Box | None:
    """Return the space of the encoded frames, None if they are not images."""
    space, key = host.venv.observation_space, host.transform.key
    space = space[key] if isinstance(space, spaces.Dict) and key is not None else space
    return space if isinstance(space, spaces.Box) and is_image(space) else None
