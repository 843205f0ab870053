"""Entry point of the command ``latentrl``; ``python -m latentrl.cli`` is the same."""

from __future__ import annotations

import functools
import operator
from typing import Annotated, Any

import tyro

from latentrl.cli import Report, Verb, perform, verbs
from latentrl.cli.run import run


def main() -> None:
    """Parse the command line, run the verb and print its report."""
    run(commands, use)


def commands() -> Any:
    """Return the union of all registered verbs, each one a subcommand."""
    named: list[Any] = [Annotated[verb, tyro.conf.subcommand(name)] for name, verb in verbs()]
    options: Any = tyro.conf.OmitSubcommandPrefixes
    return options[functools.reduce(operator.or_, named)]


def use(verb: Verb) -> None:
    """Use a trained autoencoder: reconstruct, denoise, inpaint, sample, search and more."""
    report(perform(verb))


def report(done: Report) -> None:
    """Print the metrics, notes and files of a verb."""
    print(f"{done.verb} with {done.model.config.model}")
    width = max(map(len, done.metrics), default=0)
    for name, value in done.metrics.items():
        text = f"{value:.4g}" if isinstance(value, float) else str(value)
        print(f"  {name:<{width}}  {text}")
    for note in done.notes:
        print(note)
    print("written:")
    for file in done.files:
        print(f"  {file}")


if __name__ == "__main__":
    main()
