"""Collect frames of an environment and pretrain an encoder on them."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from agents.pretrain import PretrainConfig, Pretrained, can_train_agent, find_encoder, pretrain
from agents.pretrain_config import environment_of, kind, may_be_grey, reading_flags
from agents.quality import describe_factors, describe_invariance
from agents.runs import python_script, tensorboard_command
from latentrl import Autoencoder
from latentrl.cli import suggestions
from latentrl.cli.plugins import shell_line
from latentrl.models.preprocessing import is_image
from scripts.cli import run


def main(config: PretrainConfig) -> None:
    """Collect frames of an environment and pretrain an encoder on them."""
    report(pretrain(config))


def report(result: Pretrained) -> None:
    """Print the validation metrics, the files and the next commands."""
    model = result.model
    epochs = result.history.epochs
    frames = f"{len(result.frames):,} {kind(result.frames.observation_space)}"
    print(
        f"\n{model.config.model} with {model.latent_dim} latents, from {frames}, in {result.path}"
    )
    if may_be_grey(result.frames):
        print("read as sequences; for grey images add a channel axis, array[..., None]")
    if epochs:
        best, last = min(epochs, key=lambda row: row["validation/loss"]), epochs[-1]["step"]
        steps = f" after {best['step']:,.0f} of {last:,.0f} gradient steps" if last else ""
        print(f"validation{steps}: {', '.join(_metrics(model, best))}")
    for line in [] if result.quality is None else result.quality.summary():
        print(line)
    for line in [*describe_factors(model), *describe_invariance(model)]:
        print(line)
    for image in result.images:
        print(f"  {image}")
    print("next:")
    for words in [tensorboard_command(result.path), *next_commands(result)]:
        print(f"  {shell_line(words)}")


def _metrics(model: Autoencoder, row: dict[str, float]) -> Iterator[str]:
    yield f"{row['validation/loss']:.1f} nats per observation"
    if is_image(model.observation_space):
        yield f"PSNR {row['psnr']:.1f} dB"
    if model.variational:
        yield f"KL {row['kl']:.1f} nats"
    yield f"{row['active_units']:.0f} active units"


def next_commands(result: Pretrained) -> list[list[str]]:
    """Return the next commands: an agent where one can be trained, else uses of the model."""
    env = environment_of(result.frames)
    data = result.config.data
    if env is not None and can_train_agent(env, result.config):
        poor = result.quality is not None and result.quality.problems()
        compare = [*python_script("study.py"), "compare", "--env", env]
        # The comparison takes the observations themselves, if they are images.
        plain = not (result.config.key or result.config.from_render)
        return [_train_command(env, result)] + ([compare] if poor and plain else [])
    if data is None:
        return []
    verbs = suggestions(result.model, result.path, data, reading_flags(result.config))
    return [[*python_script("autoencode.py"), *words] for words in verbs]


def _train_command(env: str, result: Pretrained) -> list[str]:
    words = [*python_script("train_agent.py"), "--latent"]
    if env != "CarRacing-v2":  # the default
        words += ["--env", env]
    if result.config.key:
        words += ["--key", result.config.key]
    if find_encoder(env, result.config.key) != result.path:
        words += ["--vae", str(result.path)]
    if result.config.max_episode_steps:
        words += ["--max-episode-steps", str(result.config.max_episode_steps)]
    return words


if __name__ == "__main__":
    run(PretrainConfig, main)
