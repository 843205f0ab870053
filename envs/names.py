"""The grammar of ``--env``: four ways to name an environment."""

from __future__ import annotations

import contextlib
import inspect
import warnings
from collections.abc import Callable, Iterator
from typing import Any

import gymnasium as gym

from envs.third_party import advice, register_id
from latentrl.utils.environments import raised
from latentrl.utils.modules import import_named


def make_by_name(name: str, **options: Any) -> gym.Env[Any, Any]:
    """Make the environment that ``name`` names; every ``--env`` flag takes the same four forms.

    ===================  =========================================================================
    ``CartPole-v1``      A Gymnasium id. One that is unknown imports the installed package that
                         registers it, as ``envs.third_party`` finds it.
    ``package:Id-v0``    A Gymnasium id that the import of ``package`` registers.
    ``module:Class``     A subclass of ``gymnasium.Env``; ``options`` go to its constructor.
    ``module:function``  A function that returns a ``gymnasium.Env`` and takes ``options``.
    ===================  =========================================================================

    Modules are found on ``sys.path``, which in the scripts begins with the current folder. What
    follows the colon is read as an attribute of the module if it has one of that name, else as an
    id.

    Args:
        name: one of the four forms.
        options: keyword arguments, such as ``render_mode="rgb_array"``.

    Raises:
        ValueError: the module cannot be imported, has no such class, function or id, the attribute
            does not take ``options`` or raises, it makes something else, or a bare id is unknown;
            the message then lists similar ones.
        gymnasium.error.Error: Gymnasium lacks a dependency of the environment.
    """
    module, _, target = name.rpartition(":")
    if not module:
        return _make_id(name, options)
    maker = getattr(_import(module, name), target, None)
    if maker is None:
        return _make_imported_id(module, target, name, options)
    if not callable(maker):
        raise ValueError(
            f"{name} is a {type(maker).__name__}: expected a class or a function that makes a "
            "gymnasium.Env"
        )
    _check_takes(maker, name, options)
    with _named_errors(name):
        env = maker(**options)
    if not isinstance(env, gym.Env):
        raise ValueError(f"{name} made a {_kind(env)}, expected a gymnasium.Env{_remedy(env)}")
    return env


def takes_render_mode(name: str) -> bool:
    """Return whether what ``name`` names takes a render mode: an id does, a class need not."""
    module, _, target = name.rpartition(":")
    maker = getattr(_import(module, name), target, None) if module else None
    return not callable(maker) or _misfit(maker, {"render_mode": None}, partial=True) is None


def registered_id(name: str) -> str:
    """Return the Gymnasium id in ``name``: what follows ``package:``, all of it for other forms."""
    target = name.rpartition(":")[2]
    # An id has a version, as in Name-v0, and a name in Python has no hyphen.
    return name if target.isidentifier() else target


@contextlib.contextmanager
def _named_errors(name: str) -> Iterator[None]:
    """Turn what the code of an environment raises into a ``ValueError`` that names it."""
    try:
        yield
    except gym.error.Error:
        raise
    except Exception as error:
        raise ValueError(f"{name} cannot be made: {raised(error)}") from error


def _kind(env: Any) -> str:
    return f"{type(env).__module__}.{type(env).__name__}".removeprefix("builtins.")


def _remedy(env: Any) -> str:
    """Return what to do about an environment that is none of Gymnasium's, if it looks like one."""
    if not (hasattr(env, "reset") and hasattr(env, "step")):
        return ""
    if hasattr(env, "possible_agents"):
        return ", of several agents: make an environment of one of them, with the others inside"
    return (
        ": derive the class from it, or wrap an environment of the old package gym by shimmy, "
        "gymnasium.make('GymV21Environment-v0', env=env)"
    )


def _make_id(env_id: str, options: dict[str, Any]) -> gym.Env[Any, Any]:
    try:
        return _make_registered(env_id, options)
    except gym.error.UnregisteredEnv:
        register_id(env_id)
    try:
        return _make_registered(env_id, options)
    except gym.error.UnregisteredEnv as error:
        raise ValueError(f"{error} {advice(env_id)}") from error


def _make_registered(env_id: str, options: dict[str, Any]) -> gym.Env[Any, Any]:
    with warnings.catch_warnings():
        # Somebody who names an older version wants it.
        warnings.filterwarnings("ignore", ".*is out of date", DeprecationWarning)
        with _named_errors(env_id):
            return gym.make(env_id, **options)


def _make_imported_id(
    module: str, env_id: str, name: str, options: dict[str, Any]
) -> gym.Env[Any, Any]:
    try:
        return _make_registered(env_id, options)
    except gym.error.UnregisteredEnv as error:
        raise ValueError(
            f"no environment {name}: module {module!r} has no class or function {env_id!r}, and "
            f"its import registers no Gymnasium id {env_id!r} ({error})"
        ) from error


def _import(module: str, name: str) -> Any:
    if module.endswith(".py"):
        raise ValueError(
            f"{name} names a file: write {name.replace('.py:', ':').replace('/', '.')}, without .py"
        )
    return import_named(
        module,
        f"cannot import {module!r} for {name}; run from the folder that has {module}.py, or "
        "install its package",
    )


def _check_takes(maker: Callable[..., Any], name: str, options: dict[str, Any]) -> None:
    if (error := _misfit(maker, options, partial=True)) is not None:
        raise ValueError(
            f"{name} does not take the arguments {', '.join(options)} ({error}); rendering needs "
            "an argument render_mode"
        ) from error
    if (error := _misfit(maker, options)) is not None:
        raise ValueError(
            f"{name} needs arguments ({error}): name a function that makes it with them, as "
            "module:function"
        ) from error


def _misfit(
    maker: Callable[..., Any], options: dict[str, Any], partial: bool = False
) -> TypeError | None:
    """Return the error of a call with all arguments, or a part of them; None if they fit."""
    try:
        signature = inspect.signature(maker)
    except ValueError:  # some classes that are built in have none
        return None
    try:
        signature.bind_partial(**options) if partial else signature.bind(**options)
    except TypeError as error:
        return error
    return None
