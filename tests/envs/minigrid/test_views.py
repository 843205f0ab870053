from __future__ import annotations

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.vector import AutoresetMode, SyncVectorEnv

from envs import Environment, make_env, make_vector
from envs.minigrid.vector import DrawnVectorEnv
from envs.minigrid.views import COLOURS, KINDS, STATES, mask_occluded
from latentrl.wrappers.gymnasium_vecenv import GymnasiumVecEnv
from tests.helpers import same

pytest.importorskip("minigrid")
from minigrid.core.grid import Grid

EVENTS = {
    "MiniGrid-DoorKey-8x8-v0": {"carry", "drop", "unlock"},
    "MiniGrid-MultiRoom-N4-S5-v0": {"unlatch", "end"},
    "MiniGrid-MultiRoom-N4-S5-v1": {"unlatch", "end"},
    "MiniGrid-MultiRoom-N6-v0": {"unlatch", "end"},
    "MiniGrid-KeyCorridorS3R3-v0": {"carry", "drop", "unlatch", "end"},
    "MiniGrid-LockedRoom-v0": {"unlatch", "end"},
    "MiniGrid-ObstructedMaze-2Dlh-v0": {"carry", "drop", "unbox", "unlatch"},
    "MiniGrid-Fetch-8x8-N3-v0": {"end"},  # with transparent walls
    "MiniGrid-GoToDoor-8x8-v0": {"end"},  # with a size that differs between episodes
    "MiniGrid-Dynamic-Obstacles-8x8-v0": {"end"},  # with objects that move
}
"""Events that must occur in each task, so that its test covers them."""
WANDER = np.array([0.15, 0.15, 0.4, 0.1, 0.05, 0.15])
EVERY = [
    env_id for env_id in gym.registry if env_id.startswith("MiniGrid-") and "WFC" not in env_id
]
BABYAI = ["BabyAI-GoToRedBall-v0", "BabyAI-UnlockPickup-v0", "BabyAI-KeyCorridorS4R3-v0"]


def biased_action(env, rng):
    """Return an action, most often one on the object in front of the agent."""
    if env.action_space.n < len(WANDER):
        return rng.integers(env.action_space.n)
    thing = env.unwrapped.grid.get(*env.unwrapped.front_pos)
    if thing is not None and thing.type in ("key", "box", "ball", "door") and rng.random() < 0.5:
        return rng.choice([3, 5])
    return rng.choice(len(WANDER), p=WANDER)


def inventory(env):
    """Return what changes visibly: carrying or not, locked doors, shut doors and boxes."""
    things = [thing for thing in env.unwrapped.grid.grid if thing is not None]
    doors = [thing for thing in things if thing.type == "door"]
    boxes = [
        thing
        for thing in (*things, env.unwrapped.carrying)
        if thing is not None and thing.type == "box"
    ]
    carrying = env.unwrapped.carrying is not None
    return (
        carrying,
        sum(door.is_locked for door in doors),
        sum(not door.is_open for door in doors),
        len(boxes),
    )


def events(before, after):
    names = {
        "carry": after[0] > before[0],
        "drop": after[0] < before[0],
        "unlock": after[1] < before[1],
    }
    names |= {"unlatch": after[2] < before[2], "unbox": after[3] < before[3]}
    return {name for name, happened in names.items() if happened}


def compare(env_id, n_envs, steps):
    """Compare the vector with one environment for each of its own; return the events."""
    vector = make_vector(Environment(env_id), n_envs, backend="gymnasium")
    twins = [make_env(Environment(env_id)) for _ in range(n_envs)]
    rng = np.random.default_rng(0)
    seen_events, frames = set(), vector.reset(seed=7)[0]
    for i, twin in enumerate(twins):
        assert same(twin.reset(seed=7 + i)[0], frames[i])
    for _ in range(steps):
        actions = np.array([biased_action(twin, rng) for twin in twins])
        frames, rewards, terminated, truncated, infos = vector.step(actions)
        assert ("final_obs" in infos) == (terminated | truncated).any()
        for i, twin in enumerate(twins):
            before = inventory(twin)
            frame, *outcome, _ = twin.step(actions[i])
            assert outcome == [rewards[i], terminated[i], truncated[i]]
            seen_events |= events(before, inventory(twin))
            if any(outcome[1:]):
                seen_events.add("end")
                assert same(infos["final_obs"][i], frame)
                frame, _ = twin.reset()
            assert same(frames[i], frame)
    vector.close()
    return seen_events


@pytest.mark.parametrize("env_id", EVENTS)
def test_frames_rewards_and_ends_equal_minigrids(env_id):
    assert EVENTS[env_id] <= compare(env_id, 3, 300)


@pytest.mark.parametrize("env_id", [*EVERY, *BABYAI])
def test_every_task_has_minigrids_frames(env_id):
    compare(env_id, 1, 20)


def test_occlusion_equals_minigrids():
    rng = np.random.default_rng(0)
    symbols = rng.integers(0, [KINDS, COLOURS, STATES], (400, 7, 7, 3))
    symbols[rng.random((400, 7, 7)) < rng.random((400, 1, 1))] = (1, 0, 0)
    cells = (symbols @ [COLOURS * STATES, STATES, 1]).astype(np.uint8)
    for view, hidden, cell in zip(symbols, mask_occluded(cells), cells, strict=True):
        visible = Grid.decode(view.transpose(1, 0, 2))[0].process_vis(agent_pos=(3, 6)).T
        assert same(hidden, np.where(visible, cell, 0))


def test_episode_seeds():
    empty = Environment("MiniGrid-Empty-Random-5x5-v0")
    vector = make_vector(empty, 2, episode_seeds=[[5, 6], [8, 9]])
    assert same(
        vector.reset(seed=0)[0], np.stack([make_env(empty).reset(seed=seed)[0] for seed in (5, 8)])
    )
    for _ in range(100):
        frames, _, _, truncated, _ = vector.step(np.full(2, 6))
    assert truncated.all()
    assert same(frames, np.stack([make_env(empty).reset(seed=seed)[0] for seed in (6, 9)]))


def test_the_vector_wraps_a_sync_vector_env():
    rooms = Environment("MiniGrid-MultiRoom-N2-S4-v0")
    vector = make_vector(rooms, 2, render_mode="rgb_array")
    assert type(vector) is DrawnVectorEnv
    assert type(vector.unwrapped) is SyncVectorEnv
    assert vector.metadata["autoreset_mode"] == AutoresetMode.SAME_STEP
    assert vector.metadata["environment"] == rooms.to_json()
    assert vector.reset(seed=0)[0] in vector.observation_space
    assert [frame.shape for frame in vector.render()] == [(800, 800, 3)] * 2
    adapted = GymnasiumVecEnv(vector)
    assert adapted.get_attr("agent_dir") == [
        env.unwrapped.agent_dir for env in vector.unwrapped.envs
    ]
    assert adapted.observation_space == make_env(rooms).observation_space


def test_frame_skip():
    skipped = make_vector(Environment("MiniGrid-MultiRoom-N6-v0", frame_skip=3), 2)
    plain = make_vector(Environment("MiniGrid-MultiRoom-N6-v0"), 2)
    assert same(skipped.reset(seed=1)[0], plain.reset(seed=1)[0])
    for action in (2, 1, 2):
        frames = skipped.step(np.full(2, action))[0]
        assert same(frames, [plain.step(np.full(2, action))[0] for _ in range(3)][-1])
