"""What identifies an environment, and what its code raised."""

from __future__ import annotations

import importlib.metadata
import json
import sys
import sysconfig
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

import gymnasium as gym
from gymnasium.vector import VectorEnv

STDLIB, PACKAGE = Path(sysconfig.get_path("stdlib")), Path(__file__).resolve().parents[1]
GYMNASIUM_ENVS = [
    ["envs", group]
    for group in ("box2d", "classic_control", "mujoco", "phys2d", "tabular", "toy_text")
]
FOUNDATIONS = ("cv2", "gymnasium", "numpy", "scipy", "torch")
"""Packages that environments are built on."""


def name_of(env: gym.Env[Any, Any] | VectorEnv[Any, Any, Any]) -> str:
    """Return the id of ``env``, or the name of its class where it has none."""
    return env.spec.id if env.spec is not None else type(env.unwrapped).__name__


def described(env: gym.Env[Any, Any]) -> dict[str, Any]:
    """Return what a vector environment of ``env`` keeps in its metadata.

    ``"environment"`` is what makes frames comparable, its id and keyword arguments in JSON;
    ``"package"`` is package and version of its class, such as ``ale_py 0.11``, or None.
    """
    arguments = {} if env.spec is None else json.loads(json.dumps(env.spec.kwargs, default=_kind))
    environment = {"id": name_of(env), **({"kwargs": arguments} if arguments else {})}
    return {"environment": environment, "package": _package(env)}


def described_vector(envs: VectorEnv[Any, Any, Any]) -> dict[str, Any]:
    """Return what makes the frames of a vector environment comparable, in JSON.

    It is ``envs.metadata["environment"]``, if whoever made the environment set it; otherwise the
    description of its first environment, or of ``envs`` where that one is out of reach. Where the
    first one lives in a worker process, as of an ``AsyncVectorEnv``, its maker makes one more here.
    """
    if "environment" in envs.metadata:
        given: dict[str, Any] = envs.metadata["environment"]
        return given
    if envs.spec is not None:
        return {"id": name_of(envs)}
    inside = getattr(envs.unwrapped, "envs", None)
    if isinstance(inside, list | tuple) and inside and isinstance(inside[0], gym.Env):
        own: dict[str, Any] = described(inside[0])["environment"]
        return own
    makers = getattr(envs.unwrapped, "env_fns", None)
    return _described_made(makers[0]) if makers else {"id": name_of(envs)}


def _described_made(maker: Callable[[], gym.Env[Any, Any]]) -> dict[str, Any]:
    # The name of a maker says little: all lambdas share one. ``AsyncVectorEnv`` itself makes an
    # environment in this process as well, for its spaces.
    env = maker()
    try:
        own: dict[str, Any] = described(env)["environment"]
    finally:
        env.close()
    return own


def raised(error: BaseException) -> str:
    """Return type, place and message of an exception in one line.

    The place is the newest line outside Python's own modules, this package and the packages that
    environments are built on, which only raise what that line caused.
    """
    frames = traceback.extract_tb(error.__traceback__)
    own = [frame for frame in frames if not _is_foundation(Path(frame.filename))]
    place = (own or frames)[-1]
    message = " ".join(str(error).split())
    return f"{type(error).__name__} in {Path(place.filename).name}, line {place.lineno}: {message}"


def _is_foundation(file: Path) -> bool:
    for folder in ("site-packages", "dist-packages"):
        if folder in file.parts:
            package, *inside = file.parts[file.parts.index(folder) + 1 :]
            # Gymnasium's own environments are no foundation of theirs.
            return package in FOUNDATIONS and inside[:2] not in GYMNASIUM_ENVS
    frozen = str(file).startswith("<frozen")
    return frozen or any(file.is_relative_to(root) for root in (STDLIB, PACKAGE))


def _kind(value: Any) -> str:
    # The text of an object has its address in it, which differs from process to process.
    return type(value).__qualname__


def _package(env: gym.Env[Any, Any]) -> str | None:
    name = type(env.unwrapped).__module__.partition(".")[0]
    try:
        version: str | None = importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        version = getattr(sys.modules.get(name), "__version__", None)
    return version and f"{name} {version}"
