"""Statistics of code, on a file counted by hand."""

from __future__ import annotations

from pathlib import Path

import pytest

from scripts.code_statistics import main, measure

CODE = '''"""Module."""

LIMIT = 3
"""A field's docstring,
of two lines."""


def double(x):
    """Return twice x."""
    # Addition is exact for powers of two.
    y = x + x
    return y  # noqa: RET504


def nothing():
    pass
'''


def test_counts_of_a_file(tmp_path: Path) -> None:
    file = tmp_path / "code.py"
    file.write_text(CODE)
    source = measure(file)
    assert source.lines == 16
    assert source.code == 6
    assert source.docstrings == 4
    assert source.comments == 1  # a directive explains nothing
    assert source.functions == [2, 1]


def test_table_has_a_row_for_each_folder(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "envs").mkdir()
    (tmp_path / "envs" / "code.py").write_text(CODE)
    main(tmp_path)
    head, row = capsys.readouterr().out.splitlines()
    assert head.split()[:2] == ["folder", "files"]
    assert row.split()[:4] == ["envs", "1", "16", "16"]
    assert row.split()[-2:] == ["66.7", "16.7"]
