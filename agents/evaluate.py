"""Evaluation on episodes that training never saw, by the task's own reward."""

from __future__ import annotations

import copy
import itertools
import os
import warnings
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Literal

import cv2
import numpy as np
from stable_baselines3 import DQN
from stable_baselines3.common.base_class import BaseAlgorithm
from stable_baselines3.common.vec_env import VecEnv, VecNormalize

from agents.checkpoint import WEIGHTS, build, read_agent, restore
from agents.config import AgentConfig
from agents.venv import build_monitored, build_venv, frames_seen, gymnasium_of
from envs import Environment, settings_for
from latentrl import load
from latentrl.models.autoencoder import Autoencoder
from latentrl.models.preprocessing import is_image
from latentrl.types import Array
from latentrl.utils.io import write_json
from latentrl.utils.progress import progress_bar
from latentrl.viz.images import gif, model_images

UNSEEN_SEED = 1_000_000
"""First seed of evaluation; training seeds lie below."""
ENVS_IN_PROCESS = 16
GIF_WIDTH = 400
FRAMES_PER_SECOND = 50
"""Of videos of environments that do not say what they run at."""

Checkpoint = Literal["best", "last"]
Act = Callable[[Any], Array]


@dataclass(frozen=True)
class Evaluation:
    """What an agent reached."""

    returns: list[float]
    """The task's own return of each episode."""
    lengths: list[int]
    """Decisions in each episode."""

    @property
    def mean(self) -> float:
        """Mean return."""
        return float(np.mean(self.returns))

    @property
    def std(self) -> float:
        """Standard deviation of the returns over episodes."""
        return float(np.std(self.returns))

    def __str__(self) -> str:
        """Mean, spread and extremes in words."""
        low, high = min(self.returns), max(self.returns)
        return f"{self.mean:.4g} +- {self.std:.4g} over {len(self.returns)} episodes (from {low:.4g} to {high:.4g})"


def agent_folder(run: Path, checkpoint: Checkpoint = "best") -> Path:
    """Return where in a run's folder the agent is: the best one, or the last where none was
    evaluated.
    """
    for folder in (run / checkpoint, run / "last"):
        if (folder / WEIGHTS).exists():
            return folder
    raise FileNotFoundError(f"no agent at {run}: expected {run / 'best' / WEIGHTS}")


def load_encoder(run: Path, config: AgentConfig, device: str = "auto") -> Autoencoder | None:
    """Return the encoder that a run keeps beside its agents; None for an agent that learns from
    pixels.
    """
    return load(run / "encoder", device) if config.latent else None


def evaluate_agent(
    run: Path,
    episodes: int = 10,
    *,
    backend: str = "gymnasium",
    seed: int = UNSEEN_SEED,
    deterministic: bool = True,
    checkpoint: Checkpoint = "best",
    env: str | None = None,
    device: str = "auto",
    video: Path | None = None,
    progress: bool = True,
) -> Evaluation:
    """Let a saved agent play, and write what it reached to ``report_file`` in the run's folder.

    Args:
        run: folder of a training run.
        episodes: how many; episode i has the seed ``seed + i`` on Gymnasium.
        backend: "gymnasium" or "envpool".
        seed: the first seed.
        deterministic: take the policy's mode rather than a sample; of DQN, the greedy action rather
            than the exploration that training ended with.
        checkpoint: the best one, by the episodes that chose it, or the last.
        env: another environment of the same observations and actions; None is the one it was
            trained in.
        device: for the encoder.
        video: an .mp4 or .gif of one more episode, on Gymnasium.
        progress: whether to show a progress bar.

    Raises:
        FileNotFoundError: there is no agent.
    """
    folder = agent_folder(run, checkpoint)
    config, decisions = _playing(folder, env)
    encoder = load_encoder(run, config, device)
    venv = build_venv(
        config, encoder, make_unseen(config.environment, episodes, backend, seed), training=False
    )
    model = _load_to_play(config, venv, folder)
    venv.seed(seed)  # SB3 has just given it the model's
    try:
        result = play(venv, _acting(model, deterministic), episodes, progress)
    finally:
        venv.close()
    conditions = {
        "env": config.environment.id,
        "backend": backend,
        "seed": seed,
        "deterministic": deterministic,
        "checkpoint": checkpoint,
    }
    write_json(
        report_file(run, backend, episodes, deterministic, checkpoint, env),
        {
            "mean": result.mean,
            "std": result.std,
            **asdict(result),
            **conditions,
            "decisions_trained": decisions,
        },
    )
    if video is not None:
        record_video(run, video, seed, device, checkpoint, env)
    return result


def _playing(folder: Path, env: str | None) -> tuple[AgentConfig, int]:
    """Return the agent in an environment that may be another, and how many decisions it was trained
    for.
    """
    config, _, notes = read_agent(folder)
    environment = config.environment if env is None else replace(config.environment, id=env)
    return replace(config, environment=environment), int(notes["decisions"])


def report_file(
    run: Path,
    backend: str,
    episodes: int,
    deterministic: bool = True,
    checkpoint: Checkpoint = "best",
    env: str | None = None,
) -> Path:
    """Return where the evaluation of so many episodes is written; arguments as in
    ``evaluate_agent``.
    """
    words = [
        "" if deterministic else "stochastic",
        "" if checkpoint == "best" else checkpoint,
        env or "",
    ]
    name = "-".join(["evaluation", backend, str(episodes), *filter(None, words)])
    return run / f"{name.replace('/', '_').replace(':', '.')}.json"


def evaluate_random(
    environment: Environment, episodes: int, seed: int = UNSEEN_SEED, progress: bool = True
) -> Evaluation:
    """Let uniform random actions play the same episodes as ``evaluate_agent``, on Gymnasium."""
    venv = make_unseen(environment, episodes, "gymnasium", seed)
    spaces = [copy.deepcopy(venv.action_space) for _ in range(venv.num_envs)]
    for i, space in enumerate(spaces):
        space.seed(seed + i)
    try:
        return play(
            venv, lambda _: np.stack([space.sample() for space in spaces]), episodes, progress
        )
    finally:
        venv.close()


def make_unseen(environment: Environment, episodes: int, backend: str, seed: int) -> VecEnv:
    """Make as many environments as help with ``episodes``, with seeds from ``seed`` on."""
    if episodes < 1:
        raise ValueError(f"episodes must be at least 1, got {episodes}")
    fast = backend == "envpool"
    in_process = fast or not settings_for(environment.id).workers
    n_envs = min(episodes, ENVS_IN_PROCESS if in_process else os.cpu_count() or 1)
    seeds = [] if fast else [range(seed + i, seed + episodes, n_envs) for i in range(n_envs)]
    return build_monitored(
        environment, n_envs=n_envs, seed=seed, backend=backend, episode_seeds=seeds
    )


def play(venv: VecEnv, act: Act, episodes: int, progress: bool = False) -> Evaluation:
    """Play ``episodes`` episodes, shared out evenly so that short ones are not preferred.

    Args:
        venv: monitored environments.
        act: from batched observations to batched actions.
        episodes: how many in all.
        progress: whether to show a progress bar.
    """
    n = venv.num_envs
    found: list[list[dict[str, Any]]] = [[] for _ in range(n)]
    observations = venv.reset()
    with progress_bar(episodes, 0, "evaluating", "episode", progress) as bar:
        while sum(map(len, found)) < episodes:
            observations, _, dones, infos = venv.step(act(observations))
            for i in np.flatnonzero(dones):
                if len(found[i]) < len(range(int(i), episodes, n)):
                    found[i].append(infos[i]["episode"])
                    bar.update(1)
    ordered = [found[k % n][k // n] for k in range(episodes)]
    return Evaluation([float(e["r"]) for e in ordered], [int(e["l"]) for e in ordered])


def record_video(
    run: Path,
    video: Path,
    seed: int = UNSEEN_SEED,
    device: str = "auto",
    checkpoint: Checkpoint = "best",
    env: str | None = None,
) -> Path:
    """Write an .mp4 or .gif of one episode with the seed ``seed``, on Gymnasium, one picture a
    decision.

    Checkpoint and environment are as in ``evaluate_agent``. Beside the game stands what the agent's
    code keeps of it, where the encoder can tell.

    Raises:
        ValueError: the file cannot be written, or the environment renders nothing.
    """
    folder = agent_folder(run, checkpoint)
    config, _ = _playing(folder, env)
    base = build_monitored(
        config.environment,
        n_envs=1,
        seed=seed,
        backend="gymnasium",
        episode_seeds=[[seed]],
        render_mode="rgb_array",
    )
    encoder = load_encoder(run, config, device)
    venv = build_venv(config, encoder, base, training=False)
    model = _load_to_play(config, venv, folder)
    act, done = _acting(model, True), False
    observations: Any = venv.reset()
    frames: list[Array] = []
    while not done:
        frames.append(_picture(venv, encoder))
        observations, _, dones, _ = venv.step(act(observations))
        done = bool(dones[0])
    venv.close()
    rate = gymnasium_of(venv).metadata.get("render_fps", FRAMES_PER_SECOND)
    return _write_video(video, frames, max(1, rate // config.environment.frame_skip))


def _load_to_play(config: AgentConfig, venv: VecNormalize, folder: Path) -> BaseAlgorithm:
    with warnings.catch_warnings():
        warnings.filterwarnings(
            "ignore", "You have specified a mini-batch size"
        )  # nothing is trained
        model = build(config, venv)
    restore(folder, model, venv, replay=False)  # which has another number of environments
    if isinstance(model, DQN):
        model.exploration_rate = model.exploration_final_eps
    return model


def _acting(model: BaseAlgorithm, deterministic: bool) -> Act:
    every = getattr(model, "sde_sample_freq", -1)
    steps = itertools.count()

    def act(observations: Any) -> Array:
        step = next(steps)
        if (
            not deterministic
            and getattr(model, "use_sde", False)
            and (step == 0 or (every > 0 and step % every == 0))
        ):
            model.policy.reset_noise(len(observations))  # type: ignore[operator]
        return model.predict(observations, deterministic=deterministic)[0]

    return act


def _picture(venv: VecEnv, encoder: Autoencoder | None) -> Array:
    image = venv.get_images()[0]
    if image is None:
        raise ValueError("this environment renders no rgb_array, so there is nothing to record")
    if encoder is None or encoder.decoder is None or not is_image(encoder.observation_space):
        return np.asarray(image)
    seen = model_images(encoder, encoder.reconstruct(frames_seen(venv)))[0]
    height = image.shape[0]
    kept = cv2.resize(seen, (height, height), interpolation=cv2.INTER_NEAREST)
    return np.concatenate([image, kept], axis=1)


def _write_video(path: Path, frames: list[Array], fps: int) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix == ".gif":
        scale = min(1.0, GIF_WIDTH / frames[0].shape[1])
        small = [
            cv2.resize(frame, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
            for frame in frames
        ]
        path.write_bytes(gif(small, fps))
        return path
    height, width, _ = frames[0].shape
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"mp4v"), fps, (width, height))
    if not writer.isOpened():
        raise ValueError(f"cannot write a video to {path}; the name must end in .mp4 or .gif")
    for frame in frames:
        writer.write(cv2.cvtColor(frame, cv2.COLOR_RGB2BGR))
    writer.release()
    return path
