"""The studies as a printed table, and as a page with pictures."""

from __future__ import annotations

import functools
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from latentrl.utils.io import write_atomically
from latentrl.viz.images import png
from scripts.studies.core import Row, Study, made_on, question, seconds

PAGE, PICTURES = Path("docs/autoencoders.md"), Path("docs/images/autoencoders")
SECTIONS = {"novelty": Path("docs/novelty.md"), "probe": Path("docs/pretraining.md")}
"""Pages with a section for studies of agents, by the benchmark that writes it."""
INTRODUCTION = """# How good the autoencoders are

Every figure and picture on this page is written by

```
make reference                                        # pythae, in an environment of its own, for the study "elbo"
python scripts/benchmark.py autoencoders --page       # all studies; those already made are read from runs/
```
"""


def print_study(name: str, study: Study) -> None:
    """Print the rows and tables of a study."""
    print(f"\n{name}: {question(name)}")
    for row in study.rows:
        others = ", ".join(f"{key} {_figure(value)}" for key, value in row.others.items())
        print(f"  {row.what:<68} {_figure(row.ours):>9}  {_verdict(row):<36} {others}")
    for table in study.tables:
        print(f"\n  {table.caption}")
        widths = [
            max(len(cell) for cell in column)
            for column in zip(table.columns, *table.rows, strict=True)
        ]
        for cells in (table.columns, *table.rows):
            print(
                "    "
                + "  ".join(cell.ljust(width) for cell, width in zip(cells, widths, strict=True))
            )


def write_page(studies: dict[str, Study]) -> Path:
    """Write the page and its pictures into ``docs/``, and return its path."""
    parts = [INTRODUCTION, _machines(studies)]
    for name, study in studies.items():
        parts += [
            f"## {name.capitalize()}\n",
            f"{question(name)} ({seconds(name):.0f} s)\n",
            *_sections(name, study),
        ]
    write_atomically(PAGE, functools.partial(_write_text, "\n".join(parts)))
    return PAGE


def replace_section(page: Path, begin: str, text: str, end: str) -> Path:
    """Put ``text`` between the lines ``begin`` and ``end`` of a page, and return it.

    Raises:
        ValueError: the page lacks one of them.
    """
    before, opening, rest = page.read_text(encoding="utf-8").partition(begin)
    _, closing, after = rest.partition(end)
    if not (opening and closing):
        raise ValueError(
            f"{page} lacks the lines {begin!r} and {end!r}, between which the results go"
        )
    write_atomically(page, functools.partial(_write_text, f"{before}{begin}\n{text}\n{end}{after}"))
    return page


def write_section(benchmark: str, studies: dict[str, Study]) -> Path:
    """Write studies of agents into the section that the page has for their benchmark, and return
    the page.
    """
    parts = [_machines(studies)]
    for name, study in studies.items():
        parts += [f"{question(name)} ({seconds(name):.0f} s)\n", *_sections(name, study)]
    begin = f"<!-- {benchmark}: python scripts/benchmark.py {benchmark} --page -->"
    return replace_section(
        SECTIONS[benchmark], begin, "\n".join(parts), f"<!-- end of {benchmark} -->"
    )


def _machines(names: Iterable[str]) -> str:
    found = dict.fromkeys(map(made_on, names))
    return f"Machine: {'; '.join(found)}.\n"


def _sections(name: str, study: Study) -> Iterator[str]:
    if study.rows:
        yield as_markdown(
            ["", "latentrl", "others", "goal", "reached"], [_cells(row) for row in study.rows]
        )
    for table in study.tables:
        yield f"{table.caption}:\n"
        yield as_markdown(table.columns, table.rows)
    for number, (caption, picture) in enumerate(study.pictures.items()):
        file = PICTURES / f"{name}-{number}.png"
        write_atomically(file, functools.partial(_write_bytes, png(picture)))
        yield f"![{caption}]({file.relative_to(PAGE.parent).as_posix()})\n\n*{caption}.*\n"


def _cells(row: Row) -> list[str]:
    others = ", ".join(f"{key} {_figure(value)}" for key, value in row.others.items())
    reached = {True: "yes", False: "**no**", None: ""}[row.reached]
    return [row.what, _figure(row.ours), others, row.goal, reached]


def as_markdown(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return a Markdown table."""
    lines = [columns, ["---"] * len(columns), *rows]
    escaped = ([cell.replace("|", "\\|") for cell in cells] for cells in lines)
    return "".join(f"| {' | '.join(cells)} |\n" for cells in escaped)


def _figure(value: float) -> str:
    digits = max(0, 3 - len(str(int(abs(value)))))
    return f"{value:.{max(1, digits) if abs(value) >= 1 else 3}f}"


def _verdict(row: Row) -> str:
    if row.reached is None:
        return ""
    return f"{'reached' if row.reached else 'MISSED'}: {row.goal}"


def _write_text(text: str, file: Path) -> None:
    file.write_text(text, encoding="utf-8")


def _write_bytes(data: bytes, file: Path) -> None:
    file.write_bytes(data)
