"""The main job in small: frames, encoder, agent, evaluation, and a table of what came of it."""

from __future__ import annotations

import time
from dataclasses import dataclass

from agents.evaluate import Evaluation, evaluate_agent, evaluate_random
from agents.pretrain import PretrainConfig, Pretrained, pretrain
from agents.train import TrainConfig, Trained, train


@dataclass(frozen=True)
class DemoConfig:
    """The main job in small, on the real CarRacing."""

    env: str = "CarRacing-v2"
    """Gymnasium id."""
    frames: int = 12_000
    """Frames to pretrain on, one per decision."""
    epochs: int = 12
    """Passes over them."""
    timesteps: int = 120_000
    """Decisions that the agent trains for."""
    tracks: int = 10
    """Unseen episodes to evaluate on."""
    seed: int = 0
    """Seed of everything."""


@dataclass(frozen=True)
class Demo:
    """What the demo reached."""

    pretrained: Pretrained
    """The encoder."""
    trained: Trained
    """The agent."""
    random: Evaluation
    """Uniform random actions on the unseen tracks."""
    agent: Evaluation
    """The trained agent on the same tracks."""
    seconds: dict[str, float]
    """Wall time of each stage."""

    def __str__(self) -> str:
        """A table."""
        skip = self.trained.config.environment.frame_skip
        frames = len(self.pretrained.frames)
        decisions = self.trained.decisions
        rows = [
            ("random policy", _score(self.random)),
            ("agent after training", _score(self.agent)),
            ("frames for the encoder", f"{frames:,} ({frames * skip:,} environment frames)"),
            (
                "frames for the agent",
                f"{decisions:,} decisions ({decisions * skip:,} environment frames)",
            ),
            *((f"time: {stage}", f"{seconds:.0f} s") for stage, seconds in self.seconds.items()),
            ("time: in all", f"{sum(self.seconds.values()) / 60:.1f} min"),
        ]
        return "\n".join(f"  {name:<24} {value}" for name, value in rows)


def demo(config: DemoConfig) -> Demo:
    """Run every stage."""
    pretrained = pretrain(
        PretrainConfig(env=config.env, frames=config.frames, epochs=config.epochs, seed=config.seed)
    )
    start = time.perf_counter()
    trained = train(
        TrainConfig(
            env=config.env, vae=pretrained.path, timesteps=config.timesteps, seed=config.seed
        )
    )
    done = time.perf_counter()
    agent = evaluate_agent(trained.path, config.tracks)
    random = evaluate_random(trained.config.environment, config.tracks)
    seconds = {
        "collecting": pretrained.collect_seconds,
        "pretraining": pretrained.fit_seconds,
        "training": done - start,
        "evaluating": time.perf_counter() - done,
    }
    return Demo(pretrained, trained, random, agent, seconds)


def _score(evaluation: Evaluation) -> str:
    return f"{evaluation.mean:.0f} +- {evaluation.std:.0f} over {len(evaluation.returns)} unseen tracks"
