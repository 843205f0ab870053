"""Folders of results: ``runs/KIND/ENVIRONMENT/NAME``."""

from __future__ import annotations

from pathlib import Path

RUNS = Path("runs")


def env_folder(kind: str, env_id: str) -> Path:
    """Return the folder of all runs of a kind ("frames", "vae", "agents") on an environment."""
    return RUNS / kind / env_id.replace("/", "_").replace(":", ".")


def new_run(kind: str, env_id: str, name: str) -> Path:
    """Return the first folder of ``name-1``, ``name-2`` and so on that does not exist yet."""
    parent = env_folder(kind, env_id)
    number = 1
    while (parent / f"{name}-{number}").exists():
        number += 1
    return parent / f"{name}-{number}"


def newest_run(kind: str, env_id: str, marker: str, name: str = "*") -> Path | None:
    """Return the run whose file ``marker`` is newest, None where there is none.

    Args:
        kind: "frames", "vae" or "agents".
        env_id: environment of the runs.
        marker: path of a file inside the run's folder.
        name: glob pattern of the folder's name.
    """
    files = env_folder(kind, env_id).glob(f"{name}/{marker}")
    newest = max(files, key=lambda file: file.stat().st_mtime, default=None)
    return None if newest is None else newest.parents[marker.count("/")]
