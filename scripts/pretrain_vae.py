"""Collect frames of an environment and pretrain an encoder on them."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from agents.pretraining import PretrainConfig, Pretrained, pretrain
from agents.runs import newest_run
from scripts.cli import run


def main(config: PretrainConfig) -> None:
    """Collect frames of an environment and pretrain an encoder on them."""
    report(pretrain(config))


def report(result: Pretrained) -> None:
    """Print what was reached, where it is and what to run next."""
    model, epochs = result.model, result.history.epochs
    print(
        f"\n{model.config.model} with {model.latent_dim} latents, from {len(result.frames):,} frames, in {result.path}"
    )
    if epochs:
        best = min(epochs, key=lambda row: row["validation/loss"])
        print(
            f"validation: {best['validation/loss']:.1f} nats per frame, PSNR {best['psnr']:.1f} dB, "
            f"KL {best['kl']:.1f} nats, {best['active_units']:.0f} active units"
        )
    for picture in result.pictures:
        print(f"  {picture}")
    print("next:")
    print("  tensorboard --logdir runs")
    if env := result.frames.metadata.get("environment", {}).get("id"):
        words = ["python", "scripts/train_agent.py", "--latent"]
        words += [] if env == "CarRacing-v2" else ["--env", env]
        words += [] if newest_run("vae", env, "model.safetensors") == result.path else ["--vae", str(result.path)]
        print(f"  {shlex.join(words)}")


if __name__ == "__main__":
    run(PretrainConfig, main)
