"""Scripts called in the same process, as a command line would start them."""

from __future__ import annotations

import importlib
import sys
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


def call(name: str, *arguments: Any) -> None:
    """Run ``python scripts/NAME.py ARGUMENTS`` in this process; ``SystemExit`` for errors."""
    script = importlib.import_module(f"scripts.{name}")
    sys.argv = [str(ROOT / "scripts" / f"{name}.py"), *map(str, arguments)]
    run(getattr(script, CONFIGS[name]), script.main, joined=["--hyperparams"])
