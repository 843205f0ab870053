"""Subjects whose parts are functions that return a ``Study``."""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from latentrl.utils.io import write_text
from scripts.studies.core import Part, Result, Subject
from scripts.studies.report import print_study, section


@dataclass(frozen=True)
class Experiments(Subject):
    """Parts that run one after the other; each keeps its result, so that it runs once."""

    name: ClassVar[str]
    """Name in ``STUDIES``, of the page and of the folder of the results."""
    parts: ClassVar[Mapping[str, Part]]
    """Functions by name, in the order of the page."""

    part: tuple[str, ...] = ()
    """Parts to run; all of them by default."""
    fresh: bool = False
    """Run parts again whose results exist."""

    def chosen(self) -> list[str]:
        """Return the names of the parts to run; ``ValueError`` names an unknown one."""
        for name in self.part:
            if name not in self.parts:
                known = ", ".join(self.parts)
                raise ValueError(f"unknown part {name!r} of {self.name}; known: {known}")
        return list(self.part or self.parts)

    def run(self) -> None:
        """Run the parts without a result, and print the results of all that were chosen."""
        for name in self.chosen():
            result, part = Result(self.name, name), self.parts[name]
            known = result.file.exists() and not self.fresh
            print_study(part, result.read() if known else result.compute(self.bound(name)))

    def bound(self, name: str) -> Part:
        """Return the function that runs a part, with the flags that it depends on."""
        return self.parts[name]

    def write_page(self) -> Path:
        """Write ``docs/results/NAME.md`` from the results of all parts, and return its path."""
        page = Result.folder / "results" / f"{self.name}.md"
        results = {name: Result(self.name, name) for name in self.parts}
        write_text(page, "\n".join([self._head(results), *self.blocks(results, page)]))
        return page

    def blocks(self, results: Mapping[str, Result], page: Path) -> Iterator[str]:
        """Yield the blocks of Markdown below the head of ``page``: a section for each part."""
        for name, result in results.items():
            yield from section(self.parts[name], result, page)

    def _head(self, results: Mapping[str, Result]) -> str:
        title, _, details = (inspect.getdoc(type(self)) or "").partition("\n\n")
        commands = (
            f"python scripts/study.py {self.name}\npython scripts/study.py {self.name} --page"
        )
        machines = "; ".join(dict.fromkeys(result.machine for result in results.values()))
        return (
            f"# {title.rstrip('.')}\n\n{details}\n\nThe first command runs the parts that have no "
            f"result, the second one writes this page:\n\n```\n{commands}\n```\n\n"
            f"Machine: {machines}.\n"
        )
