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


def resume_hint(flags: Any, interrupt: KeyboardInterrupt) -> str:
    """Return the command that resumes an interrupted run; empty without a flag ``--resume``.

    It names the folder of the run, which is the argument of the interruption. A run without one had
    saved nothing, and the newest run is another one.
    """
    if not hasattr(flags, "resume"):
        return ""
    if not interrupt.args and not flags.resume:
        return f" before this run had saved anything. Start it again with\n  {_python(sys.argv)}"
    words = [word for word in sys.argv if word != "--resume"]
    folder = ["--out", *interrupt.args] if flags.out is None and interrupt.args else []
    command = _python([*words, *folder, "--resume"])
    return f"; what was done is saved. Continue with\n  {command}"


def _python(words: Sequence[str]) -> str:
    return shlex.join(["python", *words])
