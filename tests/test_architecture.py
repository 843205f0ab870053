"""What the layout promises, read from the source."""

from __future__ import annotations

import ast
import inspect
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import latentrl

ROOT = Path(__file__).resolve().parents[1]
PACKAGES = ["latentrl", "envs", "agents", "scripts"]  # each may import those before it
SB3_FILES = {
    "latentrl/wrappers/gymnasium_vecenv.py",
    "latentrl/wrappers/sb3.py",
    "latentrl/viz/sb3_callbacks.py",
    "latentrl/wrappers/episodic_count.py",
}
PICKLERS = {"pickle", "cloudpickle", "dill", "joblib", "shelve", "marshal"}
SOURCES = [file for package in PACKAGES for file in sorted((ROOT / package).rglob("*.py"))]
LIBRARY = [file for file in SOURCES if file.is_relative_to(ROOT / "latentrl")]


def name(file: Path) -> str:
    return file.relative_to(ROOT).as_posix()


def imports(tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        if isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports are absolute"
            yield node.module or ""


def top_level_imports(file: Path) -> set[str]:
    return {module.split(".")[0] for module in imports(ast.parse(file.read_text()))}


def test_there_is_something_to_read() -> None:
    assert len(LIBRARY) > 20
    assert {name(file) for file in SOURCES} >= SB3_FILES


@pytest.mark.parametrize("file", SOURCES, ids=name)
def test_imports_go_one_way(file: Path) -> None:
    package = name(file).split("/")[0]
    later = PACKAGES[PACKAGES.index(package) + 1 :]
    assert not top_level_imports(file) & {*later, "tests"}


@pytest.mark.parametrize("file", LIBRARY, ids=name)
def test_stable_baselines3_stays_in_its_corner(file: Path) -> None:
    if name(file) not in SB3_FILES:
        assert "stable_baselines3" not in top_level_imports(file)


def test_the_library_imports_without_stable_baselines3_or_the_rest() -> None:
    code = f"""
import sys
sys.path.insert(0, {str(ROOT)!r})
import latentrl
unwanted = {{"stable_baselines3", "envs", "agents", "scripts", "envpool", "tyro"}} & set(sys.modules)
sys.exit(f"imports {{unwanted}}" if unwanted else 0)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("public", latentrl.__all__)
def test_public_names_are_documented(public: str) -> None:
    documented = inspect.getdoc(getattr(latentrl, public)) or ""
    assert documented
    assert not documented.startswith(f"{public}("), (
        "a dataclass without a docstring describes its own arguments"
    )


def test_the_public_list_is_complete() -> None:  # ruff keeps it sorted
    tree = ast.parse((ROOT / "latentrl" / "__init__.py").read_text())
    imported = [
        alias.name for node in tree.body if isinstance(node, ast.ImportFrom) for alias in node.names
    ]
    assert sorted(imported) == sorted(latentrl.__all__)


@pytest.mark.parametrize("file", SOURCES, ids=name)
def test_nothing_is_pickled(file: Path) -> None:
    tree = ast.parse(file.read_text())
    assert not top_level_imports(file) & PICKLERS
    called = {ast.unparse(node.func) for node in ast.walk(tree) if isinstance(node, ast.Call)}
    assert not called & {"torch.load", "torch.save", "eval", "exec"}
    unpickling = {
        keyword.arg for node in ast.walk(tree) if isinstance(node, ast.Call) for keyword in node.keywords
        if keyword.arg == "allow_pickle" and ast.unparse(keyword.value) != "False"
    }  # fmt: skip
    assert not unpickling
