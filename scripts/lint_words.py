"""Refuse words that the project does not use; ``words.txt`` has them and their replacements."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
WORDS = ROOT / "scripts" / "words.txt"
SUFFIXES = {".py", ".md", ".toml", ".yml", ".yaml", ""}
EXEMPT = {"CHANGELOG.md", "LICENSE", "tests/scripts/test_lint_words.py"}
"""Files that name old words: the changelog lists renames, the test their refusal."""
ESCAPE = "words: ok"


@dataclass(frozen=True)
class Rule:
    """A refused expression and its replacement."""

    pattern: re.Pattern[str]
    """Expression that matches the refused words."""
    replacement: str
    """Words to use."""


def read_rules(text: str) -> list[Rule]:
    """Return the rules in ``text``, one per line; ``ValueError`` names an invalid line."""
    rules = []
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip() or line.startswith("#"):
            continue
        expression, arrow, replacement = line.partition(" -> ")
        if not arrow:
            raise ValueError(f"line {number} is not 'expression -> words': {line!r}")
        # Names keep their case, lest the name of a class refuse a verb.
        flags = 0 if expression != expression.lower() else re.IGNORECASE
        pattern = re.compile(rf"(?<![\w-])(?:{expression})(?!\w)", flags)
        rules.append(Rule(pattern, replacement.strip()))
    return rules


def violations(text: str, rules: Sequence[Rule]) -> Iterator[tuple[int, str, str]]:
    """Yield line number, refused words and replacement of each violation in ``text``."""
    for number, line in enumerate(text.splitlines(), 1):
        if ESCAPE in line:
            continue
        for rule in rules:
            for match in rule.pattern.finditer(line):
                yield number, match.group(), rule.replacement


def files(root: Path) -> list[Path]:
    """Return the text files that git tracks or would add."""
    command = ["git", "-C", str(root), "ls-files", "--cached", "--others", "--exclude-standard"]
    names = subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()
    chosen = [root / name for name in names if name not in EXEMPT]
    return [file for file in chosen if file.suffix in SUFFIXES and file.is_file()]


def main() -> int:
    """Print each violation as ``file:line``; return 1 if there is any."""
    rules, found = read_rules(WORDS.read_text(encoding="utf-8")), 0
    for file in files(ROOT):
        for number, words, replacement in violations(file.read_text(encoding="utf-8"), rules):
            print(f"{file.relative_to(ROOT)}:{number}: {words!r}: write {replacement}")
            found += 1
    return int(found > 0)


if __name__ == "__main__":
    sys.exit(main())
