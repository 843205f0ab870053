"""Outcomes of the cases that are done, on disk, so that an interrupted part continues."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar

from scripts.studies.core import FOLDER
from scripts.studies.reliability.extent import Extent

Outcome = TypeVar("Outcome")


def record_of(part: str, seed: int) -> Path:
    """Return the file of the outcomes of a part that was interrupted, one line of JSON for each."""
    return FOLDER.resolve() / "reliability" / f"{part}-{seed}.jsonl"


def recorded(
    part: str, extent: Extent, kind: type[Outcome], run: Callable[[int], Outcome]
) -> Iterator[Outcome]:
    """Run the cases of an extent that are not on record, and return the outcomes of all.

    Args:
        part: name of the part.
        extent: the cases; a single one has no record.
        kind: dataclass of the outcomes.
        run: runs the case of a number.
    """
    if extent.case is not None:
        yield run(extent.case)
        return
    file = record_of(part, extent.seed)
    file.parent.mkdir(parents=True, exist_ok=True)
    known = _read(file)
    with file.open("a", encoding="utf-8") as lines:
        for number in extent.numbers():
            if number in known:
                yield kind(**known[number])
                continue
            outcome = run(number)
            lines.write(json.dumps([number, dataclasses.asdict(outcome)]) + "\n")  # type: ignore[call-overload]
            lines.flush()
            yield outcome
    file.unlink()


def _read(file: Path) -> dict[int, dict[str, Any]]:
    whole = file.read_text(encoding="utf-8").rpartition("\n")[0] if file.exists() else ""
    # A kill can leave part of a line, on which the next one would be written.
    file.write_text(whole + "\n" if whole else "", encoding="utf-8")
    return dict(map(json.loads, whole.splitlines()))
