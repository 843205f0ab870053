"""Known factors of CarRacing, against a car that is placed by hand."""

from __future__ import annotations

import gymnasium as gym
import numpy as np
import pytest

from envs import Environment, make_env
from envs.car_racing.factors import COLOURS, FACTORS, CarFactors


@pytest.fixture(scope="module")
def env():
    env = make_env(Environment("CarRacing-v3"))
    env.reset(seed=3)
    yield env
    env.close()


def wrapper_of(env):
    while not isinstance(env, CarFactors):
        env = env.env
    return env


def named(env):
    return dict(zip(FACTORS, wrapper_of(env).factors(), strict=True))


@pytest.mark.parametrize("tile", [0, 40, 120])
@pytest.mark.parametrize(("right", "turned"), [(0.0, 0.0), (2.5, 0.4), (-1.5, -2.0)])
def test_place_and_angle_of_the_car(env, tile, right, turned):
    _, angle, x, y = env.unwrapped.track[tile]
    hull = env.unwrapped.car.hull
    hull.position = (x + right * np.cos(angle), y + right * np.sin(angle))
    hull.angle = angle + turned + 2 * np.pi
    hull.linearVelocity = (3.0, -4.0)
    factors = named(env)
    assert factors["distance"] == pytest.approx(right, abs=0.05)
    assert factors["heading"] == pytest.approx(turned, abs=0.05)
    assert factors["speed"] == pytest.approx(5.0)


def test_the_curvature_of_a_closed_track_is_a_full_turn(env):
    wrapper = wrapper_of(env)
    curvatures = []
    for _, angle, x, y in env.unwrapped.track:
        hull = env.unwrapped.car.hull
        hull.position, hull.angle = (x, y), angle
        curvatures.append(named(env)["curvature"])
    places = np.array(env.unwrapped.track)[:, 2:]
    length = np.linalg.norm(places - np.roll(places, 1, 0), axis=1).sum()
    assert np.mean(curvatures) * length == pytest.approx(2 * np.pi, rel=0.15)
    assert wrapper.observation_space.shape == (96, 96, 3)


def test_each_step_has_the_factors(env):
    _, info = env.reset(seed=4)
    assert info["factors"].shape == (len(FACTORS),)
    speeds, steerings = [], []
    for _ in range(40):
        info = env.step(np.array([-0.5, 0.5, 0], np.float32))[4]
        speeds.append(info["factors"][0])
        steerings.append(info["factors"][1])
    assert speeds == sorted(speeds)
    assert speeds[-1] > 20
    assert steerings[-1] > 0.1  # to the left


def test_colours_are_factors_where_they_vary(env):
    assert wrapper_of(env).metadata["factors"] == FACTORS
    coloured = CarFactors(gym.make("CarRacing-v3", domain_randomize=True))
    assert coloured.metadata["factors"] == (*FACTORS, *COLOURS)
    episodes = []
    for seed in range(2):
        _, info = coloured.reset(seed=seed)
        # The first frames zoom in on the car.
        for _ in range(60):
            frame, *_, info = coloured.step(np.zeros(3, np.float32))
        colours = info["factors"][len(FACTORS) :].reshape(2, 3)
        pixels = frame[:80].reshape(-1, 3).astype(int)
        # Tiles of the road differ in brightness, and the frame is scaled down.
        for colour in colours:
            assert np.abs(pixels - colour).max(1).min() < 8
        episodes.append(colours)
    coloured.close()
    assert np.abs(episodes[0] - episodes[1]).min() > 0.1
