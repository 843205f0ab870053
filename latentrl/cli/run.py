"""Command lines: flags, YAML files of flags, plugins and exit codes."""

from __future__ import annotations

import contextlib
import dataclasses
import inspect
import json
import sys
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any, TypeVar

import gymnasium as gym
import tyro
import yaml

from latentrl.cli.plugins import import_plugins
from latentrl.utils.signals import orderly_interrupts

Config = TypeVar("Config")

USER_ERRORS = (ValueError, TypeError, OSError, FloatingPointError, gym.error.Error)
"""Exceptions whose message is for the user; others keep their traceback."""
EXIT_ERROR, EXIT_INTERRUPT = 2, 130
HELP = """
--config FILE: YAML file with flags as 'name: value'; those of the command line take precedence.
--plugin MODULE: import a module first, for the losses, corruptions, backbones, bonuses, algorithms
or environment families that it registers. Can be repeated."""


def run(
    config: type[Config] | Callable[[], type[Config]],
    main: Callable[[Config], None],
    bare: Mapping[str, str] | None = None,
    interrupt_hint: Callable[[Config, KeyboardInterrupt], str] | None = None,
    joined: Sequence[str] = (),
) -> None:
    """Call ``main`` with the flags of the command line, and exit with 2 for a user's mistake.

    Two flags belong to every command. ``--config FILE`` names a YAML file of flags, without their
    dashes; flags of the command line take precedence. ``--plugin MODULE`` imports a module from the
    current folder or ``sys.path``, so that names it registers are known to the flags and listed in
    ``--help``. Nothing of it is saved: a checkpoint never imports a module.

    Args:
        config: dataclass of the flags, or a function that returns a union of subcommands; it is
            called after plugins have registered theirs. A field ``given`` gets the names of the
            flags that the command line or a file gives.
        main: the command; its docstring is the description in ``--help``.
        bare: flags that may stand without a value, and the value they then have.
        interrupt_hint: returns the text to print after Ctrl-C, SIGTERM or SIGHUP, which exit with
            130, from the flags and the interruption.
        joined: flags of several values that may be repeated; the values add up.
    """
    sys.path.insert(0, str(Path.cwd()))  # for plugins and for environments named module:Class
    flags: Config | None = None
    try:
        # Plugins come first: tyro evaluates the help texts, which list registered names.
        arguments = _import_plugins(_expand_config(sys.argv[1:]))
        kind: Any = config() if inspect.isfunction(config) else config
        arguments = _joined(_valued(arguments, bare or {}), joined)
        flags = tyro.cli(kind, description=f"{main.__doc__}{HELP}", args=arguments)
        flags = _with_given(flags, arguments)
        with orderly_interrupts(), plain_warnings():
            main(flags)
    except USER_ERRORS as error:
        _fail(error)
    except ImportError as error:
        # An import that failed names its module, and its traceback matters. One without a name is
        # the library's own message that an extra is missing.
        if error.name is not None:
            raise
        _fail(error)
    except KeyboardInterrupt as interrupt:
        hint = "" if flags is None or interrupt_hint is None else interrupt_hint(flags, interrupt)
        print(f"\nstopped{hint}", file=sys.stderr)
        sys.exit(EXIT_INTERRUPT)


@contextlib.contextmanager
def plain_warnings() -> Iterator[None]:
    """Print a ``UserWarning`` as one line, without the place in the code that raised it."""
    usual = warnings.formatwarning

    def plain(
        message: Warning | str,
        category: type[Warning],
        filename: str,
        lineno: int,
        line: str | None = None,
    ) -> str:
        if category is UserWarning:
            return f"warning: {message}\n"
        return usual(message, category, filename, lineno, line)

    warnings.formatwarning = plain
    try:
        yield
    finally:
        warnings.formatwarning = usual


def _fail(error: Exception) -> None:
    print(f"error: {error}", file=sys.stderr)
    sys.exit(EXIT_ERROR)


def _import_plugins(arguments: list[str]) -> list[str]:
    modules, others = _take("--plugin MODULE", arguments)
    import_plugins(modules)
    return others


def _expand_config(arguments: list[str]) -> list[str]:
    files, others = _take("--config FILE", arguments)
    filed = [word for file in files for word in _flags(Path(file))]
    # The last of two equal flags counts, so that those of files stand before those of the command
    # line, but behind a subcommand.
    start = next((k for k, word in enumerate(others) if word.startswith("-")), len(others))
    return others[:start] + filed + others[start:]


def _take(usage: str, arguments: list[str]) -> tuple[list[str], list[str]]:
    """Return the values of a flag, given as ``--flag VALUE`` or ``--flag=VALUE``, and the rest."""
    flag = usage.split()[0]
    values, others = [], []
    words = iter(arguments)
    for word in words:
        name, equals, value = word.partition("=")
        if name != flag:
            others.append(word)
        else:
            values.append(value if equals else next(words, ""))
    if "" in values:
        raise ValueError(f"{flag} needs a value: {usage}")
    return values, others


def _valued(arguments: list[str], bare: Mapping[str, str]) -> list[str]:
    words: list[str] = []
    for word, following in pairwise([*arguments, "--"]):
        words += [word, bare[word]] if word in bare and following.startswith("--") else [word]
    return words


def _with_given(flags: Any, arguments: list[str]) -> Any:
    """Fill in the field ``given``, where there is one: a default that is given is no default."""
    fields = {field.name for field in dataclasses.fields(flags)}
    if "given" not in fields:
        return flags
    words = (word.partition("=")[0] for word in arguments if word.startswith("--"))
    names = (word.removeprefix("--").replace("-", "_") for word in words)
    given = sorted({name if name in fields else name.removeprefix("no_") for name in names})
    return dataclasses.replace(flags, given=tuple(given))


def _joined(arguments: list[str], flags: Sequence[str]) -> list[str]:
    """Move all values of each of ``flags`` behind one occurrence, because tyro keeps the last."""
    values: dict[str, list[str]] = {flag: [] for flag in flags}
    others: list[str] = []
    words = others
    for word in arguments:
        name, equals, value = word.partition("=")
        if name in values:
            words = values[name]
            words += [value] if equals else []
        else:
            words = others if word.startswith("--") else words
            words.append(word)
    return others + [word for flag in flags if values[flag] for word in (flag, *values[flag])]


def _flags(file: Path) -> list[str]:
    if not file.exists():
        raise ValueError(f"no config file at {file}")
    try:
        content = yaml.safe_load(file.read_text(encoding="utf-8")) or {}
    except yaml.YAMLError as error:
        raise ValueError(f"{file} is not YAML: {error}") from error
    if not isinstance(content, dict):
        raise ValueError(f"{file} must hold flags as 'name: value' lines")
    return [word for name, value in content.items() for word in _words(str(name), value)]


def _words(name: str, value: Any) -> list[str]:
    flag = f"--{name.replace('_', '-')}"
    if isinstance(value, dict):
        items = [f"{key}={json.dumps(item)}" for key, item in value.items()]
        return [word for item in items for word in (flag, item)]
    if isinstance(value, bool):
        return [flag if value else f"--no-{name.replace('_', '-')}"]
    values = value if isinstance(value, list) else [value]
    if flag == "--plugin":
        return [word for module in values for word in (flag, str(module))]
    return [flag, *map(str, values)]
