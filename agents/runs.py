"""Where results go: ``runs/KIND/ENVIRONMENT/NAME``."""

from __future__ import annotations

from pathlib import Path

RUNS = Path("runs")


def env_folder(kind: str, env_id: str) -> Path:
    """Return the folder of all runs of a kind ("frames", "vae", "agents") on an environment."""
    return RUNS / kind / env_id.replace("/", "_").replace(":", ".")


def new_run(kind: str, env_id: str, name: str) -> Path:
    """Return a folder that does not exist yet: ``name-1``, ``name-2``, and so on."""
    parent = env_folder(kind, env_id)
    number = 1
    while (parent / f"{name}-{number}").exists():
        number += 1
    return parent / f"{name}-{number}"


def newest_run(kind: str, env_id: str, marker: str, name: str = "*") -> Path | None:
    """Return the run whose file ``marker`` is newest, None where there is none."""
    files = env_folder(kind, env_id).glob(f"{name}/{marker}")
    newest = max(files, key=lambda file: file.stat().st_mtime, default=None)
    return None if newest is None else newest.parents[marker.count("/")]
