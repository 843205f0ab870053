"""Modules of a user, which ``--plugin`` imports, and commands that name them again."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from pathlib import Path

from latentrl.utils.modules import import_named

IMPORTED: list[str] = []
"""Plugins of the command, in the order of their imports."""


def import_plugins(modules: Sequence[str]) -> None:
    """Import the plugins of a command from the current folder or ``sys.path``.

    Raises:
        ValueError: there is no such module.
    """
    IMPORTED.clear()
    for module in dict.fromkeys(modules):
        import_named(
            module,
            f"cannot import the plugin {module!r}: expected a module in {Path.cwd()} or on "
            "sys.path, named without .py",
        )
        IMPORTED.append(module)


def shell_line(words: Sequence[str]) -> str:
    """Return a command for the user to copy; a Python script gets the plugins of this one."""
    plugins = IMPORTED if words[0] == "python" else []
    return shlex.join([*words, *(word for module in plugins for word in ("--plugin", module))])
