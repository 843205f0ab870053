"""The latent explorer of a trained encoder, of the frames of its pretraining, others, or visits."""

from __future__ import annotations

from pathlib import Path

from agents.checkpoint import read_agent
from agents.evaluate import agent_folder
from agents.pretrain import collect_frames
from agents.pretrain_config import read_config, read_data
from agents.pretrain_images import EXPLORER
from agents.visits import Visits, visit
from latentrl import Frames, load
from latentrl.cli.data import open_data, open_labels
from latentrl.models.autoencoder import Autoencoder
from latentrl.types import Array
from latentrl.viz.explorer import explore


def explore_model(
    path: Path | None,
    data: Path | None = None,
    out: Path | None = None,
    device: str = "auto",
    agent: Path | None = None,
    trust: bool = False,
) -> Path:
    """Write the explorer of a model, and return the path of the file.

    Args:
        path: folder of the model; None is the encoder of ``agent``.
        data: observations that ``open_data`` opens; None opens those of the pretraining, and
            collects frames of its environment again where they are missing. Without ``path`` it is
            the frames that the agent visits.
        out: the file to write; None is ``latent.html`` beside the model or in the agent's folder.
        device: device of the model.
        agent: folder of a training run, whose agent plays the episode of the page.
        trust: whether to import the module that the agent's folder names as its environment.

    Raises:
        FileNotFoundError: there is no model, no agent or no data.
        ValueError: there is neither model nor agent, or the model does not take the observations,
            or is not of images.
        TypeError: the model has no decoder.
    """
    folder = path or agent
    if folder is None:
        raise ValueError("the explorer is of a model or of an agent: add --model or --agent")
    if path is None and not read_agent(agent_folder(folder))[0].latent:
        raise ValueError("this agent learns from pixels: add --model with an encoder to explore")
    visits = None if agent is None else visit(agent, device, trust=trust)
    encoder, episode = (visits.encoder, visits.episode) if visits else (None, None)
    model = encoder if path is None else load(path, device=device)
    assert model is not None
    frames = _frames(path, data, model, visits)
    return explore(
        model,
        frames,
        folder / EXPLORER if out is None else out,
        episode=episode,
        factors=None if data is None or frames.factors else _label(data, frames),
    )


def _frames(
    path: Path | None, data: Path | None, model: Autoencoder, visits: Visits | None
) -> Frames:
    if data is not None:
        return open_data(data, model)
    if path is None:
        assert visits is not None
        return visits.frames
    config = read_config(path)
    opened = read_data(config)
    return collect_frames(config) if opened is None else opened


def _label(data: Path, frames: Frames) -> dict[str, Array] | None:
    labels = open_labels(data, frames)
    return None if labels is None else {"label": labels}
