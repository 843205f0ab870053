from __future__ import annotations

import gymnasium as gym
import numpy as np
import pytest

from envs import make_by_name
from envs.names import registered_id, takes_render_mode
from envs.pixel_reach import PixelReach
from tests.helpers import Clock


def test_a_gymnasium_id():
    assert isinstance(make_by_name("PixelReach-v0").unwrapped, PixelReach)


def test_package_and_id_import_the_package(tmp_path, monkeypatch):
    (tmp_path / "late_package.py").write_text(
        "import gymnasium as gym\n"
        "gym.register('Late-v3', entry_point='tests.helpers:Clock', kwargs={'ident': 7})\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    assert "Late-v3" not in gym.registry
    try:
        assert make_by_name("late_package:Late-v3").unwrapped.ident == 7
    finally:
        gym.registry.pop("Late-v3", None)


def test_module_and_class_take_options():
    env = make_by_name("tests.helpers:Clock", ident=3)
    assert type(env) is Clock
    assert env.ident == 3


def test_module_and_function():
    env = make_by_name("tests.helpers:continuous_reach", cells=2)
    assert isinstance(env, gym.wrappers.TimeLimit)
    assert env.unwrapped.cells == 2


@pytest.mark.parametrize(
    ("name", "message"),
    [
        (
            "tests.helpers:ROOT",
            r"tests\.helpers:ROOT is a \w+: expected a class or a function that makes a "
            r"gymnasium\.Env",
        ),
        ("builtins:dict", r"builtins:dict made a dict, expected a gymnasium\.Env"),
        (
            "no_such_module:Thing",
            "cannot import 'no_such_module' for no_such_module:Thing; run from the folder that has "
            r"no_such_module\.py, or install its package",
        ),
        ("a/mine.py:Thing", r"a/mine\.py:Thing names a file: write a\.mine:Thing, without \.py"),
        ("no_such.module:Thing", r"cannot import 'no_such\.module'"),
        (
            "tests.helpers:Nothing-v0",
            r"no environment tests\.helpers:Nothing-v0: module 'tests\.helpers' has no class or "
            r"function 'Nothing-v0', and its import registers no Gymnasium id 'Nothing-v0' \(",
        ),
        ("tests.helpers:Nothing", "registers no Gymnasium id 'Nothing'"),
    ],
)
def test_names_that_make_no_environment(name, message):
    with pytest.raises(ValueError, match=message):
        make_by_name(name)


class Broken(Clock):
    def __init__(self):
        raise RuntimeError("no\n  engine")


class NeverRegistered:
    """An environment of the old Gym, which derives from nothing of Gymnasium."""

    def reset(self):
        return 0

    def step(self, action):
        return 0, 0.0, False, {}


gym.register("Broken-v0", entry_point=Broken)


@pytest.mark.parametrize("name", ["Broken-v0", f"{__name__}:Broken"])
def test_a_constructor_that_raises_is_named_with_the_place(name):
    message = rf"{name} cannot be made: RuntimeError in test_names\.py, line \d+: no engine$"
    with pytest.raises(ValueError, match=message):
        make_by_name(name)


def test_an_environment_of_the_old_gym():
    message = (
        rf"{__name__}:NeverRegistered made a {__name__}\.NeverRegistered, expected a "
        r"gymnasium\.Env: derive the class from it, or .*make\('GymV21Environment-v0', env=env\)"
    )
    with pytest.raises(ValueError, match=message):
        make_by_name(f"{__name__}:NeverRegistered")


class Parallel:
    """Looks like PettingZoo's environments of several agents."""

    possible_agents = ("left", "right")

    def reset(self): ...

    def step(self, actions): ...


def test_an_environment_of_several_agents():
    with pytest.raises(
        ValueError, match="of several agents: make an environment of one of them, w"
    ):
        make_by_name(f"{__name__}:Parallel")


class Lost:
    """Needs a file that is not there."""

    def __init__(self, render_mode=None):
        np.load("levels/nowhere.npy")


def test_the_place_is_that_of_the_users_own_code():
    message = r"Lost cannot be made: FileNotFoundError in test_names\.py, line \d+: .*nowhere\.npy"
    with pytest.raises(ValueError, match=message):
        make_by_name(f"{__name__}:Lost")


def test_a_constructor_without_the_option():
    message = r"fractions:Fraction does not take the arguments render_mode .*needs an argument"
    with pytest.raises(ValueError, match=message):
        make_by_name("fractions:Fraction", render_mode="rgb_array")


def needs_a_level(level, render_mode=None):
    raise AssertionError("it is not called")


def test_a_function_that_needs_arguments():
    message = r"needs_a_level needs arguments \(missing a required argument: 'level'\): name a func"
    with pytest.raises(ValueError, match=message):
        make_by_name(f"{__name__}:needs_a_level")
    with pytest.raises(ValueError, match=message):
        make_by_name(f"{__name__}:needs_a_level", render_mode="rgb_array")


@pytest.mark.parametrize(
    ("name", "takes"),
    [
        ("CartPole-v1", True),
        ("tests.helpers:Dark", True),
        ("tests.helpers:continuous_reach", True),
        ("tests.envs.test_names:Plain", False),
    ],
)
def test_a_render_mode_is_taken_or_not(name, takes):
    assert takes_render_mode(name) == takes


class Plain(Clock):
    """A clock without a render mode."""

    def __init__(self):
        super().__init__(side=16)

    render = gym.Env.render


def test_a_module_with_a_failing_import_keeps_its_traceback(tmp_path, monkeypatch):
    (tmp_path / "needs_more.py").write_text("import no_such_dependency\n")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(ModuleNotFoundError, match="no_such_dependency"):
        make_by_name("needs_more:Env")


def test_an_unknown_id_lists_similar_ones():
    with pytest.raises(ValueError, match=r"PixelReech.*Did you mean: `PixelReach`"):
        make_by_name("PixelReech-v0")


@pytest.mark.parametrize(
    ("name", "env_id"),
    [
        ("CartPole-v1", "CartPole-v1"),
        ("ale_py:ALE/Pong-v5", "ALE/Pong-v5"),
        ("my.module:MyEnv", "my.module:MyEnv"),
    ],
)
def test_the_id_in_a_name(name, env_id):
    assert registered_id(name) == env_id
