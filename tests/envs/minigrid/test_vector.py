from __future__ import annotations

import sys

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.vector import AutoresetMode, VectorEnv
from stable_baselines3.common.env_checker import check_env

from envs import FAMILIES, Environment, defaults_for, make_env, make_vector
from envs.minigrid import refuse
from envs.minigrid.vector import DrawnVectorEnv, MiniGridVectorEnv, draw_views
from envs.minigrid.views import COLOURS, KINDS, STATES
from tests.helpers import same

pytest.importorskip("minigrid")
from minigrid.core.grid import Grid
from minigrid.core.world_object import WorldObj

DOOR_KEY = Environment("MiniGrid-DoorKey-8x8-v0")
TASKS = [
    "MiniGrid-Empty-5x5-v0",
    "MiniGrid-DoorKey-6x6-v0",
    "MiniGrid-MultiRoom-N4-S5-v1",
    "MiniGrid-KeyCorridorS3R3-v0",
    "MiniGrid-ObstructedMaze-2Dlhb-v1",
    "MiniGrid-LockedRoom-v0",
    "MiniGrid-Dynamic-Obstacles-5x5-v0",
    "MiniGrid-LavaCrossingS9N2-v0",
    "MiniGrid-Fetch-8x8-N3-v0",
    "MiniGrid-Playground-v0",
]
DETERMINISTIC = [
    "MiniGrid-Empty-5x5-v0",
    "MiniGrid-DoorKey-5x5-v0",
    "MiniGrid-LockedRoom-v0",
    "MiniGrid-LavaGapS5-v0",
    "MiniGrid-KeyCorridorS3R2-v0",
    "MiniGrid-ObstructedMaze-1Dlh-v0",
]
PROBABILITIES = np.array([0.15, 0.15, 0.35, 0.12, 0.06, 0.15, 0.02])
"""Probabilities of the actions, forward most often, which covers more of the grid."""


def biased_actions(rng, space, n):
    return rng.choice(int(space.n), n, p=PROBABILITIES if space.n == len(PROBABILITIES) else None)


# Frames


@pytest.mark.parametrize("env_id", TASKS)
def test_the_table_of_tiles_draws_minigrids_frames(env_id):
    env = make_env(Environment(env_id))
    rng = np.random.default_rng(0)
    frame, _ = env.reset(seed=0)
    for action in biased_actions(rng, env.action_space, 60):
        symbols = env.unwrapped.gen_obs()["image"]
        assert same(draw_views(symbols[None])[0], frame)
        frame, _, terminated, truncated, _ = env.step(action)
        if terminated or truncated:
            frame, _ = env.reset()


def test_every_cell_in_every_state_is_drawn_as_minigrid_draws_it():
    rng = np.random.default_rng(0)
    symbols = rng.integers(0, [KINDS, COLOURS, STATES], (40, 7, 7, 3)).astype(np.uint8)
    symbols[symbols[..., 0] == 0] = 0
    agents = symbols[:, 3, 6]
    agents[agents[:, 0] == 0] = (1, 0, 0)  # the agent's cell is never occluded
    assert len(np.unique(symbols[..., 0])) == KINDS
    for view, drawn in zip(symbols, draw_views(symbols), strict=True):
        grid, visible = Grid.decode(view)
        assert same(drawn, grid.render(8, agent_pos=(3, 6), agent_dir=3, highlight_mask=visible))


def test_a_carried_key_is_drawn_in_the_agents_cell():
    views = np.full((2, 7, 7, 3), (1, 0, 0), np.uint8)
    views[1, 3, 6] = (5, 4, 0)  # a yellow key
    empty, carrying = draw_views(views).astype(int)
    row, column, _ = np.nonzero(empty != carrying)
    assert set(row // 8) == {6}
    assert set(column // 8) == {3}


# Gymnasium


def test_one_environment_has_pixel_observations():
    env = make_env(DOOR_KEY)
    assert env.observation_space == gym.spaces.Box(0, 255, (56, 56, 3), np.uint8)
    assert env.action_space == gym.spaces.Discrete(7)
    observation, _ = env.reset(seed=0)
    assert same(observation, env.unwrapped.get_frame(tile_size=8, agent_pov=True))
    check_env(env)
    with pytest.raises(ValueError, match="no observation 'image'; the environment has no keys"):
        make_env(Environment(DOOR_KEY.id, key="image"))


def test_rendered_images_are_of_the_whole_grid():
    env = make_env(Environment("MiniGrid-Empty-5x5-v0", render_size=40))
    assert env.reset(seed=0)[0].shape == (40, 40, 3)
    assert isinstance(
        make_vector(Environment("MiniGrid-Empty-5x5-v0", render_size=40), 1).unwrapped, VectorEnv
    )
    env.close()


def test_each_tile_has_latent_dimensions_of_its_own():
    defaults = defaults_for(DOOR_KEY.id)
    assert defaults == FAMILIES["minigrid"].defaults
    assert defaults.episodic_count
    assert defaults.pretraining["latent_dim"] == 7 * 7 * 4


def test_the_package_is_missing(monkeypatch):
    monkeypatch.setitem(sys.modules, "minigrid", None)
    message = (
        r"MiniGrid-DoorKey-8x8-v0 needs the package minigrid: pip install 'latentrl\[minigrid\]'"
    )
    for backend in ("auto", "gymnasium"):
        with pytest.raises(ValueError, match=message):
            make_vector(DOOR_KEY, 1, backend=backend)


# EnvPool


@pytest.fixture
def pool():
    pytest.importorskip("envpool")
    made = []

    def make(env_id, n_envs, **options):
        vector = make_vector(
            Environment(env_id, **options.pop("environment", {})), n_envs, **options
        )
        made.append(vector)
        return vector

    yield make
    for vector in made:
        vector.close()


def twin_of(env_id, state):
    """Return MiniGrid's environment in the state of EnvPool's."""
    env = make_env(Environment(env_id)).unwrapped
    env.reset(seed=0)
    size = state.width, state.height
    env.grid, _ = Grid.decode(np.array(state.grid, np.uint8).reshape(*size, 3))
    (env.width, env.height), env.max_steps = size, state.max_steps
    env.agent_pos, env.agent_dir = tuple(state.agent_pos), state.agent_dir
    assert not state.has_carrying
    inside = np.array(state.grid_contains).reshape(*size, -1)
    for column, row in np.argwhere(inside.any(axis=-1)):
        env.grid.get(column, row).contains = WorldObj.decode(*inside[column, row, -3:])
    # The object to pick up, in tasks that have one.
    env.obj = next((thing for thing in env.grid.grid if thing and thing.type == "ball"), None)
    return env


@pytest.mark.parametrize("env_id", DETERMINISTIC)
def test_both_have_the_same_rules(pool, env_id):
    vector = pool(env_id, 4, seed=3)
    rng = np.random.default_rng(1)
    frames, _ = vector.reset()
    twins = [twin_of(env_id, state) for state in vector._pool.debug_states()]
    playing = dict(enumerate(twins))
    for twin, frame in zip(twins, frames, strict=True):
        assert same(twin.get_frame(tile_size=8, agent_pov=True), frame)
    for _ in range(80):
        actions = biased_actions(rng, vector.single_action_space, 4)
        frames, rewards, terminated, truncated, infos = vector.step(actions)
        for i, twin in list(playing.items()):
            _, reward, *ends, _ = twin.step(actions[i])
            assert (round(reward, 5), *ends) == (round(rewards[i], 5), terminated[i], truncated[i])
            last = infos["final_obs"][i] if any(ends) else frames[i]
            assert same(twin.get_frame(tile_size=8, agent_pov=True), last)
            if any(ends):
                del playing[i]


def test_auto_takes_envpool_where_it_serves_the_task(pool):
    vector = pool(DOOR_KEY.id, 3)
    assert type(vector) is MiniGridVectorEnv
    assert vector.single_observation_space == make_env(DOOR_KEY).observation_space
    assert vector.single_action_space == gym.spaces.Discrete(7)
    assert vector.metadata["autoreset_mode"] == AutoresetMode.SAME_STEP
    assert vector.metadata["environment"] == DOOR_KEY.to_json()
    assert vector.reset(seed=0)[0] in vector.observation_space
    assert refuse("MiniGrid-NotYet-v0") == "it has no environment of this id"


def test_envpool_is_refused_for_multi_room(pool):
    rooms = "MiniGrid-MultiRoom-N4-S5-v0"
    assert type(pool(rooms, 1)) is DrawnVectorEnv
    message = (
        f"EnvPool cannot serve {rooms}: its MultiRoom levels are not MiniGrid's: rooms overlap.*; "
        "or use backend 'gymnasium'"
    )
    with pytest.raises(ValueError, match=message):
        pool(rooms, 1, backend="envpool")


def test_unknown_ids_and_rendered_images_on_envpool(pool):
    message = "EnvPool cannot serve MiniGrid-NotYet-v0: it has no environment of this id; or use"
    with pytest.raises(ValueError, match=message):
        pool("MiniGrid-NotYet-v0", 1, backend="envpool")
    with pytest.raises(
        ValueError, match="EnvPool cannot serve MiniGrid-DoorKey-8x8-v0: it renders"
    ):
        pool(DOOR_KEY.id, 1, backend="envpool", environment={"render_size": 64})
    with pytest.raises(ValueError, match="NotYet"):
        pool("MiniGrid-NotYet-v0", 1)


def test_same_step_autoreset(pool):
    vector = pool("MiniGrid-Empty-Random-5x5-v0", 4, seed=0)
    frames, _ = vector.reset(seed=0)
    copy = frames.copy()
    stay = np.full(4, 6)
    for step in range(1, 100):
        observations, rewards, _, truncated, infos = vector.step(stay)
        assert truncated.all() == truncated.any() == (step == 100)
        assert not rewards.any()
        assert infos == {}
        assert same(observations, copy)
    observations, _, terminated, truncated, infos = vector.step(stay)
    assert truncated.all()
    assert not terminated.any()
    assert infos["_final_obs"].all()
    assert same(np.stack(infos["final_obs"]), copy)
    assert not same(observations, copy), "the agent starts in other cells"
    assert same(frames, copy), "arrays that were returned are not written again"
    assert vector.step(stay)[4] == {}


def test_only_ended_episodes_are_reset(pool):
    vector = pool("MiniGrid-Empty-Random-5x5-v0", 8, seed=0)
    plain = pool("MiniGrid-Empty-Random-5x5-v0", 8, seed=0)
    rng = np.random.default_rng(0)
    vector.reset(seed=0)
    plain.reset(seed=0)
    ended = 0
    for _ in range(60):
        actions = biased_actions(rng, vector.single_action_space, 8)
        observations, _, terminated, _, infos = vector.step(actions)
        symbols, *_ = plain._pool.step(actions)
        frames = draw_views(symbols["image"])
        for i in range(8):
            assert same(infos["final_obs"][i] if terminated[i] else observations[i], frames[i])
        if terminated.any():
            ended += int(terminated.sum())
            plain._pool.reset(np.flatnonzero(terminated).astype(np.int32))
    assert ended >= 5


def test_seeds(pool):
    vector = pool(DOOR_KEY.id, 6, seed=3)
    first = vector.reset(seed=3)[0]
    assert not same(vector.reset()[0], first)
    assert same(vector.reset(seed=3)[0], first)
    assert same(vector.reset(seed=4)[0][:5], first[1:])  # environment i has seed + i


def test_frame_skip(pool):
    skipped = pool("MiniGrid-Empty-8x8-v0", 2, seed=1, environment={"frame_skip": 3})
    plain = pool("MiniGrid-Empty-8x8-v0", 2, seed=1)
    skipped.reset(seed=1)
    plain.reset(seed=1)
    for action in (2, 1, 2):
        frames = skipped.step(np.full(2, action))[0]
        assert same(frames, [plain.step(np.full(2, action))[0] for _ in range(3)][-1])
