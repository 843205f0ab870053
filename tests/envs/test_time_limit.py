"""max_episode_steps: the same time limit for every way to make an environment."""

from __future__ import annotations

from typing import Any

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.vector import AutoresetMode

from envs import Environment, make_env, make_vector
from latentrl.types import Array


class Endless(gym.Env[Array, Any]):
    """An environment whose episodes never end."""

    metadata = {"render_modes": ["rgb_array"]}
    observation_space = gym.spaces.Box(0, 255, (4, 4, 3), np.uint8)
    action_space = gym.spaces.Discrete(2)

    def __init__(self, render_mode: str | None = None) -> None:
        self.render_mode = render_mode

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Array, dict[str, Any]]:
        super().reset(seed=seed)
        self.time = 0
        return self.render(), {}

    def step(self, action: Any) -> tuple[Array, float, bool, bool, dict[str, Any]]:
        self.time += 1
        return self.render(), 1.0, False, False, {}

    def render(self) -> Array:
        return np.full((4, 4, 3), self.time, np.uint8)


def endless(**options: Any) -> Endless:
    return Endless(**options)


gym.register("Endless-v0", entry_point=Endless)

WAYS = {
    "id": {"id": "Endless-v0"},
    "class": {"id": f"{__name__}:Endless"},
    "function": {"id": f"{__name__}:endless"},
    "from_render": {"id": f"{__name__}:Endless", "render_size": 8},
    "frame_skip": {"id": f"{__name__}:Endless", "frame_skip": 3},
    "vector_of_the_family": {"id": "MiniGrid-Empty-8x8-v0"},
}


@pytest.mark.parametrize("way", WAYS)
def test_the_limit_truncates_every_episode(way: str) -> None:
    environment = Environment(**WAYS[way], max_episode_steps=5)
    vector = make_vector(environment, 2, backend="gymnasium")
    try:
        vector.reset(seed=0)
        ends = np.stack([vector.step(np.zeros(2, int))[2:4] for _ in range(15)])
    finally:
        vector.close()
    terminated, truncated = ends.transpose(1, 2, 0)
    assert not terminated.any()
    assert (np.flatnonzero(truncated.all(0)) + 1).tolist() == [5, 10, 15]
    assert truncated.sum() == 6
    assert vector.metadata["environment"]["max_episode_steps"] == 5


@pytest.mark.parametrize(("env_id", "skip"), [("CarRacing-v2", 2), ("MiniGrid-Empty-8x8-v0", 1)])
def test_the_limit_truncates_every_episode_of_envpool(env_id: str, skip: int) -> None:
    pytest.importorskip("envpool")
    environment = Environment(env_id, frame_skip=skip, discrete=True, max_episode_steps=3)
    vector = make_vector(environment, 2, backend="envpool")
    try:
        vector.reset(seed=0)
        steps = [vector.step(np.zeros(2, int)) for _ in range(8)]
        assert [step[3].all() for step in steps] == [(k + 1) % 3 == 0 for k in range(8)]
        observations, final = steps[2][0], steps[2][4]["final_obs"]
        assert not np.array_equal(observations[0], final[0]), "the next episode has started"
        vector.step(np.zeros(2, int))
        vector.reset(seed=0)
        assert not any(vector.step(np.zeros(2, int))[3].any() for _ in range(2))
    finally:
        vector.close()
    assert vector.metadata["autoreset_mode"] == AutoresetMode.SAME_STEP


def test_an_earlier_end_of_the_environment_stays() -> None:
    env = make_env(Environment("PixelReach-v0", max_episode_steps=1_000))
    env.reset(seed=0)
    steps = [env.step(0) for _ in range(20)]
    assert steps[-1][3], "PixelReach truncates after 20 steps"


@pytest.mark.parametrize("limit", [0, -3])
def test_a_limit_below_one_step(limit: int) -> None:
    with pytest.raises(ValueError, match=f"at least 1 timestep, got {limit}; None sets no limit"):
        Environment("PixelReach-v0", max_episode_steps=limit)
