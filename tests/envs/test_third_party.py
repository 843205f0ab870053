"""Ids of packages that nobody has imported, by stand-ins for such packages."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import gymnasium as gym
import pytest

from envs import Environment, make_by_name, make_vector
from envs.third_party import WELL_KNOWN, advice, register_id
from tests.helpers import Clock

Install = Callable[..., None]


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Install:
    """Install a package that registers ids, by its module, metadata and list of modules."""
    known = dict(gym.registry)
    monkeypatch.syspath_prepend(tmp_path)

    def add(
        package: str,
        *ids: str,
        requires: str = "gymnasium>=1.0",
        module: str | None = None,
        code: str = "import gymnasium as gym",
    ) -> None:
        module = module or package.replace("-", "_")
        monkeypatch.delitem(sys.modules, module, raising=False)  # the real one would hide it
        lines = [f"gym.register({name!r}, entry_point='tests.helpers:Clock')" for name in ids]
        (tmp_path / module).mkdir()
        (tmp_path / module / "__init__.py").write_text("\n".join([code, *lines]))
        info = tmp_path / f"{package.replace('-', '_')}-1.0.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(
            f"Metadata-Version: 2.1\nName: {package}\nVersion: 1.0\nRequires-Dist: {requires}\n"
        )
        (info / "RECORD").write_text(f"{module}/__init__.py,,\n")

    yield add
    gym.registry.clear()
    gym.registry.update(known)
    for name in [name for name, item in sys.modules.items() if _is_below(item, tmp_path)]:
        del sys.modules[name]


def _is_below(module: object, folder: Path) -> bool:
    file = getattr(module, "__file__", None)
    return file is not None and Path(file).is_relative_to(folder)


@pytest.mark.parametrize(
    ("package", "env_id"),
    [
        ("kart-race", "KartRace-Track-v2"),
        ("kart-env", "kart-fast-v0"),
        ("gym-kart", "gym_kart/Kart-v1"),
        ("kart-gymnasium", "Kart2D-v0"),
        ("highway-env", "intersection-v77"),
        ("panda-gym", "PandaFold-v3"),
    ],
)
def test_a_bare_id_imports_the_package_of_that_name(
    package: str, env_id: str, install: Install
) -> None:
    install(package, env_id)
    assert isinstance(make_by_name(env_id).unwrapped, Clock)


@pytest.mark.parametrize("text", ["top_level", "none"])
def test_modules_of_another_name_than_the_package(
    text: str, install: Install, tmp_path: Path
) -> None:
    install("simulator-of-karts", "Kart-v5", module="kart")
    info = tmp_path / "simulator_of_karts-1.0.dist-info"
    if text == "top_level":
        (info / "top_level.txt").write_text("tests\nkart\n")
    assert isinstance(make_by_name("Kart-v5").unwrapped, Clock)


def test_vectors_find_the_package_too(install: Install) -> None:
    install("kart-race", "KartRace-v0")
    vector = make_vector(Environment("KartRace-v0", max_episode_steps=2), 2)
    try:
        vector.reset(seed=0)
        assert vector.step([0, 0])[4]["time"].tolist() == [1, 1]
    finally:
        vector.close()


@pytest.mark.parametrize(
    ("package", "requires"), [("kart-race", "numpy"), ("ka", "gymnasium"), ("horse", "gymnasium")]
)
def test_other_packages_are_not_imported(package: str, requires: str, install: Install) -> None:
    install(package, requires=requires, code="raise SystemExit('imported')")
    with pytest.raises(
        ValueError,
        match=r"the package that registers it, write package:KartRace-v0, or name a module",
    ):
        make_by_name("KartRace-v0")


def test_a_package_that_registers_nothing_of_the_name(install: Install) -> None:
    install("kart-race", "KartRaceOther-v0")
    with pytest.raises(ValueError, match=r"KartRace.*package:KartRace-v0, or .* --plugin MODULE$"):
        make_by_name("KartRace-v0")
    assert "KartRaceOther-v0" in gym.registry


def test_a_package_whose_import_fails(install: Install) -> None:
    install("kart-race", code="import no_such_engine")
    message = (
        "KartRace-v0 is an id of the package kart_race, whose import fails: No module named "
        "'no_such_engine'"
    )
    with pytest.raises(ValueError, match=message):
        register_id("KartRace-v0")


def test_a_package_for_the_old_gym(install: Install) -> None:
    install("gym-kart", requires="gym==0.21", code="raise SystemExit('imported')")
    with pytest.raises(ValueError, match="gym_kart registers with the old package gym: write a"):
        make_by_name("KartRace-v0")


@pytest.mark.parametrize(
    ("env_id", "package"),
    [
        ("MiniWorld-OneRoom-v0", "miniworld"),
        ("highway-fast-v0", "highway-env"),
        ("PandaReach-v3", "panda-gym"),
        ("FlappyBird-v0", "flappy-bird-gymnasium"),
        ("FetchReach-v4", "gymnasium-robotics"),
    ],
)
def test_well_known_packages_that_are_missing(
    env_id: str, package: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, package.replace("-", "_"), None)
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    assert package in WELL_KNOWN
    assert advice(env_id) == f"If it is that of {package}: pip install {package}"


def test_well_known_packages_that_are_installed() -> None:
    pytest.importorskip("ale_py")
    env = make_by_name("BreakoutNoFrameskip-v4")
    assert env.spec.id == "BreakoutNoFrameskip-v4"
    env.close()
