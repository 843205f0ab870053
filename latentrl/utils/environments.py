"""What identifies an environment: its id, its keyword arguments, and the version of its package."""

from __future__ import annotations

import importlib.metadata
import json
import sys
from typing import Any

import gymnasium as gym
from gymnasium.vector import VectorEnv


def name_of(env: gym.Env[Any, Any] | VectorEnv[Any, Any, Any]) -> str:
    """Return the id of ``env``, or the name of its class where it has none."""
    return env.spec.id if env.spec is not None else type(env.unwrapped).__name__


def description(env: gym.Env[Any, Any] | VectorEnv[Any, Any, Any]) -> dict[str, Any]:
    """Return what makes frames of ``env`` comparable, in JSON: its id and keyword arguments."""
    arguments = {} if env.spec is None else json.loads(json.dumps(env.spec.kwargs, default=_kind))
    return {"id": name_of(env), **({"kwargs": arguments} if arguments else {})}


def _kind(value: Any) -> str:
    # The text of an object has its address in it, which differs from process to process.
    return type(value).__qualname__


def package_version(env: gym.Env[Any, Any]) -> str | None:
    """Return package and version of the class of ``env``, such as ``ale_py 0.11``, or None."""
    package = type(env.unwrapped).__module__.partition(".")[0]
    try:
        version: str | None = importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        version = getattr(sys.modules.get(package), "__version__", None)
    return version and f"{package} {version}"
