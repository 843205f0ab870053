"""Use a trained autoencoder: reconstruct, denoise, inpaint, sample, search and more."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Any, Union

import tyro

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from latentrl.cli import Report, Verb, perform, verbs
from scripts.cli import run

NAMED = tuple(Annotated[verb, tyro.conf.subcommand(name)] for name, verb in verbs())
COMMANDS: Any = tyro.conf.OmitSubcommandPrefixes[Union[NAMED]]  # noqa: UP007 - there is no other way to write it


def main(verb: Verb) -> None:
    """Use a trained autoencoder: reconstruct, denoise, inpaint, sample, search and more."""
    report(perform(verb))


def report(done: Report) -> None:
    """Print what was found and what was written."""
    print(f"{done.verb} with {done.model.config.model}")
    width = max(map(len, done.figures), default=0)
    for name, value in done.figures.items():
        print(
            f"  {name:<{width}}  {value:.4g}"
            if isinstance(value, float)
            else f"  {name:<{width}}  {value}"
        )
    for note in done.notes:
        print(note)
    print("written:")
    for file in done.files:
        print(f"  {file}")


if __name__ == "__main__":
    run(COMMANDS, main)
