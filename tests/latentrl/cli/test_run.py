from __future__ import annotations

import sys
import warnings
from dataclasses import dataclass
from typing import Annotated

import gymnasium as gym
import pytest
import tyro

from latentrl.cli import plugins
from latentrl.cli.run import plain_warnings, run
from latentrl.utils.registry import Registry

NAMES: Registry[object] = Registry("name")


@dataclass(frozen=True)
class Flags:
    """Flags of a command."""

    name: Annotated[str, tyro.conf.arg(help=f"One of: {', '.join(NAMES)}.")] = "none"
    rate: float = 0.1
    sizes: tuple[int, ...] = ()
    option: tyro.conf.UseAppendAction[tuple[str, ...]] = ()
    deep: bool = True
    bonus: str | None = None


@dataclass(frozen=True)
class Other:
    """Flags of another command."""

    rate: float = 0.1


@dataclass(frozen=True)
class Resumable:
    """Flags of a command that compares what is given with a saved run."""

    max_rate: float = 0.1
    deep: bool = True
    sizes: tuple[int, ...] = ()
    given: tyro.conf.Suppress[tyro.conf.Fixed[tuple[str, ...]]] = ()


@pytest.fixture
def command(tmp_path, monkeypatch):
    """Run a command line in a folder of its own and return the flags that ``main`` got."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))

    def call(*arguments, config=Flags, error=None, **options):
        given = []

        def main(flags):
            """Do something."""
            given.append(flags)
            if error is not None:
                raise error

        monkeypatch.setattr(sys, "argv", ["command", *map(str, arguments)])
        run(config, main, **options)
        return given[0]

    return call


@pytest.fixture
def plugin(tmp_path, monkeypatch):
    """Write a module that registers a name; both are removed after the test."""
    monkeypatch.setattr(NAMES, "_parts", {})
    written = []

    def write(module, name):
        written.append(module)
        text = f"from {__name__} import NAMES\nNAMES.register({name!r})(object)\n"
        (tmp_path / f"{module}.py").write_text(text)

    monkeypatch.setitem(sys.modules, __name__, sys.modules[__name__])
    yield write
    for module in written:
        sys.modules.pop(module, None)


# Configuration files


def test_flags_take_precedence_over_the_file(command, tmp_path):
    (tmp_path / "mine.yaml").write_text(
        "name: filed\nrate: 2e-3\nsizes: [4, 5]\ndeep: false\noption: {a: 1, b: {c: [d]}}\n"
    )
    expected = Flags("filed", 0.5, (4, 5), ("a=1", 'b={"c": ["d"]}'), deep=False)
    assert command("--config", "mine.yaml", "--rate", 0.5) == expected
    assert command("--rate", 0.5, "--config=mine.yaml") == expected


def test_later_files_take_precedence(command, tmp_path):
    (tmp_path / "one.yaml").write_text("name: one\nrate: 1\n")
    (tmp_path / "two.yaml").write_text("rate: 2\n")
    assert command("--config", "one.yaml", "--config", "two.yaml") == Flags("one", 2)


def test_flags_of_a_file_follow_the_subcommand(command, tmp_path):
    (tmp_path / "mine.yaml").write_text("rate: 3\n")
    commands = Flags | Other
    assert command("other", "--config", "mine.yaml", config=commands) == Other(3)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (None, "no config file at mine.yaml"),
        ("- name\n- rate\n", "mine.yaml must hold flags as 'name: value' lines"),
        ("name: [", "mine.yaml is not YAML: while parsing"),
    ],
)
def test_files_that_cannot_be_read(text, message, command, tmp_path, capsys):
    if text is not None:
        (tmp_path / "mine.yaml").write_text(text)
    with pytest.raises(SystemExit, match="2"):
        command("--config", "mine.yaml")
    assert capsys.readouterr().err.startswith(f"error: {message}")


@pytest.mark.parametrize(
    ("arguments", "usage"),
    [(["--config"], "--config FILE"), (["--plugin="], "--plugin MODULE")],
)
def test_flags_without_their_value(arguments, usage, command, capsys):
    with pytest.raises(SystemExit, match="2"):
        command(*arguments)
    flag = usage.split()[0]
    assert capsys.readouterr().err == f"error: {flag} needs a value: {usage}\n"


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["--bonus"], Flags(bonus="standard")),
        (["--bonus", "--rate", "1"], Flags(rate=1, bonus="standard")),
        (["--bonus", "other"], Flags(bonus="other")),
        (["--bonus=other"], Flags(bonus="other")),
    ],
)
def test_a_flag_that_stands_bare(arguments, expected, command):
    assert command(*arguments, bare={"--bonus": "standard"}) == expected


@pytest.mark.parametrize(
    "arguments",
    [
        ["--sizes", "1", "2", "--rate", "3", "--sizes", "4"],
        ["--sizes=1", "2", "--rate=3", "--sizes", "4"],
        ["--config", "flags.yaml", "--sizes", "4"],
    ],
)
def test_values_of_a_repeated_flag_add_up(arguments, command, tmp_path):
    (tmp_path / "flags.yaml").write_text("sizes: [1, 2]\nrate: 3\n")
    assert command(*arguments, joined=["--sizes"]) == Flags(rate=3, sizes=(1, 2, 4))


@pytest.mark.parametrize(
    ("arguments", "given"),
    [
        ([], ()),
        (["--max-rate", "0.1"], ("max_rate",)),
        (["--max_rate=0.1", "--no-deep"], ("deep", "max_rate")),
        (["--deep", "--sizes", "1", "2"], ("deep", "sizes")),
        (["--config", "flags.yaml"], ("deep", "max_rate")),
    ],
)
def test_names_of_the_flags_that_are_given(arguments, given, command, tmp_path):
    (tmp_path / "flags.yaml").write_text("max_rate: 0.1\ndeep: false\n")
    assert command(*arguments, config=Resumable).given == given


def test_given_is_no_flag_itself(command, capsys):
    with pytest.raises(SystemExit, match="2"):
        command("--given", "deep", config=Resumable)
    assert "Unrecognized options: --given" in capsys.readouterr().err


# Plugins


@pytest.mark.parametrize(
    "arguments",
    [
        ["--plugin", "first_names", "--plugin=second_names"],
        ["--rate", 1, "--plugin", "second_names", "--plugin", "first_names"],
        ["--config", "mine.yaml"],
    ],
)
def test_plugins_register_names(arguments, command, plugin, tmp_path):
    plugin("first_names", "first")
    plugin("second_names", "second")
    (tmp_path / "mine.yaml").write_text("plugin: [first_names, second_names]\nrate: 1\n")
    assert command(*arguments).name == "none"
    assert list(NAMES) == ["first", "second"]
    named = " ".join(f"--plugin {module}" for module in plugins.IMPORTED)
    assert sorted(named.split()[1::2]) == ["first_names", "second_names"]
    assert plugins.shell_line(["python", "a b.py"]) == f"python 'a b.py' {named}"
    assert plugins.shell_line(["tensorboard"]) == "tensorboard"


def test_help_lists_registered_names_and_the_common_flags(command, plugin, capsys):
    plugin("third_names", "third")
    with pytest.raises(SystemExit, match="0"):
        command("--plugin", "third_names", "--help")
    text = " ".join(capsys.readouterr().out.replace("│", " ").split())
    assert "One of: third." in text
    assert "Do something." in text
    assert "--plugin MODULE" in text
    assert "--config FILE" in text


@pytest.mark.parametrize("name", ["no_such_plugin", "no_such.plugin"])
def test_a_plugin_that_is_missing(name, command, tmp_path, capsys):
    with pytest.raises(SystemExit, match="2"):
        command("--plugin", name)
    assert capsys.readouterr().err == (
        f"error: cannot import the plugin {name!r}: expected a module in {tmp_path} or on "
        "sys.path, named without .py\n"
    )


def test_a_plugin_with_a_failing_import_keeps_its_traceback(command, tmp_path):
    (tmp_path / "lacks_more_names.py").write_text("import no_such_dependency\n")
    with pytest.raises(ModuleNotFoundError, match="no_such_dependency"):
        command("--plugin", "lacks_more_names")


def test_a_name_that_is_registered_twice(command, plugin, capsys):
    plugin("fourth_names", "same")
    plugin("fifth_names", "same")
    with pytest.raises(SystemExit, match="2"):
        command("--plugin", "fourth_names", "--plugin", "fifth_names")
    message = "error: name 'same' is registered twice: choose another name\n"
    assert capsys.readouterr().err == message


# Messages and exit codes


@pytest.mark.parametrize(
    "error",
    [
        ValueError("a wrong value"),
        TypeError("a wrong type"),
        OSError("a full disk"),
        FileNotFoundError("a missing file"),
        FloatingPointError("a loss of nan"),
        gym.error.Error("an unknown id"),
        ImportError("plots need matplotlib: pip install 'latentrl[viz]'"),
    ],
    ids=lambda error: type(error).__name__,
)
def test_mistakes_are_one_line_and_status_2(error, command, capsys):
    with pytest.raises(SystemExit, match="2"):
        command(error=error)
    assert capsys.readouterr().err == f"error: {error}\n"


@pytest.mark.parametrize("error", [KeyError("bug"), ImportError("bug", name="some_module")])
def test_other_exceptions_keep_their_traceback(error, command):
    with pytest.raises(type(error), match="bug"):
        command(error=error)


@pytest.mark.parametrize(
    ("hint", "text"), [(None, "stopped"), (lambda flags, _: f" at {flags.rate}", "stopped at 0.5")]
)
def test_ctrl_c_prints_a_hint_and_exits_with_130(hint, text, command, capsys):
    with pytest.raises(SystemExit, match="130"):
        command("--rate", 0.5, error=KeyboardInterrupt(), interrupt_hint=hint)
    assert capsys.readouterr().err == f"\n{text}\n"


def test_warnings_for_users_are_one_line():
    usual = warnings.formatwarning
    with plain_warnings():
        assert warnings.formatwarning("lost", UserWarning, "a.py", 7) == "warning: lost\n"
        other = warnings.formatwarning("old", DeprecationWarning, "a.py", 7)
    assert other == usual("old", DeprecationWarning, "a.py", 7)
    assert warnings.formatwarning is usual
