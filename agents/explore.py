"""The latent explorer of a trained encoder, of the frames of its pretraining, others, or visits."""

from __future__ import annotations

from pathlib import Path

from agents.checkpoint import read_agent
from agents.evaluate import agent_folder, load_encoder
from agents.pretrain import collect_frames
from agents.pretrain_config import FLAGS_FILE, read_config, read_data
from agents.visits import visit
from latentrl import Frames, load
from latentrl.cli.data import open_data, open_labels
from latentrl.models.autoencoder import Autoencoder
from latentrl.share.card import EXPLORER
from latentrl.types import Array
from latentrl.utils.hub import Repository, is_reference
from latentrl.viz.explorer import explore


def explore_model(
    path: Path | None,
    data: Path | None = None,
    out: Path | None = None,
    device: str = "auto",
    agent: Path | None = None,
    *,
    env: str | None = None,
    trust: bool = False,
) -> Path:
    """Write the explorer of a model, and return the path of the file.

    Args:
        path: folder of the model, or ``hf://user/name`` on the Hugging Face Hub, which needs
            ``data`` and ``out``; None is the encoder of ``agent``.
        data: observations that ``open_data`` opens; None opens those of the pretraining, and
            collects frames of its environment again where they are missing. Without ``path`` it is
            the frames that the agent visits.
        out: the file to write; None is ``latent.html`` beside the model or in the agent's folder.
        device: device of the model.
        agent: folder of a training run, whose agent plays the episode of the page.
        env: environment in which it plays; None is its own.
        trust: whether to import the module that the agent's folder names as its environment.

    Raises:
        FileNotFoundError: there is no model, no agent or no data.
        ValueError: there is neither model nor agent, or the model does not take the observations,
            is not of images, or is of the Hub and lacks ``data`` or ``out``.
        TypeError: the model has no decoder.
    """
    folder = path or agent
    if folder is None:
        raise ValueError("the explorer is of a model or of an agent: add --model or --agent")
    if env is not None and agent is None:
        raise ValueError("env is the environment in which an agent plays: add --agent")
    if path is not None and is_reference(path):
        _check_reference(path, data, out)
    # The agent plays last: an error in a flag does not take its 1,000 timesteps.
    if agent is not None:
        agent_folder(agent)
    model = _encoder_of(folder, device) if path is None else load(path, device)
    model.require_decoder()
    opened = _open(path, data, model)
    labels = None if data is None or opened is None else _label(data, opened)
    visits = None if agent is None else visit(agent, device, env=env, trust=trust)
    frames = visits.frames if opened is None and visits is not None else opened
    assert frames is not None
    return explore(
        model,
        frames,
        folder / EXPLORER if out is None else out,
        episode=None if visits is None else visits.episode,
        factors=labels,
    )


def _check_reference(path: Path, data: Path | None, out: Path | None) -> None:
    flags = {"--data FILE": data, "--out FILE": out}
    missing = [flag for flag, given in flags.items() if given is None]
    reference = Repository.parse(path)
    if missing:
        raise ValueError(
            f"{reference} is no folder of a pretraining to read frames from and to write to: "
            f"add {' and '.join(missing)}"
        )


def _encoder_of(run: Path, device: str) -> Autoencoder:
    encoder = load_encoder(run, read_agent(agent_folder(run))[0], device)
    if encoder is None:
        raise ValueError("this agent learns from pixels: add --model with an encoder to explore")
    return encoder


def _open(path: Path | None, data: Path | None, model: Autoencoder) -> Frames | None:
    """Open the frames of the page; None for those that the agent will visit."""
    if data is not None:
        return open_data(data, model)
    if path is None:
        return None
    if not (path / FLAGS_FILE).exists():
        raise FileNotFoundError(f"{path} has no {FLAGS_FILE} for its frames: add --data FILE")
    config = read_config(path)
    frames = read_data(config)
    return collect_frames(config) if frames is None else frames


def _label(data: Path, frames: Frames) -> dict[str, Array] | None:
    """Return the labels that come with ``data``, for frames without known factors."""
    labels = None if frames.factors else open_labels(data, frames)
    return None if labels is None else {"label": labels}
