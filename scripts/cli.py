"""The command line of the scripts: that of the library, and how to resume after Ctrl-C."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

from latentrl.cli import run as command_line

Config = TypeVar("Config")


def run(
    config: type[Config] | Callable[[], type[Config]],
    main: Callable[[Config], None],
    bare: Mapping[str, str] | None = None,
    joined: Sequence[str] = (),
) -> None:
    """Call ``main`` with the flags of the command line, as ``latentrl.cli.run.run`` does."""
    command_line.run(config, main, bare, resume_hint, joined)


def resume_hint(flags: Any) -> str:
    """Return the command that resumes an interrupted run; empty without a flag ``--resume``."""
    if not hasattr(flags, "resume"):
        return ""
    words = [word for word in sys.argv if word != "--resume"]
    command = shlex.join(["python", *words, "--resume"])
    return f"; what was done is saved. Continue with\n  {command}"
