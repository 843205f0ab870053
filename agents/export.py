"""Agents in the files of plain Stable-Baselines3, and what ``scripts/share.py`` does."""

from __future__ import annotations

import tempfile
from pathlib import Path

from agents.checkpoint import copy_agent, read_agent
from agents.clipped_actions import remove_units
from agents.evaluate import agent_folder, config_in, load_encoder, load_for_evaluation
from agents.share import agent_card, encoder_files, is_run, push_agent
from agents.venv import build_monitored, build_venv
from latentrl import load, push_to_hub
from latentrl.models.autoencoder import Autoencoder
from latentrl.share import export_onnx, model_card
from latentrl.share.card import CARD
from latentrl.utils.io import write_bytes, write_text


def export_zip(run: Path, out: Path, *, env: str | None = None, trust: bool = False) -> list[Path]:
    """Write a run's best agent as plain SB3 stores one, for ``PPO.load`` and the like.

    Args:
        run: folder of a training run.
        out: folder of ``agent.zip`` and, where observations are normalised, ``vecnormalize.pkl``.
            Both are pickles: whoever loads one runs what is in it.
        env: another environment with the same spaces; None is the one of training.
        trust: whether to import the module that the agent's folder names as its environment.

    Returns:
        The files.

    Raises:
        FileNotFoundError: there is no agent.
        ValueError: the environment has other spaces, or its module is neither trusted nor named.
    """
    folder = agent_folder(run)
    config = config_in(folder, env, trust=trust)[0]
    bare = build_monitored(config.environment, n_envs=1, seed=0, backend="gymnasium")
    venv = build_venv(config, load_encoder(run, config, "cpu"), bare, training=False)
    try:
        model = load_for_evaluation(config, venv, folder)
        remove_units(model)
        with tempfile.TemporaryDirectory() as temporary:
            files = [Path(temporary) / "agent.zip"]
            model.save(files[0])
            if venv.norm_obs:
                files.append(Path(temporary) / "vecnormalize.pkl")
                venv.save(str(files[1]))
            for file in files:
                write_bytes(out / file.name, file.read_bytes())
        return [out / file.name for file in files]
    finally:
        venv.close()


def export_run(run: Path, out: Path) -> Path:
    """Copy the best agent of a run and its encoder: what evaluates it, and not what resumes it.

    Args:
        run: folder of a training run.
        out: folder of the copy, which ``evaluate_agent.py --agent`` takes.

    Returns:
        ``out``.

    Raises:
        FileNotFoundError: there is no agent.
        ValueError: there is an agent in ``out``, or the run's is damaged.
    """
    if is_run(out):
        raise ValueError(f"{out} already holds an agent: choose another folder")
    folder = agent_folder(run)
    config = read_agent(folder)[0]
    for name in encoder_files(config):
        write_bytes(out / name, (run / name).read_bytes())
    copy_agent(folder, out / "best")
    return out


def _new_card(path: Path, text: str) -> Path:
    if path.exists():
        raise ValueError(f"{path} is there already: edit it, or remove it for a new one")
    write_text(path, text)
    return path


def _encoder(folder: Path, agent: bool) -> Autoencoder:
    if not agent:
        return load(folder, "cpu")
    encoder = load_encoder(folder, read_agent(agent_folder(folder))[0], "cpu")
    if encoder is None:
        raise ValueError(f"the agent in {folder} learns from pixels and has no encoder")
    return encoder


def share(
    folder: Path,
    *,
    card: bool = False,
    repo: str | None = None,
    private: bool = False,
    license: str | None = None,
    onnx: Path | None = None,
    sb3: Path | None = None,
    copy: Path | None = None,
    env: str | None = None,
    trust: bool = False,
) -> list[str]:
    """Write the card, upload, and export the encoder or the agent in ``folder``.

    Args:
        folder: folder of an encoder or of a training run.
        card: whether to write ``README.md``, to be edited before an upload.
        repo: repository on the Hub to upload to; None uploads nothing.
        private: whether a new repository is private.
        license: license in the card.
        onnx: folder of the encoder as ONNX; None writes none.
        sb3: folder of the agent as ``export_zip`` writes it; None writes none.
        copy: folder of the agent and its encoder as ``export_run`` copies them; None copies none.
        env: environment of the agent, as in ``export_zip``.
        trust: as in ``export_zip``.

    Returns:
        Paths and addresses of what was made.

    Raises:
        ValueError: nothing is asked for, ``sb3`` or ``copy`` is for an encoder, or there is a card
            or a copy already.
        FileNotFoundError, PermissionError, ImportError: as in ``push_to_hub`` and ``export_onnx``.
    """
    agent = is_run(folder)
    if not (card or repo or onnx or sb3 or copy):
        raise ValueError(
            "nothing to do: choose one or more of --card, --repo, --onnx, --sb3 and --copy"
        )
    for flag, out in (("--sb3", sb3), ("--copy", copy)):
        if out is not None and not agent:
            raise ValueError(f"{folder} holds no agent, which {flag} needs: give a training run")
    made: list[str | Path] = []
    if card:
        text = (agent_card if agent else model_card)(folder, repo or "user/name", license)
        made.append(_new_card(folder / CARD, text))
    if onnx is not None:
        made += export_onnx(_encoder(folder, agent), onnx)
    if sb3 is not None:
        made += export_zip(folder, sb3, env=env, trust=trust)
    if copy is not None:
        made.append(export_run(folder, copy))
    if repo is not None:
        upload = push_agent if agent else push_to_hub
        made.append(upload(folder, repo, private=private, license=None if card else license))
    return [str(item) for item in made]
