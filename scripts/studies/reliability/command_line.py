"""Scripts called in the same process, as a command line would start them."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from scripts.cli import run

ROOT = Path(__file__).resolve().parents[3]
CONFIGS = {
    "pretrain_vae": "PretrainConfig",
    "train_agent": "TrainConfig",
    "evaluate_agent": "EvaluateConfig",
}
"""Classes of the flags, by script."""


@dataclass(frozen=True)
class NoFlags:
    """The flags of a command without flags."""


def as_command(function: Callable[[], object]) -> None:
    """Call a function with the signals, errors and exit statuses of a script."""
    sys.argv = ["command"]

    def main(_: NoFlags) -> None:
        function()

    run(NoFlags, main)


def call(name: str, *arguments: Any) -> None:
    """Run ``python scripts/NAME.py ARGUMENTS`` in this process; ``SystemExit`` for errors."""
    script = importlib.import_module(f"scripts.{name}")
    sys.argv = [str(ROOT / "scripts" / f"{name}.py"), *map(str, arguments)]
    run(getattr(script, CONFIGS[name]), script.main, joined=["--hyperparams"])
