"""Collect frames of an environment and pretrain an encoder on them."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Iterator
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from agents.pretrain import PretrainConfig, Pretrained, pretrain
from agents.pretrain_config import environment_of, kind, may_be_grey
from agents.runs import newest_run
from latentrl import Autoencoder
from latentrl.cli import suggestions
from latentrl.models.preprocessing import is_image
from scripts.cli import run


def main(config: PretrainConfig) -> None:
    """Collect frames of an environment and pretrain an encoder on them."""
    report(pretrain(config))


def report(result: Pretrained) -> None:
    """Print what was reached, where it is and what to run next."""
    model, epochs = result.model, result.history.epochs
    frames = f"{len(result.frames):,} {kind(result.frames.space)}"
    print(
        f"\n{model.config.model} with {model.latent_dim} latents, from {frames}, in {result.path}"
    )
    if may_be_grey(result.frames):
        print("read as sequences; for grey images add a channel axis, array[..., None]")
    if epochs:
        print(
            f"validation: {', '.join(_figures(model, min(epochs, key=lambda row: row['validation/loss'])))}"
        )
    for picture in result.pictures:
        print(f"  {picture}")
    print("next:")
    for words in [["tensorboard", "--logdir", "runs"], *next_commands(result)]:
        print(f"  {shlex.join(words)}")


def _figures(model: Autoencoder, row: dict[str, float]) -> Iterator[str]:
    yield f"{row['validation/loss']:.1f} nats per frame"
    if is_image(model.observation_space):
        yield f"PSNR {row['psnr']:.1f} dB"
    if model.variational:
        yield f"KL {row['kl']:.1f} nats"
    yield f"{row['active_units']:.0f} active units"


def next_commands(result: Pretrained) -> list[list[str]]:
    """Return what to run next: an agent where there is an environment, else uses of the model
    itself.
    """
    env, data, path = environment_of(result.frames), result.config.data, result.path
    if env is None and data is not None:
        return [
            ["python", "scripts/autoencode.py", *words]
            for words in suggestions(result.model, path, data)
        ]
    if env is None:
        return []
    words = ["python", "scripts/train_agent.py", "--latent"]
    words += [] if env == "CarRacing-v2" else ["--env", env]
    return [
        words
        + ([] if newest_run("vae", env, "model.safetensors") == path else ["--vae", str(path)])
    ]


if __name__ == "__main__":
    run(PretrainConfig, main)
