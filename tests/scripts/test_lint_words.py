"""The list of words that the project does not use."""

from __future__ import annotations

from pathlib import Path

import pytest

from scripts import lint_words
from scripts.lint_words import WORDS, read_rules, violations

RULES = read_rules(WORDS.read_text(encoding="utf-8"))


def refused(text: str) -> list[str]:
    return [words for _, words, _ in violations(text, RULES)]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("200,000 decisions", ["decisions"]),
        ("A Television on the wall", ["Television"]),
        ("class PartVisits(Bonus):", ["PartVisits"]),
        ("--having smile --lacking hat", ["--having", "--lacking"]),
        ("the heat map of it", ["heat map"]),
        ("make_env(settings_for(name))", ["settings_for"]),
    ],
)
def test_old_words_are_refused(text: str, expected: list[str]) -> None:
    assert refused(text) == expected


@pytest.mark.parametrize(
    "text",
    [
        "200,000 timesteps",
        "undecided",
        "bonus.load_state_dict(state)",
        "a new tally of votes",
        "The decisions of a policy  # words: ok",
    ],
)
def test_other_words_are_allowed(text: str) -> None:
    assert refused(text) == []


def test_violation_has_line_and_replacement() -> None:
    assert list(violations("fine\ntelevision\n", RULES)) == [(2, "television", "noisy TV")]


def test_replacements_are_allowed_words() -> None:
    assert [words for rule in RULES for words in refused(rule.replacement)] == []


def test_line_without_an_arrow_is_an_error() -> None:
    with pytest.raises(ValueError, match="line 2 is not 'expression -> words': 'television'"):
        read_rules("a -> b\ntelevision\n")


def test_command_reports_files_and_fails(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "page.md").write_text("Fine.\nA television.\n")
    monkeypatch.setattr(lint_words, "ROOT", tmp_path)
    monkeypatch.setattr(lint_words, "files", lambda root: [root / "page.md"])
    assert lint_words.main() == 1
    assert capsys.readouterr().out == "page.md:2: 'television': write noisy TV\n"
    (tmp_path / "page.md").write_text("A noisy TV.\n")
    assert lint_words.main() == 0


def test_tracked_text_files_are_read() -> None:
    names = {file.name for file in lint_words.files(lint_words.ROOT)}
    assert {"README.md", "Makefile", "lint_words.py"} <= names
    assert "CHANGELOG.md" not in names  # it lists the old names
