"""The layout that CONTRIBUTING.md states, read from the source."""

from __future__ import annotations

import ast
import functools
import inspect
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import latentrl
from agents.algorithms.base import ALGORITHMS

ROOT = Path(__file__).resolve().parents[1]
PACKAGES = ["scripts", "agents", "envs", "latentrl"]
"""Each may import those after it."""
AREAS = [
    *("cli", "", "share", "viz", "wrappers", "world", "novelty", "latents"),
    *("training", "models", "data", "utils", "types"),
]
"""Each may import those after it; the empty name is ``latentrl`` itself."""
CORNERS = {
    "stable_baselines3": ("latentrl/wrappers/", "latentrl/viz/sb3_callbacks.py"),
    "tyro": ("latentrl/cli/",),
    "yaml": ("latentrl/cli/",),
    "matplotlib": ("latentrl/viz/figures.py",),
    "huggingface_hub": ("latentrl/utils/hub.py",),
    "minari": ("latentrl/data/minari.py",),
    "av": ("latentrl/viz/video.py",),
    "onnx": ("latentrl/share/onnx.py",),
}
"""Where in the library a dependency is imported."""
HEAVY = {*CORNERS, "envs", "agents", "scripts", "envpool", "sklearn"}
PICKLERS = {"pickle", "cloudpickle", "dill", "joblib", "shelve", "marshal"}
GENERAL = ("make.py", "envpool.py", "wrappers.py")
"""Files of ``envs`` that work on any family."""
FAMILY = re.compile(
    r"mini_?grid|\bale\b|ale_py|car_?racing|key_?rooms|pixel_?reach|procgen|doom", re.I
)
LONGEST_TEST = 400

SOURCES = [file for package in PACKAGES for file in sorted((ROOT / package).rglob("*.py"))]
LIBRARY = [file for file in SOURCES if file.is_relative_to(ROOT / "latentrl")]
TESTS = sorted((ROOT / "tests").rglob("*.py"))


def name(file: Path) -> str:
    return file.relative_to(ROOT).as_posix()


@functools.cache
def parse(file: Path) -> ast.Module:
    return ast.parse(file.read_text(encoding="utf-8"))


def imports(tree: ast.AST) -> Iterator[str]:
    """Dotted names imported anywhere: in functions and under TYPE_CHECKING, too."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        if isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports are absolute"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


@functools.cache
def imported_packages(file: Path) -> set[str]:
    return {module.split(".")[0] for module in imports(parse(file))}


def area(dotted: str) -> str:
    """The area of the library that a dotted name belongs to: ``latentrl.fit`` is the library's."""
    second = dotted.split(".")[1]
    return second if second in AREAS else ""


def imported_areas(file: Path) -> set[str]:
    return {area(module) for module in imports(parse(file)) if module.startswith("latentrl.")}


def own_area(file: Path) -> str:
    return area(".".join(file.relative_to(ROOT).with_suffix("").parts))


def test_sources_are_found() -> None:
    assert len(LIBRARY) > 40
    assert {"ppo", "dqn"} <= set(ALGORITHMS)
    assert all((ROOT / "envs" / file).exists() for file in GENERAL)


@pytest.mark.parametrize("package", PACKAGES)
def test_top_folders_import_one_way(package: str) -> None:
    forbidden = {*PACKAGES[: PACKAGES.index(package)], "tests"}
    files = [file for file in SOURCES if name(file).startswith(f"{package}/")]
    assert {name(file) for file in files if imported_packages(file) & forbidden} == set()


@pytest.mark.parametrize("place", AREAS)
def test_areas_of_the_library_import_one_way(place: str) -> None:
    earlier = set(AREAS[: AREAS.index(place)])
    files = [file for file in LIBRARY if own_area(file) == place]
    assert {name(file) for file in files if imported_areas(file) & earlier} == set()


def test_every_area_of_the_library_has_its_place() -> None:
    folders = {
        path.name for path in (ROOT / "latentrl").iterdir() if (path / "__init__.py").exists()
    }
    files = {path.stem for path in (ROOT / "latentrl").glob("[!_]*.py")}
    assert folders | files <= set(AREAS)


@pytest.mark.parametrize("package", CORNERS)
def test_a_dependency_stays_in_its_corner(package: str) -> None:
    users = [name(file) for file in LIBRARY if package in imported_packages(file)]
    assert not [user for user in users if not user.startswith(CORNERS[package])]


@pytest.mark.parametrize(
    "namespace", ["data", "latents", "models", "novelty", "share", "viz", "wrappers"]
)
def test_namespaces_of_the_library_list_what_they_hold(namespace: str) -> None:
    module = getattr(latentrl, namespace)
    assert module.__all__
    assert all(hasattr(module, public) for public in module.__all__)


def test_the_library_imports_nothing_heavy() -> None:
    code = f"""
import sys
sys.path.insert(0, {str(ROOT)!r})
import latentrl
heavy = {HEAVY!r} & set(sys.modules)
sys.exit(f"imports {{heavy}}" if heavy else 0)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("file", GENERAL)
def test_general_code_names_no_environment_family(file: str) -> None:
    assert FAMILY.findall((ROOT / "envs" / file).read_text(encoding="utf-8")) == []


def test_general_code_tests_for_no_algorithm() -> None:
    files = [
        file
        for file in SOURCES
        if name(file).startswith(("agents/", "scripts/")) and file.parent.name != "algorithms"
    ]
    assert {name(file): found for file in files if (found := algorithms_in(parse(file)))} == {}


def algorithms_in(tree: ast.Module) -> set[str]:
    """Algorithms that a file compares something with, or whose classes it imports."""
    compared = {
        node.value
        for comparison in ast.walk(tree)
        if isinstance(comparison, ast.Compare | ast.match_case)
        for node in ast.walk(comparison)
        if isinstance(node, ast.Constant)
    }
    classes = {module.split(".")[-1].lower() for module in imports(tree)}
    return (compared | classes) & set(ALGORITHMS)


def test_nothing_is_pickled_or_evaluated() -> None:
    assert {name(file): found for file in SOURCES if (found := unsafe_in(file))} == {}


def unsafe_in(file: Path) -> set[str]:
    """Imports and calls by which a file would run what it loads."""
    calls = [node for node in ast.walk(parse(file)) if isinstance(node, ast.Call)]
    called = {ast.unparse(call.func) for call in calls}
    keywords = [keyword for call in calls for keyword in call.keywords]
    allowed = {ast.unparse(word.value) for word in keywords if word.arg == "allow_pickle"}
    found = imported_packages(file) & PICKLERS
    return found | called & {"torch.load", "torch.save", "eval", "exec"} | allowed - {"False"}


def test_tests_mirror_the_tree_in_short_files() -> None:
    folders = {file.parent.relative_to(ROOT / "tests") for file in TESTS}
    assert {str(folder) for folder in folders if not (ROOT / folder).is_dir()} == set()
    lengths = {name(file): len(file.read_text("utf-8").splitlines()) for file in TESTS}
    assert {file: length for file, length in lengths.items() if length > LONGEST_TEST} == {}


@pytest.mark.parametrize("public", latentrl.__all__)
def test_public_names_are_documented(public: str) -> None:
    documented = inspect.getdoc(getattr(latentrl, public)) or ""
    # A dataclass without a docstring documents itself by its signature.
    assert documented and not documented.startswith(f"{public}(")  # noqa: PT018


def test_the_public_list_is_complete() -> None:
    tree = parse(ROOT / "latentrl" / "__init__.py")
    found = [
        alias.name for node in tree.body if isinstance(node, ast.ImportFrom) for alias in node.names
    ]
    assert sorted(found) == sorted(latentrl.__all__)
