from __future__ import annotations

from collections import deque

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.envs.registration import EnvSpec
from gymnasium.utils.env_checker import check_env
from gymnasium.vector import SyncVectorEnv
from stable_baselines3.common.env_checker import check_env as check_env_for_sb3

from envs import Environment, make_env, make_vector
from envs.key_rooms import (
    ACTIONS,
    AGENT,
    CELLS,
    DOOR,
    FACTORS,
    FLOOR,
    GOAL,
    KEY,
    MOVES,
    OFF,
    PIXELS,
    SCREEN,
    KeyRooms,
)
from tests.helpers import same

UP, DOWN, LEFT, RIGHT, USE, SWITCH = range(len(ACTIONS))
IDS = ("KeyRooms-v0", "KeyRoomsNoisyTV-v0", "KeyRoomsProcedural-v0")


def factors(info):
    return dict(zip(FACTORS, info["factors"].tolist(), strict=True))


def tile(observation, row, column):
    return observation[
        row * PIXELS : (row + 1) * PIXELS, column * PIXELS : (column + 1) * PIXELS
    ].reshape(-1, 3)


def colours(observation, row, column):
    return {tuple(pixel) for pixel in tile(observation, row, column).tolist()}


def open_cells(observation):
    """Return the cells of an image whose colour is that of a cell to walk on."""
    pixels = observation[2::PIXELS, 2::PIXELS]
    return {
        cell
        for cell in np.ndindex(CELLS, CELLS)
        if tuple(pixels[cell].tolist()) in {FLOOR, GOAL, AGENT, KEY}
    }


def path(observation, start, target):
    """Return the actions of a shortest path by the image alone, None where there is none."""
    paths, reached, walkable = deque([(start, [])]), {start}, open_cells(observation)
    while paths:
        cell, actions = paths.popleft()
        if cell == target:
            return actions
        for action, (down, right) in enumerate(MOVES):
            after = cell[0] + down, cell[1] + right
            if after in walkable - reached:
                reached.add(after)
                paths.append((after, [*actions, action]))
    return None


def solve(env, seed):
    """Solve an episode from factors and images; return the results of all steps."""
    observation, info = env.reset(seed=seed)
    now = factors(info)
    at_door = now["door_row"], 2
    results = []
    for target, last in (
        ((now["key_row"], now["key_column"]), [USE]),
        (at_door, [USE]),
        ((now["goal_row"], now["goal_column"]), []),
    ):
        cell = now["agent_row"], now["agent_column"]
        results += [env.step(action) for action in [*path(observation, cell, target), *last]]
        observation, now = results[-1][0], factors(results[-1][4])
    return results


def test_factors_are_the_cells_of_the_drawn_objects():
    env = KeyRooms(layouts=None)
    for seed in range(30):
        observation, info = env.reset(seed=seed)
        seen = factors(info)
        assert colours(observation, seen["agent_row"], seen["agent_column"]) == {FLOOR, AGENT}
        assert colours(observation, seen["key_row"], seen["key_column"]) == {FLOOR, KEY}
        assert colours(observation, seen["goal_row"], seen["goal_column"]) == {FLOOR, GOAL}
        assert colours(observation, seen["door_row"], 3) == {FLOOR, DOOR}
        assert colours(observation, 4, seen["left_gap_column"]) == {FLOOR}
        assert colours(observation, 4, seen["right_gap_column"]) == {FLOOR}
        assert (seen["has_key"], seen["door_open"]) == (0, 0)


def test_the_door_is_the_only_path_to_the_goal():
    env = KeyRooms(layouts=None)
    for seed in range(30):
        closed, info = env.reset(seed=seed)
        seen = factors(info)
        start, goal = (
            (seen["agent_row"], seen["agent_column"]),
            (seen["goal_row"], seen["goal_column"]),
        )
        env._open = True
        assert path(closed, start, (seen["key_row"], seen["key_column"]))
        assert path(closed, start, goal) is None
        assert path(env.render(), start, goal)


def test_the_extrinsic_reward_is_zero_before_the_goal():
    env = KeyRooms(layouts=None)
    for seed in range(20):
        results = solve(env, seed)
        _, rewards, terminated, truncated, _ = zip(*results, strict=True)
        assert rewards[-1] == pytest.approx(1 - 0.9 * len(results) / 64)
        assert not any(rewards[:-1])
        assert terminated[-1]
        assert not any([*terminated[:-1], *truncated])
        assert len(results) <= 34


def test_every_state_has_an_image_of_its_own():
    """Including the agent in the key's cell, before and after it takes the key."""
    env = KeyRooms()
    results = solve(env, 3)
    images = {tuple(result[4]["factors"].tolist()): result[0].tobytes() for result in results}
    assert len(set(images.values())) == len(images)
    assert sum(factors(result[4])["has_key"] for result in results) < len(results)


@pytest.fixture
def rooms():
    env = KeyRooms()
    env.reset(seed=0)
    env._door, env._key, env._goal, env._gaps = (2, 3), (7, 0), (7, 7), [(4, 1), (4, 5)]
    return env


def test_the_door_needs_the_key(rooms):
    rooms._agent = (2, 2)
    for action in (RIGHT, USE, RIGHT):
        seen = factors(rooms.step(action)[4])
        assert (seen["agent_column"], seen["door_open"]) == (2, 0)
    rooms._has_key, rooms._agent = True, (1, 2)
    assert not factors(rooms.step(USE)[4])["door_open"], "not beside the door"
    rooms._agent = (2, 2)
    assert factors(rooms.step(USE)[4])["door_open"]
    assert factors(rooms.step(RIGHT)[4])["agent_column"] == 3


@pytest.mark.parametrize(
    ("cell", "action", "after"),
    [
        ((1, 0), UP, (1, 0)),
        ((1, 0), LEFT, (1, 0)),
        ((7, 7), DOWN, (7, 7)),
        ((7, 7), RIGHT, (7, 7)),
        ((3, 0), DOWN, (3, 0)),
        ((3, 1), DOWN, (4, 1)),
        ((4, 1), LEFT, (4, 1)),
        ((5, 5), UP, (4, 5)),
        ((6, 2), RIGHT, (6, 2)),
        ((6, 4), LEFT, (6, 4)),
        ((2, 5), LEFT, (2, 4)),
        ((2, 5), SWITCH, (2, 5)),
    ],
)
def test_moves_and_walls(rooms, cell, action, after):
    rooms._agent = cell
    seen = factors(rooms.step(action)[4])
    assert (seen["agent_row"], seen["agent_column"]) == after


def test_episodes_are_truncated():
    env = KeyRooms(max_steps=3)
    env.reset(seed=0)
    assert [env.step(SWITCH)[1:4] for _ in range(3)] == [(0, False, False)] * 2 + [(0, False, True)]


def test_the_noisy_tv():
    quiet, noisy = KeyRooms(), KeyRooms(noisy_tv=True)
    off, on = quiet.reset(seed=0)[0], noisy.reset(seed=0)[0]
    outside = np.ones(off.shape, bool)
    outside[SCREEN] = False
    assert same(off[outside], on[outside])
    assert (off[SCREEN] == OFF).all()
    assert same(quiet.step(SWITCH)[0], off)
    frames = [on, *(noisy.step(SWITCH)[0] for _ in range(20))]
    assert len({frame.tobytes() for frame in frames}) == 21
    assert all(same(frame[outside], off[outside]) for frame in frames)
    noise = np.concatenate([frame[SCREEN].ravel() for frame in frames])
    assert abs(noise.mean() - 127.5) < 3
    assert same(noisy.step(USE)[0][SCREEN], frames[-1][SCREEN])


def layouts_of(env):
    env.reset(seed=0)
    return {tuple(env.reset()[1]["factors"][4:].tolist()) for _ in range(200)}


def test_the_number_of_layouts():
    assert len(layouts_of(KeyRooms())) == 4
    assert len(layouts_of(KeyRooms(layouts=2))) == 2
    assert layouts_of(KeyRooms(layouts=2)) < layouts_of(KeyRooms(layouts=4))
    assert len(layouts_of(KeyRooms(layouts=None))) > 150


@pytest.mark.parametrize("options", [{"max_steps": 0}, {"layouts": 0}])
def test_no_steps_or_layouts(options):
    message = r"KeyRooms needs at least 1 step and 1 layout; got max_steps=\d+, layouts=\d"
    with pytest.raises(ValueError, match=message):
        KeyRooms(**options)


@pytest.mark.parametrize("env_id", IDS)
def test_the_checkers_of_gymnasium_and_sb3_pass(env_id):
    env = gym.make(env_id, render_mode="rgb_array")
    check_env(env.unwrapped)
    check_env_for_sb3(env)
    again = gym.make(EnvSpec.from_json(env.spec.to_json()))
    assert same(again.reset(seed=4)[0], env.reset(seed=4)[0])
    assert same(env.render(), env.unwrapped._paint())
    assert env.unwrapped.noisy_tv == ("TV" in env_id)


def test_vectors_step_in_this_process():
    vector = make_vector(Environment("KeyRoomsNoisyTV-v0"), 3)
    assert isinstance(vector, SyncVectorEnv)
    observations, infos = vector.reset(seed=0)
    assert infos["factors"].shape == (3, len(FACTORS))
    assert same(observations[2], make_env(Environment("KeyRoomsNoisyTV-v0")).reset(seed=2)[0])


@pytest.mark.parametrize("layouts", [4, None])
def test_random_actions_find_the_key_and_not_the_goal(layouts, monkeypatch):
    monkeypatch.setattr(KeyRooms, "_paint", lambda self: None)
    env, rng = KeyRooms(layouts=layouts), np.random.default_rng(0)
    env.reset(seed=0)
    ends = []
    for _ in range(300):
        env.reset()
        for action in rng.integers(len(ACTIONS), size=env.max_steps):
            _, _, solved, _, info = env.step(action)
            if solved:
                break
        ends.append((factors(info)["has_key"], solved))
    key, goal = np.mean(ends, axis=0)
    assert 0.03 < key < 0.3
    assert goal < 0.01
