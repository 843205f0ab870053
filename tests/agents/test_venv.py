"""What an agent observes: latents, counts, stacks, normalization, and pixels."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from gymnasium import spaces

import latentrl as lrl
from agents.checkpoint import build, read_agent, restore, save_agent
from agents.venv import PixelEncoder, build_monitored, layout_of, newest_frames, probe
from envs import Environment, make_env
from latentrl.types import LatentLayout
from tests.agents.small import REACH, make_venv, small_config
from tests.helpers import same


def test_pixels_need_images(encoder):
    with pytest.raises(ValueError, match="the agent observes latents: give its encoder"):
        make_venv(small_config(), None)
    vectors = dataclasses.replace(
        small_config(environment=Environment("CartPole-v1")),
        pixels=lrl.Preprocessing(size=(64, 64)),
    )
    with pytest.raises(ValueError, match=r"got Box\(.*; add --from-render"):
        make_venv(vectors, None)


@pytest.mark.parametrize("backend", ["auto", "gymnasium"])
def test_spaces_of_an_environment(backend):
    env = make_env(REACH)
    assert probe(REACH, backend) == (env.observation_space, env.action_space)


def test_the_layout_of_latents(encoder):
    assert layout_of(make_venv(small_config(), encoder)) == LatentLayout(None, 6)
    grid = lrl.beta_vae((64, 64, 3), latent_dim=4 * 64, backbone={"name": "patches"})
    rooms = small_config(environment=Environment("KeyRooms-v0"))
    assert layout_of(make_venv(rooms, grid)) == LatentLayout((8, 8), 4)
    pixels = dataclasses.replace(small_config(), pixels=lrl.Preprocessing())
    assert layout_of(make_venv(pixels, None)).grid is None


def test_an_agent_of_an_older_version_has_standardised_latents():
    grid = lrl.beta_vae((32, 32, 3), latent_dim=4 * 16, backbone={"name": "patches"})
    config = small_config()
    assert "normalize_latents" not in config.hyperparameters
    assert make_venv(config, grid).norm_obs


def test_episodic_counts_beside_latents_that_are_not_normalized(encoder, tmp_path):
    config = small_config("dqn", stack=1, normalize_latents=False)
    config = dataclasses.replace(config, episodic_count=True)
    venv = make_venv(config, encoder)
    assert not venv.norm_obs
    first = venv.reset()
    assert first.shape == (2, encoder.latent_dim + 1)
    assert first[:, -1].tolist() == [1, 1]
    np.testing.assert_allclose(first[:, :-1], encoder.encode(newest_frames(venv)), rtol=1e-5)
    model = build(config, venv)
    save_agent(tmp_path, config, model, venv)
    again, _, _ = read_agent(tmp_path)
    assert again == config
    restored = build(again, make_venv(again, encoder))
    restore(tmp_path, restored, restored.get_vec_normalize_env())
    actions = [each.predict(first, deterministic=True)[0] for each in (model, restored)]
    assert same(*actions)


def test_latents_and_rewards_are_normalized_and_returns_are_extrinsic(encoder):
    config = small_config()
    training, bare = make_venv(config, encoder, seed=3), build_monitored(REACH, n_envs=2, seed=3)
    training.reset()
    bare.reset()
    rng, returns = np.random.default_rng(0), []
    for _ in range(60):
        actions = rng.integers(4, size=2)
        latents, rewards, dones, infos = training.step(actions)
        _, plain, other_dones, other_infos = bare.step(actions)
        assert same(dones, other_dones)
        assert not np.allclose(rewards, plain)
        assert same(training.get_original_reward(), plain)
        for info, other in zip(infos, other_infos, strict=True):
            assert ("episode" in info) == ("episode" in other)
            if "episode" in info:
                assert info["episode"]["r"] == other["episode"]["r"]
                returns.append(info["episode"]["r"])
    assert latents.shape == (2, 12)
    possible = {round(1 - 0.05 * (n - 1), 4) for n in range(1, 21)} | {-1.0}
    assert {round(float(value), 4) for value in returns} <= possible
    assert len(returns) >= 6


def test_evaluation_neither_normalizes_rewards_nor_updates_statistics(encoder):
    config = small_config()
    venv = make_venv(config, encoder, training=False)
    venv.obs_rms.mean += 0.5
    before = {name: np.array(value) for name, value in vars(venv.obs_rms).items()}
    venv.reset()
    for _ in range(25):
        latents, rewards, _, _ = venv.step(np.zeros(2, int))
        assert same(rewards, venv.get_original_reward())
    assert same(before, {name: np.array(value) for name, value in vars(venv.obs_rms).items()})
    assert venv.ret_rms.count == pytest.approx(1e-4)
    expected = (venv.get_original_obs() - 0.5) / np.sqrt(1 + venv.epsilon)
    assert np.allclose(latents, expected.clip(-10, 10), atol=1e-6)


def test_the_newest_frames_are_those_of_the_last_step(encoder):
    venv = make_venv(small_config(), encoder)
    venv.reset()
    venv.step(np.zeros(2, int))
    drawn = np.stack([env.unwrapped._draw() for env in venv.unwrapped.envs.envs])
    assert same(newest_frames(venv), drawn)


def test_pixel_encoder_returns_luma():
    space = spaces.Box(0, 255, (32, 32, 3), np.uint8)
    grey = PixelEncoder(space, lrl.Preprocessing(greyscale=True))
    assert grey.latent_space == spaces.Box(0, 255, (32, 32, 1), np.uint8)
    image = make_env(REACH).reset(seed=0)[0]
    expected = np.round(image @ np.array([0.299, 0.587, 0.114]))
    encoded = grey.encode(image[None])
    assert encoded.dtype == np.uint8
    assert np.abs(encoded[0, ..., 0] - expected).max() <= 1


def test_pixels_beyond_the_given_range_are_clipped():
    space = spaces.Box(0, 1, (8, 8, 2), np.float32)
    encoder = PixelEncoder(space, lrl.Preprocessing(), ((0.0, 0.25), (0.5, 0.75)))
    image = np.full((1, 8, 8, 2), (0.25, 0.5), np.float32)
    assert encoder.encode(image)[0, 0, 0].tolist() == [128, 128]
    assert encoder.encode(image * 4)[0, 0, 0].tolist() == [255, 255]
    assert encoder.encode(image * 0)[0, 0, 0].tolist() == [0, 0]
