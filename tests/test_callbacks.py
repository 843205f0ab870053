from __future__ import annotations

import functools
import io

import gymnasium as gym
import numpy as np
import pytest
from helpers import Clock, FakeEncoder, read_events
from PIL import Image
from stable_baselines3 import PPO
from stable_baselines3.common.logger import configure
from stable_baselines3.common.vec_env import DummyVecEnv, VecFrameStack, VecMonitor

import envs  # noqa: F401 - registers PixelReach-v0
import latentrl as lrl
from latentrl.callbacks import EnvFrameCurves, LatentPictures, ProgressCallback, summary_writer

STEPS = 64  # of each of 2 environments, four times
CLOCK = functools.partial(Clock, 2, side=32)
REACH = functools.partial(gym.make, "PixelReach-v0")
ROLLOUT = 2 * STEPS


def learn(callbacks, folder=None, make=CLOCK, encoder=None, formats=("tensorboard",), rollouts=4):
    venv = VecMonitor(DummyVecEnv([make, make]))
    if encoder is not None:
        venv = VecFrameStack(lrl.wrap(venv, encoder), 2)
    policy = "MlpPolicy"
    model = PPO(policy, venv, n_steps=STEPS, batch_size=STEPS, n_epochs=1, seed=0, device="cpu")
    model.set_logger(configure(None if folder is None else str(folder), list(formats)))
    model.learn(rollouts * ROLLOUT, callback=callbacks)
    model.logger.close()
    return model


@pytest.fixture(scope="module")
def encoder():
    frames = np.stack([gym.make("PixelReach-v0").reset(seed=i)[0] for i in range(40)])
    model = lrl.pca((32, 32, 3), latent_dim=4)
    lrl.fit(model, frames, progress=False)
    return model


def test_returns_against_environment_frames(tmp_path):
    model = learn([EnvFrameCurves(frame_skip=3)], tmp_path, encoder=FakeEncoder())
    events = read_events(tmp_path)
    ours = events.Scalars("rollout/ep_rew_mean_per_env_frame")
    theirs = events.Scalars("rollout/ep_rew_mean")
    assert [point.step for point in theirs] == [ROLLOUT * k for k in (1, 2, 3, 4)]
    assert [point.step for point in ours] == [3 * ROLLOUT * k for k in (1, 2, 3, 4)]
    assert [point.value for point in ours] == pytest.approx([point.value for point in theirs])
    assert len(model.ep_info_buffer) > 4


def test_no_episode_no_curve(tmp_path):
    class Endless(Clock):
        length = 10_000

    learn([EnvFrameCurves(1)], tmp_path, make=Endless, rollouts=1)
    assert "rollout/ep_rew_mean_per_env_frame" not in read_events(tmp_path).Tags()["scalars"]


def test_pictures_of_what_the_agent_has_just_seen(tmp_path, encoder):
    learn([LatentPictures(every=2 * ROLLOUT)], tmp_path, REACH, encoder)
    images = read_events(tmp_path).Images("agent/reconstructions")
    assert [image.step for image in images] == [ROLLOUT, 3 * ROLLOUT]
    picture = np.asarray(Image.open(io.BytesIO(images[0].encoded_image_string)))
    assert picture.shape == (2 * 96 + 6, 2 * 96 + 6, 3)  # two environments' frames above their reconstructions
    above = picture[2 : 2 + 96 : 3, 2 : 2 + 96 : 3]
    assert {tuple(colour) for colour in above.reshape(-1, 3).tolist()} == {(230, 60, 50), (70, 200, 90), (35, 40, 60)}


@pytest.mark.parametrize("without", ["decoder", "autoencoder", "codes"])
def test_no_pictures_where_there_is_nothing_to_show(tmp_path, without):
    model = {"decoder": lrl.random((32, 32, 3), latent_dim=4), "autoencoder": FakeEncoder(), "codes": None}[without]
    learn([LatentPictures(every=1)], tmp_path, REACH, model, rollouts=1)
    assert read_events(tmp_path).Tags()["images"] == []


def test_no_pictures_of_vectors(tmp_path):
    model = lrl.pca((4,), latent_dim=2)
    learn([LatentPictures(every=1)], tmp_path, functools.partial(gym.make, "CartPole-v1"), model, rollouts=1)
    assert read_events(tmp_path).Tags()["images"] == []


def test_logging_elsewhere_is_no_mistake(tmp_path, encoder):
    callbacks = [EnvFrameCurves(1), LatentPictures(every=1)]
    learn(callbacks, tmp_path, REACH, encoder, formats=("csv",), rollouts=1)
    assert summary_writer(callbacks[0]) is None
    assert [file.name for file in tmp_path.iterdir()] == ["progress.csv"]


def test_progress_counts_decisions_and_environment_frames(capsys):
    callback = ProgressCallback(total=2 * ROLLOUT, frame_skip=4)
    learn([callback], formats=(), rollouts=2)
    assert callback.bar.n == callback.bar.total == 2 * ROLLOUT
    shown = capsys.readouterr().err
    assert "decision/s" in shown
    assert f"{4 * 2 * ROLLOUT:,} env frames" in shown
    assert "return " in shown


def test_progress_goes_on_where_training_was_resumed():
    callback = ProgressCallback(total=3 * ROLLOUT)
    venv = VecMonitor(DummyVecEnv([CLOCK, CLOCK]))
    model = PPO("MlpPolicy", venv, n_steps=STEPS, batch_size=STEPS, n_epochs=1, device="cpu")
    model.num_timesteps = ROLLOUT
    model.learn(2 * ROLLOUT, callback=callback, reset_num_timesteps=False)
    assert callback.bar.initial == ROLLOUT
    assert callback.bar.n == 3 * ROLLOUT
