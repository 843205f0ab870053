"""Run a study of models, latents, bonuses or agents, or write its page."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Any, Union

import tyro

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from scripts.cli import run
from scripts.studies import STUDIES
from scripts.studies.core import Subject


def commands() -> Any:
    """Return the union of all registered studies, each one a subcommand."""
    named = tuple(Annotated[STUDIES[name], tyro.conf.subcommand(name)] for name in STUDIES)
    options: Any = tyro.conf.OmitSubcommandPrefixes
    return options[Union[named]]  # noqa: UP007 - no other spelling


def main(study: Subject) -> None:
    """Run a study of models, latents, bonuses or agents, or write its page."""
    if study.page:
        print(study.write_page())
    else:
        study.run()


if __name__ == "__main__":
    run(commands, main)
