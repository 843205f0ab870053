"""Studies as printed text and as Markdown."""

from __future__ import annotations

import inspect
import os
from collections.abc import Iterator, Sequence
from pathlib import Path

from latentrl.utils.io import write_text
from scripts.studies.core import Part, Result, Row, Study

VERDICTS = {True: "yes", False: "**no**", None: ""}


def question(part: Part) -> tuple[str, str]:
    """Return the question that a part answers, and its details: the docstring in two pieces."""
    title, _, details = (inspect.getdoc(part) or "").partition("\n")
    return title.rstrip("."), " ".join(details.split())


def print_study(part: Part, study: Study) -> None:
    """Print the rows and tables of a study."""
    print(f"\n{question(part)[0]}")
    for row in study.rows:
        value, baselines = format_metric(row.value), _baselines(row)
        print(f"  {row.metric:<68} {value:>9}  {_verdict(row):<36} {baselines}")
    for table in study.tables:
        print(f"\n  {table.caption}")
        for line in _aligned([table.columns, *table.rows]):
            print(f"    {line}")


def _aligned(lines: Sequence[Sequence[str]]) -> Iterator[str]:
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    for cells in lines:
        padded = (cell.ljust(width) for cell, width in zip(cells, widths, strict=True))
        yield "  ".join(padded)


def section(part: Part, result: Result, page: Path) -> Iterator[str]:
    """Yield the blocks of Markdown of one study; paths of its images are relative to ``page``."""
    title, details = question(part)
    study = result.read()
    yield f"## {title}\n"
    yield f"{details} Run time {result.seconds:.0f} s.".strip() + "\n"
    if study.rows:
        head = ["metric", "latentrl", "baselines", "goal", "reached"]
        yield markdown_table(head, [_cells(row) for row in study.rows])
    for table in study.tables:
        yield f"{table.caption}:\n"
        yield markdown_table(table.columns, table.rows)
    for number, caption in enumerate(study.images):
        yield f"{markdown_image(caption, result.image(number), page)}\n*{caption}.*\n"


def markdown_table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return a Markdown table."""
    lines = [columns, ["---"] * len(columns), *rows]
    escaped = ([cell.replace("|", "\\|") for cell in cells] for cells in lines)
    return "".join(f"| {' | '.join(cells)} |\n" for cells in escaped)


def markdown_image(caption: str, image: Path, page: Path) -> str:
    """Return a Markdown image whose path is relative to the folder of ``page``."""
    path = Path(os.path.relpath(image, page.parent)).as_posix()
    return f"![{caption}]({path})\n"


def replace_section(page: Path, begin: str, text: str, end: str) -> Path:
    """Put ``text`` between the lines ``begin`` and ``end`` of a page, and return the page.

    Raises:
        ValueError: the page lacks one of the lines.
    """
    before, opening, rest = page.read_text(encoding="utf-8").partition(begin)
    _, closing, after = rest.partition(end)
    if not (opening and closing):
        raise ValueError(
            f"{page} lacks the lines {begin!r} and {end!r}, between which the results go"
        )
    write_text(page, f"{before}{begin}\n{text}\n{end}{after}")
    return page


def format_metric(value: float) -> str:
    """Return three significant digits of ``value``, and at least one decimal."""
    digits = max(1, 3 - len(str(int(abs(value))))) if abs(value) >= 1 else 3
    return f"{value:.{digits}f}"


def _cells(row: Row) -> list[str]:
    value, verdict = format_metric(row.value), VERDICTS[row.reached]
    return [row.metric, value, _baselines(row), row.goal, verdict]


def _baselines(row: Row) -> str:
    return ", ".join(f"{name} {format_metric(value)}" for name, value in row.baselines.items())


def _verdict(row: Row) -> str:
    if row.reached is None:
        return ""
    return f"{'reached' if row.reached else 'MISSED'}: {row.goal}"
