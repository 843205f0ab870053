from __future__ import annotations

import dataclasses
import re
import sys

import gymnasium as gym
import pytest

import envs
from envs import (
    FAMILIES,
    EnvDefaults,
    EnvFamily,
    Environment,
    defaults_for,
    family_of,
    make_env,
    make_vector,
    register_family,
)
from envs.families import GENERAL
from envs.wrappers import FrameSkip, PickObservation
from latentrl.data.collect import EXPLORERS
from tests.helpers import ROOT, Clock

GENERAL_FILES = ("make.py", "envpool.py", "families.py", "names.py", "wrappers.py")


@pytest.fixture
def registry(monkeypatch):
    """A copy of the registry for the test to add to."""
    families = dict(FAMILIES)
    monkeypatch.setattr("envs.families.FAMILIES", families)
    return families


# The families


@pytest.mark.parametrize("family", FAMILIES.values(), ids=list(FAMILIES))
def test_defaults_are_valid(family):
    defaults = family.defaults
    assert min(defaults.frame_skip, defaults.stack) >= 1
    assert defaults.policy in EXPLORERS
    assert FAMILIES[family.name] is family


@pytest.mark.parametrize("family", FAMILIES.values(), ids=list(FAMILIES))
def test_every_prefix_leads_to_its_family(family):
    for prefix in family.prefixes:
        assert family_of(f"{prefix}Anything-v7") is family
        assert family_of(f"some.package:{prefix}Anything-v7") is family
        assert defaults_for(f"{prefix}Anything-v7") is family.defaults


@pytest.mark.parametrize("file", GENERAL_FILES)
def test_general_files_name_no_family(file):
    text = (ROOT / "envs" / file).read_text()
    for family in FAMILIES.values():
        words = {family.name, family.name.replace("_", ""), *family.prefixes, family.package or ""}
        for word in words - {""}:
            assert not re.search(rf"\b{re.escape(word.rstrip('-/'))}", text, re.IGNORECASE), word


@pytest.mark.parametrize("env_id", ["CartPole-v1", "MiniGridlock-v0", "my_module:KeyRooms"])
def test_other_ids_have_the_general_defaults(env_id):
    assert family_of(env_id) is GENERAL
    assert defaults_for(env_id) == EnvDefaults()


def test_registered_ids_have_families():
    assert "CarRacing-v2" in gym.registry
    assert defaults_for("CarRacing-v2").frame_skip == 4
    assert set(envs.__all__) > FAMILIES.keys(), "each family's module is in the list"


# Registration


def test_the_longest_prefix_decides(registry):
    short = register_family(EnvFamily("short", prefixes=("Mine",)))
    long = register_family(
        dataclasses.replace(short, name="long", prefixes=("Mine-Large-", "my_module:"))
    )
    assert family_of("Mine-Small-v0") is short
    assert family_of("Mine-Large-v0") is long
    assert family_of("my_module:Mine") is long
    assert registry["long"] is long


@pytest.mark.parametrize(
    ("family", "message"),
    [
        (EnvFamily("mine"), "family 'mine' needs at least one id prefix"),
        (EnvFamily("ale", prefixes=("Mine-",)), "family 'ale' is registered twice"),
        (
            EnvFamily("mine", prefixes=("Mine-", "ALE/")),
            "family 'mine' has the id prefix 'ALE/' of family 'ale'; a longer prefix takes "
            "precedence over it",
        ),
    ],
)
def test_families_that_cannot_be_registered(family, message, registry):
    with pytest.raises(ValueError, match=message):
        register_family(family)
    assert registry == FAMILIES


def test_a_string_of_prefixes_is_refused(registry):
    message = (
        r"prefixes of family 'mine' .* got the string 'Cart': write \('Cart',\), with the comma"
    )
    with pytest.raises(TypeError, match=message):
        register_family(EnvFamily("mine", prefixes=("Cart")))
    assert family_of("Carts-v0") is GENERAL


@pytest.mark.parametrize(
    ("defaults", "message"),
    [
        ({"size": "48"}, "size of family 'mine' is a whole number, got '48'"),
        ({"size": 0}, "size of family 'mine' lies between 1 and 1,048,576, got 0"),
        ({"stack": -2}, "stack of family 'mine' lies between 1 and .*, got -2"),
        ({"stack": None}, "stack of family 'mine' is a whole number, got None"),
        ({"frame_skip": 2.5}, "frame_skip of family 'mine' is a whole number, got 2.5"),
        ({"frame_skip": True}, "frame_skip of family 'mine' is a whole number, got True"),
    ],
)
def test_defaults_are_whole_numbers_of_at_least_one(defaults, message, registry):
    with pytest.raises(ValueError, match=message):
        register_family(EnvFamily("mine", prefixes=("Mine-",), defaults=EnvDefaults(**defaults)))
    assert registry == FAMILIES


# Packages


@pytest.mark.parametrize("install", [None, "latentrl[mine]"])
def test_a_missing_package_is_named_with_its_requirement(install, monkeypatch):
    monkeypatch.setitem(sys.modules, "no_such_package", None)
    family = EnvFamily("mine", package="no_such_package.sub", install=install)
    message = f"Mine-v0 needs the package no_such_package: pip install '{install or 'no_such_pa'}"
    with pytest.raises(ValueError, match=re.escape(message)):
        family.import_package("Mine-v0")


def test_a_package_with_a_failing_import_keeps_its_traceback(tmp_path, monkeypatch):
    (tmp_path / "lacks_more.py").write_text("import no_such_dependency\n")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(ModuleNotFoundError, match="no_such_dependency"):
        EnvFamily("mine", package="lacks_more").import_package("Mine-v0")


# A family of one's own, as a plugin registers it


def test_a_family_needs_one_registration(registry):
    register_family(
        EnvFamily(
            "mine",
            prefixes=("tests.helpers:Clock",),
            defaults=EnvDefaults(workers=False),
            observe=lambda env: FrameSkip(env, 2),
        )
    )
    assert isinstance(make_env(Environment("tests.helpers:Clock")), FrameSkip)
    vector = make_vector(Environment("tests.helpers:Clock"), 2)
    vector.reset(seed=0)
    assert vector.step([0, 0])[4]["time"].tolist() == [2, 2]


def test_a_family_with_a_vector_of_its_own(registry):
    made = []

    def vector(makers):
        made.extend(maker() for maker in makers)
        return gym.vector.SyncVectorEnv(
            [lambda env=env: env for env in made],
            autoreset_mode=gym.vector.AutoresetMode.SAME_STEP,
        )

    register_family(
        EnvFamily(
            "mine",
            prefixes=("tests.helpers:Clock",),
            observe=lambda env: FrameSkip(env, 2),
            vector=vector,
        )
    )
    clock = Environment("tests.helpers:Clock", frame_skip=3)
    make_vector(clock, 2, episode_seeds=[[1], [2]])
    assert [env.seeds for env in made] == [[1], [2]]
    assert all(isinstance(env.env.env, Clock) for env in made), "observe is the vector's own job"


def test_makers_carry_their_family(registry, tmp_path, monkeypatch):
    """A spawned worker has not imported the plugin that registered the family."""
    (tmp_path / "clock_package.py").write_text("")
    monkeypatch.syspath_prepend(tmp_path)

    def vector(makers):
        registry.clear()
        return gym.vector.SyncVectorEnv(makers)

    register_family(
        EnvFamily("mine", prefixes=("tests.helpers:Clock",), package="clock_package", vector=vector)
    )
    assert "clock_package" not in sys.modules
    make_vector(Environment("tests.helpers:Clock"), 1)
    assert sys.modules.pop("clock_package")


def test_the_screen_is_the_observation_of_vizdoom():
    class Doom(gym.Env):
        observation_space = gym.spaces.Dict(
            screen=gym.spaces.Box(0, 255, (4, 4, 3), "uint8"), gamevariables=gym.spaces.Box(0, 9)
        )

    env = family_of("VizdoomBasic-v1").observe(Doom())
    assert isinstance(env, PickObservation)
    assert env.observation_space == Doom.observation_space["screen"]


def test_vizdoom_itself(tmp_path, monkeypatch):
    pytest.importorskip("vizdoom")
    monkeypatch.chdir(tmp_path)  # the engine writes its settings into the current folder
    env = make_env(Environment("VizdoomBasic-v1", frame_skip=4))
    try:
        assert env.observation_space.shape == (240, 320, 3)
        assert env.unwrapped.frame_skip == 4, "the engine skips frames itself"
        assert env.reset(seed=0)[0] in env.observation_space
        assert env.step(0)[0] in env.observation_space
    finally:
        env.close()
