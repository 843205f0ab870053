"""Command lines from dataclasses, with a YAML file of flags, and one-line errors."""

from __future__ import annotations

import json
import shlex
import sys
from collections.abc import Callable, Mapping
from itertools import pairwise
from pathlib import Path
from typing import Any, TypeVar

import gymnasium as gym
import tyro
import yaml

Config = TypeVar("Config")


def run(
    config: type[Config], main: Callable[[Config], None], bare: Mapping[str, str] | None = None
) -> None:
    """Call ``main`` with the command line's settings.

    ``--config FILE`` names a YAML file of flags, without their dashes; flags win over it. A user's
    mistake is printed and ends with status 2; Ctrl-C prints how to go on and ends with 130.
    ``bare`` holds flags that may stand without a value, and the value that they have then.
    """
    sys.path.insert(0, str(Path.cwd()))  # for custom environments, module:Class
    description = (
        f"{main.__doc__} Flags can stand in a YAML file, too, as 'name: value': --config FILE."
    )
    settings = tyro.cli(
        config, description=description, args=_valued(_arguments(sys.argv[1:]), bare or {})
    )
    try:
        main(settings)
    except (ValueError, FileNotFoundError, FloatingPointError, gym.error.Error) as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(2)
    except KeyboardInterrupt:
        print(f"\nstopped{_how_to_continue(settings)}", file=sys.stderr)
        sys.exit(130)


def _arguments(arguments: list[str]) -> list[str]:
    arguments = [word for argument in arguments for word in _split(argument)]
    for i, argument in enumerate(arguments):
        if argument == "--config" and i + 1 < len(arguments):
            given = arguments[:i] + arguments[i + 2 :]
            verb = next((k for k, word in enumerate(given) if word.startswith("-")), len(given))
            return given[:verb] + _flags(Path(arguments[i + 1])) + given[verb:]
    return arguments


def _valued(arguments: list[str], bare: Mapping[str, str]) -> list[str]:
    words: list[str] = []
    for word, following in pairwise([*arguments, "--"]):
        words += [word, bare[word]] if word in bare and following.startswith("--") else [word]
    return words


def _split(argument: str) -> list[str]:
    return argument.split("=", 1) if argument.startswith("--config=") else [argument]


def _flags(file: Path) -> list[str]:
    if not file.exists():
        sys.exit(f"error: no config file at {file}")
    settings = yaml.safe_load(file.read_text(encoding="utf-8")) or {}
    if not isinstance(settings, dict):
        sys.exit(f"error: {file} must hold flags as 'name: value' lines")
    return [word for name, value in settings.items() for word in _words(str(name), value)]


def _words(name: str, value: Any) -> list[str]:
    flag = name.replace("_", "-")
    if isinstance(value, dict):
        return [
            word
            for key, item in value.items()
            for word in (f"--{flag}", f"{key}={json.dumps(item)}")
        ]
    if isinstance(value, bool):
        return [f"--{flag}" if value else f"--no-{flag}"]
    values = value if isinstance(value, list) else [value]
    return [f"--{flag}", *map(str, values)]


def _how_to_continue(settings: Any) -> str:
    if not hasattr(settings, "resume"):
        return ""
    words = [word for word in sys.argv if word != "--resume"]
    return "; what was done is saved. Continue with\n  " + shlex.join(
        ["python", *words, "--resume"]
    )
