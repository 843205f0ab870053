from __future__ import annotations

import cv2
import numpy as np
import pytest

from envs import FAMILIES, Environment, defaults_for, family_of, make_env, make_vector
from envs.minigrid_shifted import SHIFT, refuse, shifted
from tests.helpers import same

pytest.importorskip("minigrid")

DOOR_KEY = Environment("MiniGridShifted-DoorKey-8x8-v0")
PLAIN = Environment("MiniGrid-DoorKey-8x8-v0")


def test_images_are_resized_then_moved_right_and_down():
    frames = np.random.default_rng(0).integers(0, 256, (2, 56, 56, 3), np.uint8)
    images = shifted(frames)
    assert images.shape == (2, 84, 84, 3)
    for frame, image in zip(frames, images, strict=True):
        larger = cv2.resize(frame, (84, 84), interpolation=cv2.INTER_LINEAR)
        assert same(image[SHIFT:, SHIFT:], larger[:-SHIFT, :-SHIFT])
        assert same(image[:SHIFT, SHIFT:], np.repeat(larger[:1, :-SHIFT], SHIFT, 0))
        assert (image[:SHIFT, :SHIFT] == larger[0, 0]).all()


def test_one_environment_and_a_vector_have_the_same_images():
    env = make_env(DOOR_KEY)
    plain = make_env(PLAIN)
    envs = make_vector(DOOR_KEY, 1, backend="gymnasium")
    assert env.observation_space == envs.single_observation_space
    images = [env.reset(seed=3)[0], envs.reset(seed=3)[0][0], shifted(plain.reset(seed=3)[0][None])]
    assert same(images[0], images[1])
    assert same(images[0], images[2][0])
    for action in np.random.default_rng(0).integers(0, 7, 30):
        assert same(env.step(action)[0], envs.step(np.array([action]))[0][0])


def test_terminal_observations_are_shifted():
    envs = make_vector(Environment(DOOR_KEY.id, max_episode_steps=2), 2, backend="gymnasium")
    envs.reset(seed=0)
    envs.step(np.array([0, 0]))
    *_, infos = envs.step(np.array([0, 0]))
    assert all(final in envs.single_observation_space for final in infos["final_obs"])


def test_envpool_serves_it():
    pytest.importorskip("envpool")
    plain = make_vector(PLAIN, 2, backend="envpool", seed=1)
    envs = make_vector(DOOR_KEY, 2, backend="envpool", seed=1)
    assert same(envs.reset(seed=1)[0], shifted(plain.reset(seed=1)[0]))
    assert envs.spec.id == DOOR_KEY.id
    assert refuse("MiniGridShifted-Mine-v0") == "it has no environment of this id"
    assert "not MiniGrid's" in str(refuse("MiniGridShifted-MultiRoom-N6-v0"))


def test_it_has_the_general_defaults():
    assert family_of(DOOR_KEY.id) is FAMILIES["minigrid_shifted"]
    defaults, general = defaults_for(DOOR_KEY.id), defaults_for("CartPole-v1")
    assert (defaults.size, defaults.stack, defaults.pretraining) == (
        general.size,
        general.stack,
        general.pretraining,
    )
