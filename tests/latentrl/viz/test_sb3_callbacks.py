"""Callbacks against TensorBoard's events: returns, images, and curves and maps of bonuses."""

from __future__ import annotations

import functools
import io

import gymnasium as gym
import numpy as np
import pytest
from PIL import Image
from stable_baselines3 import DQN, PPO
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.logger import configure
from stable_baselines3.common.vec_env import DummyVecEnv, VecFrameStack, VecMonitor

import envs  # noqa: F401 - registers PixelReach-v0
import latentrl as lrl
from latentrl.viz.decoded import ROWS
from latentrl.viz.images import TILE
from latentrl.viz.sb3_callbacks import (
    EnvFrameCurves,
    NoveltyCurves,
    NoveltyMap,
    ProgressCallback,
    ReconstructionImages,
    summary_writer,
)
from latentrl.viz.sheets import Labels, Sheet
from tests.helpers import Clock, FakeEncoder, read_events

STEPS = 64  # of each of 2 environments, four times
CLOCK = functools.partial(Clock, 2, side=32)
REACH = functools.partial(gym.make, "PixelReach-v0")
ROLLOUT = 2 * STEPS


def learn(
    callbacks,
    folder=None,
    make=CLOCK,
    encoder=None,
    formats=("tensorboard",),
    rollouts=4,
    **wrapping,
):
    venv = VecMonitor(DummyVecEnv([make, make]))
    if encoder is not None:
        venv = VecFrameStack(lrl.wrap(venv, encoder, **wrapping), 2)
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


def test_images_of_the_newest_frames_and_their_reconstructions(tmp_path, encoder):
    learn([ReconstructionImages(every=2 * ROLLOUT)], tmp_path, REACH, encoder)
    images = read_events(tmp_path).Images("agent/reconstructions")
    assert [image.step for image in images] == [ROLLOUT, 3 * ROLLOUT]
    image = np.asarray(Image.open(io.BytesIO(images[0].encoded_image_string)))
    labels = Labels(rows=ROWS, columns=["10.0 dB"] * 2, fold=True)  # of two environments
    sheet = Sheet((96, 96), (3, 2), labels)
    assert image.shape == (sheet.size[1], sheet.size[0], 3)
    left, top = sheet.corners[0, 0]
    above = image[top : top + 96 : 3, left : left + 96 : 3]
    assert {tuple(colour) for colour in above.reshape(-1, 3).tolist()} == {
        (230, 60, 50),
        (70, 200, 90),
        (35, 40, 60),
    }


@pytest.mark.parametrize("without", ["decoder", "autoencoder", "latents"])
def test_no_images_without_a_decoder(tmp_path, without):
    model = {
        "decoder": lrl.random((32, 32, 3), latent_dim=4),
        "autoencoder": FakeEncoder(),
        "latents": None,
    }[without]
    learn([ReconstructionImages(every=1)], tmp_path, REACH, model, rollouts=1)
    assert read_events(tmp_path).Tags()["images"] == []


def test_no_images_of_vectors(tmp_path):
    model = lrl.pca((4,), latent_dim=2)
    learn(
        [ReconstructionImages(every=1)],
        tmp_path,
        functools.partial(gym.make, "CartPole-v1"),
        model,
        rollouts=1,
    )
    assert read_events(tmp_path).Tags()["images"] == []


def test_without_tensorboard_nothing_is_written(tmp_path, encoder):
    callbacks = [EnvFrameCurves(1), ReconstructionImages(every=1)]
    learn(callbacks, tmp_path, REACH, encoder, formats=("csv",), rollouts=1)
    assert summary_writer(callbacks[0]) is None
    assert [file.name for file in tmp_path.iterdir()] == ["progress.csv"]


def test_progress_counts_timesteps_and_environment_frames(capsys):
    callback = ProgressCallback(total=2 * ROLLOUT, frame_skip=4)
    learn([callback], formats=(), rollouts=2)
    assert callback.bar.n == callback.bar.total == 2 * ROLLOUT
    shown = capsys.readouterr().err
    assert "timestep/s" in shown
    assert f"{4 * 2 * ROLLOUT:,} env frames" in shown
    assert "return " in shown


def test_progress_shows_the_time_left_where_that_is_limited(capsys):
    left = iter(range(600, 0, -3))
    callback = ProgressCallback(total=10**6, seconds_left=lambda: next(left))
    learn([callback], formats=(), rollouts=2)
    seconds = 600 - 3 * (2 * STEPS - 1)
    text = callback.bar.postfix
    assert text.startswith(f"at most {seconds / 60:.1f} minutes left, return ")
    assert callback.bar.n == 2 * ROLLOUT
    assert "1000000" not in (shown := capsys.readouterr().err)
    assert "minutes left" in shown


def test_progress_continues_in_a_resumed_training():
    callback = ProgressCallback(total=3 * ROLLOUT)
    venv = VecMonitor(DummyVecEnv([CLOCK, CLOCK]))
    model = PPO("MlpPolicy", venv, n_steps=STEPS, batch_size=STEPS, n_epochs=1, device="cpu")
    model.num_timesteps = ROLLOUT
    model.learn(2 * ROLLOUT, callback=callback, reset_num_timesteps=False)
    assert callback.bar.initial == ROLLOUT
    assert callback.bar.n == 3 * ROLLOUT


# Novelty bonuses.


class Mean:
    """The mean of the latent less 20, so that some bonuses are negative."""

    def score(self, transitions):
        return transitions.next_latents.mean(1) - 20

    def update(self, transitions):
        pass


class Infos(BaseCallback):
    """Keeps intrinsic and extrinsic reward of each step."""

    def __init__(self):
        super().__init__()
        self.rewards = []

    def _on_step(self):
        self.rewards.append(
            [(info["intrinsic_reward"], info["extrinsic_reward"]) for info in self.locals["infos"]]
        )
        return True


def scaled():
    return lrl.NormalizedBonus(Mean(), weight=2.0, warmup=ROLLOUT)


def curves(folder):
    events = read_events(folder)
    return {
        name: {point.step: point.value for point in events.Scalars(f"novelty/{name}")}
        for name in ("intrinsic_reward", "fraction")
    }


def test_curves_of_the_intrinsic_reward_and_its_fraction(tmp_path):
    novelty, infos = scaled(), Infos()
    learn([NoveltyCurves(novelty), infos], tmp_path, encoder=FakeEncoder(), novelty=novelty)
    rewards, written = np.array(infos.rewards), curves(tmp_path)
    assert (rewards[..., 0] < 0).any()
    assert (rewards[..., 0] > 0).any()
    for rollout in range(4):
        own = rewards[rollout * STEPS : (rollout + 1) * STEPS].reshape(-1, 2)
        step, sizes = (rollout + 1) * ROLLOUT, np.abs(own).sum(0)
        assert written["intrinsic_reward"][step] == pytest.approx(
            own[:, 0].mean(), rel=1e-4, abs=1e-6
        )
        assert written["fraction"][step] == pytest.approx(sizes[0] / sizes.sum(), rel=1e-4)
    assert written["fraction"][ROLLOUT] == 0  # warming up
    assert 0 < written["fraction"][2 * ROLLOUT] < 1
    assert read_events(tmp_path).Scalars("novelty/weight")[-1].value == 2


def test_a_point_covers_all_short_rollouts_since_the_last_one(tmp_path):
    novelty, infos = scaled(), Infos()
    venv = lrl.wrap(VecMonitor(DummyVecEnv([CLOCK, CLOCK])), FakeEncoder(), novelty=novelty)
    model = DQN(
        "MlpPolicy", venv, learning_starts=1000, buffer_size=100, train_freq=4, seed=0, device="cpu"
    )
    model.set_logger(configure(str(tmp_path), ["tensorboard"]))
    model.learn(6 * ROLLOUT, callback=[NoveltyCurves(novelty), infos], log_interval=5)
    model.logger.close()
    rewards, written = np.array(infos.rewards), curves(tmp_path)
    assert len(written["intrinsic_reward"]) > 5
    begin = 0
    for step, value in written["intrinsic_reward"].items():
        end = (step // 2 - 1) // 4 * 4  # steps of each environment up to the end of a rollout
        own = rewards[begin:end].reshape(-1, 2)
        sizes = np.abs(own).sum(0)
        assert end - begin >= 4
        assert value == pytest.approx(own[:, 0].mean(), rel=1e-4, abs=1e-6)
        assert written["fraction"][step] == pytest.approx(sizes[0] / sizes.sum(), rel=1e-4)
        begin = end


def test_without_any_reward_the_fraction_is_zero(tmp_path):
    class Nothing(Mean):
        def score(self, transitions):
            return np.zeros(len(transitions))

    class Unrewarded(Clock):
        def step(self, action):
            observation, _, *rest = super().step(action)
            return observation, 0.0, *rest

    novelty = lrl.NormalizedBonus(Nothing())
    learn(
        [NoveltyCurves(novelty)], tmp_path, Unrewarded, FakeEncoder(), rollouts=1, novelty=novelty
    )
    assert curves(tmp_path) == {"intrinsic_reward": {ROLLOUT: 0}, "fraction": {ROLLOUT: 0}}


class Reached(Mean):
    """The number of the step in the episode, which the frame shows; it keeps the frames."""

    def __init__(self):
        self.frames = []

    def score(self, transitions):
        self.frames.append(transitions.next_observations.copy())
        return transitions.next_observations[:, 0, 0, 1].astype(np.float32)


def test_a_novelty_map_is_written_ten_times_over_training(tmp_path):
    callback = NoveltyMap(every=10 * ROLLOUT // 10, size=60)
    learn([callback], tmp_path, encoder=FakeEncoder(), rollouts=10, novelty=Reached())
    images = read_events(tmp_path).Images("novelty/novelty_map")
    assert [image.step for image in images] == [ROLLOUT * k for k in range(1, 11)]
    image = np.asarray(Image.open(io.BytesIO(images[0].encoded_image_string)))
    assert image.shape[2] == 3
    assert image.std() > 10


@pytest.mark.parametrize(
    ("every", "rollouts"), [(ROLLOUT // 2, [1, 2, 3, 4]), (2 * ROLLOUT, [2, 4])]
)
def test_a_novelty_map_is_written_after_the_rollout_in_which_it_is_due(tmp_path, every, rollouts):
    learn([NoveltyMap(every)], tmp_path, encoder=FakeEncoder(), novelty=Reached())
    images = read_events(tmp_path).Images("novelty/novelty_map")
    assert [image.step for image in images] == [ROLLOUT * k for k in rollouts]


@pytest.mark.parametrize("keyed", [False, True])
def test_a_novelty_map_shows_the_states_reached_with_their_own_bonuses(tmp_path, keyed):
    make, novelty, size = functools.partial(Clock, 1, keyed=keyed, side=8), Reached(), 10_000
    venv = lrl.wrap(
        DummyVecEnv([make, make]), FakeEncoder(), key="image" if keyed else None, novelty=novelty
    )
    callback = NoveltyMap(every=size, size=size)  # of which all are kept
    policy = "MultiInputPolicy" if keyed else "MlpPolicy"
    model = PPO(policy, venv, n_steps=STEPS, batch_size=STEPS, n_epochs=1, seed=0, device="cpu")
    model.set_logger(configure(str(tmp_path), ["tensorboard"]))
    model.learn(ROLLOUT, callback=callback)
    frames, latents, bonuses = callback.states.newest()
    assert np.array_equal(frames, np.concatenate(novelty.frames))
    assert np.array_equal(latents, FakeEncoder().encode(frames))
    assert np.array_equal(bonuses, frames[:, 0, 0, 1])
    assert (bonuses > 0).all()  # the last state of an episode, not the first of the next


def test_a_novelty_map_draws_its_states_evenly_from_all_of_them(tmp_path):
    novelty, callback = Reached(), NoveltyMap(every=8 * ROLLOUT, size=ROLLOUT)
    learn([callback], tmp_path, encoder=FakeEncoder(), rollouts=8, novelty=novelty)
    kept, every = callback.states.newest()[0], np.concatenate(novelty.frames)
    assert callback.states.count == pytest.approx(ROLLOUT, abs=4 * np.sqrt(ROLLOUT))
    assert kept[:, 0, 0, 0].mean() == pytest.approx(
        every[:, 0, 0, 0].mean(), rel=0.2
    )  # numbers of episodes


def test_a_novelty_map_continues_in_a_resumed_training(tmp_path):
    venv = lrl.wrap(VecMonitor(DummyVecEnv([CLOCK, CLOCK])), FakeEncoder(), novelty=Reached())
    model = PPO("MlpPolicy", venv, n_steps=STEPS, batch_size=STEPS, n_epochs=1, device="cpu")
    model.set_logger(configure(str(tmp_path), ["tensorboard"]))
    model.num_timesteps = 2 * ROLLOUT
    model.learn(4 * ROLLOUT, callback=NoveltyMap(every=2 * ROLLOUT), reset_num_timesteps=False)
    assert [image.step for image in read_events(tmp_path).Images("novelty/novelty_map")] == [
        4 * ROLLOUT,
        6 * ROLLOUT,
    ]


def test_a_novelty_map_of_frames_between_other_bounds(tmp_path):
    class Grey(Clock):
        def __init__(self):
            super().__init__(side=8)
            self.observation_space = gym.spaces.Box(-1, 1, (8, 8, 3), np.float32)

        def _image(self):
            return np.zeros((8, 8, 3), np.float32)

    learn([NoveltyMap(every=1)], tmp_path, Grey, FakeEncoder(), rollouts=1, novelty=Mean())
    image = read_events(tmp_path).Images("novelty/novelty_map")[0]
    image = np.asarray(Image.open(io.BytesIO(image.encoded_image_string)))
    assert (image == 128).all(-1).sum() >= 3 * TILE**2


@pytest.mark.parametrize("without", ["novelty", "latents", "images", "tensorboard"])
def test_no_novelty_map_where_there_is_nothing_to_show(tmp_path, without):
    callback, novelty = NoveltyMap(every=1), lrl.NormalizedBonus(Mean())
    options = {
        "novelty": {"encoder": FakeEncoder()},
        "latents": {},
        "images": {
            "encoder": lrl.pca((4,), latent_dim=2),
            "make": functools.partial(gym.make, "CartPole-v1"),
        },
        "tensorboard": {"encoder": FakeEncoder(), "formats": ("csv",)},
    }[without]
    bonus = {} if without in ("novelty", "latents") else {"novelty": novelty}
    learn([callback], tmp_path, rollouts=1, **options, **bonus)
    assert callback.states.count == 0
    if without != "tensorboard":
        assert read_events(tmp_path).Tags()["images"] == []


def test_a_novelty_map_refuses_values_out_of_range():
    with pytest.raises(
        ValueError, match="an image is written every 1 or more timesteps, got every=0"
    ):
        NoveltyMap(every=0)
    with pytest.raises(ValueError, match="holds at least 1, got size=0"):
        NoveltyMap(every=10, size=0)
