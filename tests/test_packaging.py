"""The wheel, built and installed where there is no checkout."""

from __future__ import annotations

import re
import subprocess
import sys
import venv
import zipfile
from pathlib import Path

import pytest

from tests.helpers import ROOT

pytestmark = pytest.mark.slow

EXTRAS = "cli,metrics"
"""Extras that README's array examples and the command need."""
SOURCES = {".py", ".js", ".css", ".html", ".safetensors"}


def run(*command: str | Path, cwd: Path) -> str:
    """Run a command outside the checkout and return its output."""
    done = subprocess.run(
        [str(word) for word in command], cwd=cwd, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--wheel-dir"]
    run(*command, folder, ROOT, cwd=folder)
    (file,) = folder.glob("latentrl-*.whl")
    return file


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of the commands of an environment that holds the wheel and its dependencies alone."""
    folder = tmp_path_factory.mktemp("environment")
    venv.create(folder, with_pip=True)
    commands = folder / ("Scripts" if sys.platform == "win32" else "bin")
    constraints = ROOT / "constraints.txt"
    requirement = f"latentrl[{EXTRAS}] @ {wheel.as_uri()}"
    pip = [commands / "python", "-m", "pip", "install", "--quiet", "-c", constraints]
    run(*pip, requirement, cwd=folder)
    return commands


def test_wheel_contains_the_library_alone(wheel: Path) -> None:
    names = zipfile.ZipFile(wheel).namelist()
    assert {name.split("/")[0].split("-")[0] for name in names} == {"latentrl"}
    assert "latentrl/py.typed" in names
    packaged = {name for name in names if Path(name).suffix in SOURCES}
    sources = (file for file in (ROOT / "latentrl").rglob("*") if file.suffix in SOURCES)
    assert packaged == {file.relative_to(ROOT).as_posix() for file in sources}


def test_command_lists_its_verbs(installed: Path, tmp_path: Path) -> None:
    output = run(installed / "latentrl", "--help", cwd=tmp_path)
    for verb in ("reconstruct", "denoise", "inpaint", "sample", "traverse", "anomaly", "search"):
        assert verb in output


def test_array_examples_of_the_readme_run(installed: Path, tmp_path: Path) -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    blocks = re.findall(r"^```python\n(.*?)^```", readme, re.M | re.S)
    examples = [block for block in blocks if "load_digits" in block]
    assert examples
    code = "\n".join(["import latentrl as lrl", *examples])
    run(installed / "python", "-W", "error", "-c", code, cwd=tmp_path)


def test_library_imports_without_the_checkout(installed: Path, tmp_path: Path) -> None:
    code = "import sys, latentrl; print({'envs', 'agents', 'scripts'} & set(sys.modules))"
    assert run(installed / "python", "-c", code, cwd=tmp_path).strip() == "set()"
