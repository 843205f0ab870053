"""Known factors of MiniGrid, against the simulator's objects after known actions."""

from __future__ import annotations

import numpy as np
import pytest

from envs import Environment, make_env, make_vector
from envs.minigrid.factors import CLOSED, FACTORS, LOCKED, OPEN

pytest.importorskip("minigrid")
LEFT, RIGHT, FORWARD, PICKUP, DROP, TOGGLE = range(6)


@pytest.fixture
def level():
    """A level of 5 x 5 cells: agent above the key, at the left of the locked door."""
    env = make_env(Environment("MiniGrid-DoorKey-5x5-v0"))
    env.reset(seed=0)
    grid = env.unwrapped
    [door], [key] = (
        [thing for thing in grid.grid.grid if thing and thing.type == kind]
        for kind in ("door", "key")
    )
    yield env, grid, door, key
    env.close()


def named(info):
    return dict(zip(FACTORS, info["factors"].tolist(), strict=True))


def test_agent_door_and_key_are_those_of_the_simulator(level):
    env, grid, door, key = level
    rng = np.random.default_rng(1)
    states = set()
    for _ in range(600):
        *_, ended, cut, info = env.step(int(rng.integers(6)))
        if ended or cut:
            break
        factors = named(info)
        agent = [factors["agent_column"], factors["agent_row"]]
        assert agent == [*grid.agent_pos]
        assert factors["direction"] == grid.agent_dir
        cell = grid.grid.get(int(factors["door_column"]), int(factors["door_row"]))
        assert cell is door
        assert factors["door_state"] == door.encode()[2]
        place = [factors["key_column"], factors["key_row"]]
        if grid.carrying is key:
            assert place == agent
        else:
            assert grid.grid.get(*map(int, place)) is key
        assert factors["key_carried"] == (grid.carrying is key)
        states.add((factors["door_state"], factors["key_carried"]))
    assert {(LOCKED, 0), (LOCKED, 1), (OPEN, 1), (CLOSED, 1)} <= states


def test_what_a_level_lacks_is_nan():
    env = make_env(Environment("MiniGrid-Empty-5x5-v0"))
    factors = named(env.reset(seed=0)[1])
    assert (factors["agent_column"], factors["agent_row"], factors["direction"]) == (1, 1, 0)
    assert np.isnan(
        [factors[name] for name in FACTORS if not name.startswith(("agent", "dir"))]
    ).all()
    assert named(env.step(FORWARD)[4])["agent_column"] == 2
    assert named(env.step(RIGHT)[4])["direction"] == 1
    env.close()


@pytest.mark.parametrize("env_id", ["MiniGrid-DoorKey-5x5-v0", "MiniGridShifted-DoorKey-5x5-v0"])
def test_vectors_give_the_factors_of_single_environments(env_id):
    environment = Environment(env_id)
    envs = make_vector(environment, 2, backend="gymnasium")
    single = make_env(environment)
    assert envs.metadata["factors"] == single.metadata["factors"] == FACTORS
    infos = envs.reset(seed=[5, 6])[1]
    np.testing.assert_array_equal(infos["factors"][1], single.reset(seed=6)[1]["factors"])
    for action in (RIGHT, FORWARD, LEFT, PICKUP):
        infos = envs.step(np.array([LEFT, action]))[4]
        np.testing.assert_array_equal(infos["factors"][1], single.step(action)[4]["factors"])
    envs.close()
    single.close()
