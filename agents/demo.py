"""The demo: pretrain, train and evaluate at a small scale, and print a table of the results."""

from __future__ import annotations

import time
from dataclasses import dataclass

from agents.evaluate import evaluate_agent, evaluate_random
from agents.play import Evaluation
from agents.pretrain import PretrainConfig, Pretrained, pretrain
from agents.train import TrainConfig, Trained, train
from envs.families import family_of


@dataclass(frozen=True)
class DemoConfig:
    """Pretrain, train and evaluate at a small scale, on Gymnasium's CarRacing."""

    env: str = "CarRacing-v2"
    """Gymnasium id."""
    frames: int | None = None
    """Frames to pretrain on, one per timestep; the default of pretraining if not given."""
    steps: int | None = None
    """Gradient steps of the pretraining; its default if not given."""
    timesteps: int = 120_000
    """Timesteps of the agent's training, with the shaping of the environment's family."""
    tracks: int = 10
    """Test episodes."""
    seed: int = 0
    """Seed of collection, pretraining and training."""


@dataclass(frozen=True)
class Demo:
    """Results of the demo."""

    pretrained: Pretrained
    """The encoder."""
    trained: Trained
    """The agent."""
    shaped: bool
    """Whether the training had the shaping of the environment's family."""
    random: Evaluation
    """Uniform random actions on the test episodes."""
    agent: Evaluation
    """The trained agent on the same episodes."""
    seconds: dict[str, float]
    """Wall time of each stage."""

    def __str__(self) -> str:
        """Table of returns, frames and times."""
        skip = self.trained.config.environment.frame_skip
        frames = len(self.pretrained.frames)
        timesteps = self.trained.timesteps
        rows = [
            ("random policy", _returns(self.random)),
            ("agent after training", _returns(self.agent)),
            ("frames for the encoder", f"{frames:,} ({frames * skip:,} env frames)"),
            (
                "timesteps of the agent",
                f"{timesteps:,} timesteps ({timesteps * skip:,} env frames)",
            ),
            *((f"time: {stage}", f"{seconds:.0f} s") for stage, seconds in self.seconds.items()),
            ("time: in all", f"{sum(self.seconds.values()) / 60:.1f} min"),
        ]
        return "\n".join(f"  {name:<24} {value}" for name, value in rows)


def demo(config: DemoConfig) -> Demo:
    """Run every stage."""
    pretrained = pretrain(
        PretrainConfig(env=config.env, frames=config.frames, steps=config.steps, seed=config.seed)
    )
    family = family_of(config.env)
    shaped = family.shaping is not None
    start = time.perf_counter()
    trained = train(
        TrainConfig(
            env=config.env,
            vae=pretrained.path,
            timesteps=config.timesteps,
            shaping=shaped,
            novelty=None,  # the rewards are not sparse
            eval_every=2 * config.timesteps,  # one validation, at the end
            seed=config.seed,
        )
    )
    done = time.perf_counter()
    agent = evaluate_agent(trained.path, config.tracks)
    # Random actions do not depend on how frames are drawn.
    backend = "gymnasium" if family.drawn is None else "drawn"
    random = evaluate_random(trained.config.environment, config.tracks, backend=backend)
    seconds = {
        "collecting": pretrained.collect_seconds,
        "pretraining": pretrained.fit_seconds,
        "training": done - start,
        "evaluating": time.perf_counter() - done,
    }
    return Demo(pretrained, trained, shaped, random, agent, seconds)


def _returns(evaluation: Evaluation) -> str:
    episodes = len(evaluation.returns)
    return f"{evaluation.mean:.0f} +- {evaluation.std:.0f} over {episodes} held-out tracks"
