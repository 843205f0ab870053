"""Sizes of files and functions, and densities of comments and docstrings, by top folder."""

from __future__ import annotations

import ast
import sys
import tokenize
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from statistics import median, quantiles

ROOT = Path(__file__).resolve().parents[1]
FOLDERS = "latentrl", "envs", "agents", "scripts", "tests"
DIRECTIVES = "noqa", "type:", "fmt:"
"""Words of comments for tools, which explain nothing."""
HEAD = (
    f"{'folder':<10}{'files':>7}{'median':>8}{'max':>6}  {'functions':>9}{'median':>8}{'p90':>6}"
    f"{'max':>6}  {'code':>7}{'docstrings':>12}{'comments':>10}"
)


@dataclass(frozen=True)
class Source:
    """Counts of one file."""

    lines: int
    """All lines."""
    code: int
    """Lines that are neither blank, nor comment, nor docstring."""
    docstrings: int
    """Lines of docstrings, those of fields included."""
    comments: int
    """Comments, but for directives."""
    functions: list[int]
    """Lines of code in the body of each function."""


def measure(file: Path) -> Source:
    """Return the counts of a Python file."""
    text = file.read_text(encoding="utf-8")
    tree, lines = ast.parse(text), text.splitlines()
    documented = {line for node in ast.walk(tree) for line in _docstring_lines(node)}
    written = {i for i, line in enumerate(lines, 1) if line.strip() and line.lstrip()[0] != "#"}
    code = written - documented
    functions = [
        len(code.intersection(range(node.body[0].lineno, (node.end_lineno or 0) + 1)))
        for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    ]
    return Source(len(lines), len(code), len(documented), _comments(file), functions)


def _docstring_lines(node: ast.AST) -> Iterator[int]:
    # A bare string anywhere in a body is documentation: that of a field follows the field.
    body = getattr(node, "body", [])
    for item in body if isinstance(body, list) else []:
        match item:
            case ast.Expr(value=ast.Constant(value=str())):
                yield from range(item.lineno, (item.end_lineno or 0) + 1)


def _comments(file: Path) -> int:
    with tokenize.open(file) as source:
        comments = [
            token.string
            for token in tokenize.generate_tokens(source.readline)
            if token.type == tokenize.COMMENT
        ]
    return sum(not any(word in comment for word in DIRECTIVES) for comment in comments)


def row(name: str, sources: list[Source]) -> str:
    """Return the line of the table of one folder."""
    lengths = [source.lines for source in sources]
    functions = [length for source in sources for length in source.functions] or [0]
    code = sum(source.code for source in sources) or 1
    docstrings = 100 * sum(source.docstrings for source in sources) / code
    comments = 100 * sum(source.comments for source in sources) / code
    # Quantiles need two values.
    p90 = quantiles(functions, n=10)[-1] if len(functions) > 1 else functions[0]
    return (
        f"{name:<10}{len(sources):>7}{median(lengths):>8.0f}{max(lengths):>6}  "
        f"{len(functions):>9}{median(functions):>8.0f}{p90:>6.0f}{max(functions):>6}  "
        f"{code:>7}{docstrings:>12.1f}{comments:>10.1f}"
    )


def main(root: Path) -> None:
    """Print the table; docstrings and comments are per 100 lines of code."""
    print(HEAD)
    for name in FOLDERS:
        sources = [measure(file) for file in sorted((root / name).rglob("*.py"))]
        if sources:
            print(row(name, sources))


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else ROOT)
