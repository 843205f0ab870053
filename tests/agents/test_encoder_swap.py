"""Another encoder for a learning agent: it remembers what it would have seen through it from the
start."""

from __future__ import annotations

import copy
import functools

import gymnasium as gym
import numpy as np
import pytest
import torch
from gymnasium import spaces
from stable_baselines3 import DQN, PPO
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.vec_env import DummyVecEnv, VecFrameStack, VecNormalize

import agents.encoder_swap
import latentrl as lrl
from agents.encoder_swap import swap_encoder
from latentrl.novelty.reconstruction import Learning
from latentrl.wrappers.episodic_count import VecEpisodicCount
from latentrl.wrappers.sb3 import LatentVecEnv
from tests.helpers import Clock, FakeEncoder

N, DIM, SIZE = 3, 4, 60
"""Environments, size of codes, and steps that a replay buffer holds."""


class Drift(gym.Env):
    """Vectors of which no two are equal; episodes of 3 to 6 steps, every other one truncated."""

    def __init__(self):
        self.observation_space = spaces.Box(-np.inf, np.inf, (DIM,), np.float32)
        self.action_space = spaces.Discrete(2)

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.left, self.truncates = (
            int(self.np_random.integers(3, 7)),
            bool(self.np_random.integers(2)),
        )
        return self.see(), {}

    def step(self, action):
        self.left -= 1
        ended = self.left == 0
        return self.see(), float(action), ended and not self.truncates, ended and self.truncates, {}

    def see(self):
        return self.np_random.standard_normal(DIM).astype(np.float32)


class Linear:
    """Codes that are an invertible linear function of a vector."""

    def __init__(self, seed):
        rng = np.random.default_rng(seed)
        self.observation_space = spaces.Box(-np.inf, np.inf, (DIM,), np.float32)
        self.latent_space = spaces.Box(-999, 999, (DIM,), np.float32)
        self.matrix = np.linalg.qr(rng.standard_normal((DIM, DIM)))[0] * rng.uniform(0.5, 2, DIM)
        self.offset = rng.standard_normal(DIM)
        self.decoded = []

    def encode(self, observations):
        return ((observations - self.offset) @ self.matrix).astype(np.float32)

    def decode(self, latents):
        self.decoded.append(len(latents))
        return (latents @ np.linalg.inv(self.matrix) + self.offset).astype(np.float32)


class Blind(Linear):
    """Has no decoder."""

    decode = None


def see_through(encoder, stack=1, normalised=True, visits=False, make=Drift, **wrapping):
    venv = lrl.wrap(DummyVecEnv([make] * N), encoder, **wrapping)
    venv = VecEpisodicCount(venv) if visits else venv
    venv = VecFrameStack(venv, stack) if stack > 1 else venv
    return VecNormalize(venv, norm_reward=False, clip_obs=1e3) if normalised else venv


def make_dqn(venv, **options):
    """Build an agent that acts at random and keeps what it saw."""
    policy = {"policy_kwargs": {"net_arch": [4]}, "seed": 0, "device": "cpu"}
    return DQN(
        "MlpPolicy",
        venv,
        buffer_size=SIZE * N,
        learning_starts=10_000,
        train_freq=2,
        **policy,
        **options,
    )


def make_ppo(venv):
    return PPO("MlpPolicy", venv, n_steps=8, batch_size=8, n_epochs=1, seed=0, device="cpu")


def memory(model):
    """Return all that an agent remembers in codes, without normalisation."""
    buffer = model.replay_buffer
    now = {"original": model._last_original_obs}
    if model.get_vec_normalize_env() is None:
        now = {"last": model._last_obs}
    return {
        "observations": buffer.observations,
        "next_observations": buffer.next_observations,
        **now,
    }


def same_memory(model, other):
    mine, theirs = memory(model), memory(other)
    return all(np.abs(mine[name] - theirs[name]).max() < 1e-5 for name in theirs)


CHAINS = pytest.mark.parametrize(
    "chain",
    [(1, True), (3, True), (1, False), (3, False), (1, True, True), (3, False, True)],
    ids=str,
)


@CHAINS
@pytest.mark.parametrize("steps", [8, SIZE, SIZE + 12])
def test_a_swapped_agent_remembers_what_one_would_that_saw_through_the_new_encoder_all_along(
    chain, steps
):
    model = make_dqn(see_through(Linear(1), *chain)).learn(steps * N)
    other = make_dqn(see_through(Linear(2), *chain)).learn(steps * N)
    old = memory(model)["observations"].copy()
    assert not same_memory(model, other)
    new = Linear(2)
    assert swap_encoder(model, new) is new
    assert same_memory(model, other)
    assert np.array_equal(old[steps:], memory(model)["observations"][steps:])
    for each in (model, other):  # and what it sees from there on
        each.learn(10 * N, reset_num_timesteps=False)
    assert same_memory(model, other)


@CHAINS
def test_a_swap_between_rollouts_of_one_training(chain):
    class Swap(BaseCallback):
        def __init__(self, when):
            super().__init__()
            self.when = when

        def _on_step(self):
            return True

        def swap(self, when):
            if when == self.when and self.num_timesteps == 20 * N:
                swap_encoder(self.model, Linear(2))

        def _on_rollout_start(self):
            self.swap("start")

        def _on_rollout_end(self):
            self.swap("end")

    other = make_dqn(see_through(Linear(2), *chain)).learn(40 * N)
    for when in ("start", "end"):
        model = make_dqn(see_through(Linear(1), *chain)).learn(40 * N, callback=Swap(when))
        assert same_memory(model, other)


def test_what_fills_a_stack_after_a_reset_stays_zero():
    model = make_dqn(see_through(Linear(1), 3)).learn(SIZE * N)
    before = model.replay_buffer.observations.reshape(SIZE, N, 3, DIM).copy()
    swap_encoder(model, Linear(2))
    after = model.replay_buffer.observations.reshape(SIZE, N, 3, DIM)
    padding = ~before.any(-1)
    assert 0.1 < padding[:, :, :2].mean() < 0.9
    assert np.array_equal(padding, ~after.any(-1))
    assert np.abs(Linear(2).encode(Linear(1).decode(np.zeros((1, DIM))))).min() > 0.01


@pytest.mark.parametrize("stack", [1, 3])
def test_a_code_of_zeros_that_is_the_newest_is_no_padding(stack):
    old, new = Linear(1), Linear(2)

    class Still(Drift):
        def see(self):
            return old.offset.astype(np.float32)

    old.offset = old.offset.astype(np.float32)
    model = make_dqn(see_through(old, stack, make=Still)).learn(5 * N)
    assert not model.replay_buffer.observations.any()
    swap_encoder(model, new)
    newest = model.replay_buffer.observations[:5, :, -DIM:]
    assert newest == pytest.approx(np.broadcast_to(new.encode(old.offset), newest.shape), abs=1e-5)


def test_every_frame_is_decoded_about_once(monkeypatch):
    old = Linear(1)
    model = make_dqn(see_through(old, 3)).learn(SIZE * N)
    swap_encoder(model, Linear(2))
    frames = SIZE * N * 1.3  # steps and resets
    assert (
        frames < sum(old.decoded) < 2 * frames
    )  # terminal ones went through the normalisation; the newest stack

    monkeypatch.setattr(agents.encoder_swap, "CHUNK", 16)
    monkeypatch.setattr(agents.encoder_swap, "STEPS", 7)
    pieces = make_dqn(see_through(Linear(1), 3)).learn(SIZE * N)
    swap_encoder(pieces, Linear(2))
    assert same_memory(model, pieces)


@pytest.mark.parametrize("steps", [8, SIZE, SIZE + 12])
def test_a_buffer_that_keeps_observations_once(steps):
    options = {
        "optimize_memory_usage": True,
        "replay_buffer_kwargs": {"handle_timeout_termination": False},
    }
    model = make_dqn(see_through(Linear(1), 2), **options).learn(steps * N)
    other = make_dqn(see_through(Linear(2), 2), **options).learn(steps * N)
    swap_encoder(model, Linear(2))
    assert model.replay_buffer.observations == pytest.approx(
        other.replay_buffer.observations, abs=1e-5
    )


@pytest.mark.parametrize("make", [make_dqn, make_ppo])
@CHAINS
def test_the_agent_sees_the_newest_frames_through_the_new_encoder(make, chain):
    model, new = make(see_through(Linear(1), *chain)).learn(24), Linear(2)
    host, visits = find(model), len(chain) == 3
    newest = slice(-DIM - visits, -1 if visits else None)
    frames = host.transform.last_frames
    swap_encoder(model, new)
    assert host.transform.encoder is new
    assert np.array_equal(host.transform.last_codes, new.encode(frames))
    original = model._last_obs
    normalise = model.get_vec_normalize_env()
    if normalise is not None:
        original = normalise.get_original_obs()
        assert np.array_equal(model._last_obs, normalise.normalize_obs(original))
    assert np.array_equal(original[:, newest], new.encode(frames))
    assert model.predict(model._last_obs)[0].shape == (N,)
    codes = model.get_env().step(np.zeros(N, int))[0]
    if normalise is None:
        assert np.array_equal(codes[:, newest], new.encode(host.transform.last_frames))
    model.learn(24, reset_num_timesteps=False)


def find(model):
    venv = model.get_env()
    while not isinstance(venv, LatentVecEnv):
        venv = venv.venv
    return venv


# Autoencoders.


@pytest.fixture(scope="module")
def reach():
    """Return frames of PixelReach, and a model that reconstructs them well."""
    env = gym.make("PixelReach-v0")
    frames = []
    for seed in range(40):
        frames.append(env.reset(seed=seed)[0])
        frames += [env.step(env.action_space.sample())[0] for _ in range(5)]
    model = lrl.pca((32, 32, 3), latent_dim=24)
    lrl.fit(model, np.stack(frames), progress=False)
    return np.stack(frames), model


REACH = functools.partial(gym.make, "PixelReach-v0")


class Frames(BaseCallback):
    """Keeps every frame that an agent learns from, with its code."""

    def __init__(self):
        super().__init__()
        self.frames, self.codes = [], []

    def _on_step(self):
        transform = find(self.model).transform
        ended = np.flatnonzero(self.locals["dones"])
        for frames, codes in (
            (transform.last_frames, transform.last_codes),
            transform.reached(ended),
        ):
            self.frames.append(frames.copy())
            self.codes.append(codes.copy())
        return True


def test_a_copy_of_the_encoder_changes_codes_no_more_than_a_reconstruction_does(reach):
    _, encoder = reach
    seen = Frames()
    model = make_dqn(see_through(encoder, normalised=False, make=REACH)).learn(
        SIZE * N, callback=seen
    )
    before = model.replay_buffer.next_observations.copy()
    swap_encoder(model, copy.deepcopy(encoder))
    after = model.replay_buffer.next_observations
    frames, codes = np.concatenate(seen.frames), np.concatenate(seen.codes)
    again = encoder.encode(encoder.reconstruct(frames))
    expected = {code.tobytes(): value for code, value in zip(codes, again, strict=True)}
    wanted = np.stack([expected[code.tobytes()] for code in before.reshape(-1, 24)]).reshape(
        before.shape
    )
    spread, moved, allowed = (
        before.std(),
        np.abs(after - before).mean(),
        np.abs(wanted - before).mean(),
    )
    assert moved <= allowed
    assert allowed < 0.1 * spread
    assert after == pytest.approx(
        wanted, abs=0.1 * float(spread)
    )  # which is rounded to whole numbers on its way


@pytest.mark.parametrize(
    "preprocessing",
    [
        lrl.Preprocessing(),
        lrl.Preprocessing((2, 2, 4, 0), (16, 24)),
        lrl.Preprocessing(size=(16, 16), greyscale=True),
    ],
)
def test_images_are_translated_at_the_size_that_the_networks_see(preprocessing):
    old, new = (image_model(seed, preprocessing) for seed in (0, 1))
    model = make_dqn(see_through(old, 2, make=REACH)).learn(20 * N)
    before = model.replay_buffer.observations[:20].reshape(-1, DIM).copy()
    swap_encoder(model, new)
    after = model.replay_buffer.observations[:20].reshape(-1, DIM)
    real = before.any(-1)
    images = torch.from_numpy(old.decode(before[real])).permute(0, 3, 1, 2).float() / 255
    with torch.no_grad():
        wanted = new.head(new.encoder(images)).mean.numpy()
    assert after[real] == pytest.approx(wanted, abs=0.02 * float(wanted.std()))
    assert not np.allclose(before[real], wanted, atol=0.1)
    assert not after[~real].any()


def image_model(seed, preprocessing=lrl.Preprocessing()):
    torch.manual_seed(seed)
    backbone = {"name": "mlp", "hidden": (16,)}
    return lrl.ae(
        (32, 32, 3), latent_dim=DIM, preprocessing=preprocessing, backbone=backbone
    ).eval()


def test_models_of_vectors_are_translated_in_the_units_of_the_environment(vectors):
    frames = vectors[:, :DIM]
    old, new = lrl.pca((DIM,), latent_dim=DIM), lrl.pca((DIM,), latent_dim=DIM)
    lrl.fit(old, frames, progress=False)
    lrl.fit(new, 5 * frames[:300] + 2, progress=False)
    model = make_dqn(see_through(old)).learn(20 * N)
    other = make_dqn(see_through(new)).learn(20 * N)
    swap_encoder(model, new)
    assert model.replay_buffer.observations == pytest.approx(
        other.replay_buffer.observations, abs=1e-4
    )


def test_the_live_copy_of_a_novelty_goes_on_learning_and_the_agents_stays(reach):
    frames, encoder = reach
    learning = Learning(
        memory=64,
        learning_starts=0,
        train_freq=1,
        gradient_steps=2,
        batch_size=16,
        learning_rate=1e-2,
    )
    novelty = lrl.ReconstructionNovelty(encoder, learning)
    venv = see_through(encoder, 2, make=REACH, novelty=novelty)
    model = make_ppo(venv).learn(8 * N)
    live = novelty.live.encode(frames)
    agents_own = swap_encoder(model, novelty.live)
    assert find(model).transform.encoder is agents_own
    assert agents_own is not novelty.live
    assert not any(weight.requires_grad for weight in agents_own.parameters())
    assert any(weight.requires_grad for weight in novelty.live.parameters())
    assert np.array_equal(agents_own.encode(frames), live)
    model.learn(8 * N, reset_num_timesteps=False)
    assert np.array_equal(agents_own.encode(frames), live)
    assert not np.allclose(novelty.live.encode(frames), live)


@pytest.mark.parametrize("by_path", [False, True])
def test_a_copy_does_not_pass_for_the_one_on_disk(reach, tmp_path, by_path):
    frames, encoder = reach
    folder = lrl.save(encoder, tmp_path)
    saved = lrl.load(folder)
    model = make_ppo(see_through(saved, make=REACH))
    new = swap_encoder(model, str(folder) if by_path else saved)
    assert new.source is None
    assert saved.source == str(tmp_path)
    assert np.array_equal(new.encode(frames), encoder.encode(frames))


# Where nothing has to be translated.


@pytest.mark.parametrize("make", [make_dqn, make_ppo])
def test_before_learning_there_is_nothing_to_translate(make):
    model = make(see_through(Blind(1), normalised=False))
    swap_encoder(model, Linear(2))
    assert model._last_obs is None
    model.learn(8 * N)
    host = find(model)
    assert np.array_equal(model._last_obs, Linear(2).encode(host.transform.last_frames))


def test_single_codes_of_an_agent_without_buffer_need_no_decoder():
    model = make_ppo(see_through(Blind(1))).learn(8 * N)
    swap_encoder(model, Blind(2))
    assert model.get_vec_normalize_env().old_obs == pytest.approx(
        Blind(2).encode(find(model).transform.last_frames)
    )


# What is refused.


def refused(model, encoder, error, message):
    """Check that a swap fails with a message, and changes nothing."""
    host = find(model)
    before, seen = host.transform.encoder, model._last_obs.copy()
    buffer = getattr(model, "replay_buffer", None)
    kept = None if buffer is None else buffer.observations.copy()
    with pytest.raises(error, match=message):
        swap_encoder(model, encoder)
    assert host.transform.encoder is before
    assert np.array_equal(model._last_obs, seen)
    assert kept is None or np.array_equal(buffer.observations, kept)


@pytest.mark.parametrize("make", [make_dqn, make_ppo])
def test_an_encoder_that_does_not_fit(make):
    model = make(see_through(Linear(1))).learn(8 * N)
    longer, other = Linear(2), Linear(2)
    longer.latent_space = spaces.Box(-1, 1, (DIM + 1,), np.float32)
    other.observation_space = spaces.Box(0, 255, (DIM, DIM, 3), np.uint8)
    message = r"the agent sees codes of \(4,\) float32, those of the new encoder are \(5,\) float32; give one"
    refused(model, longer, ValueError, message)
    refused(
        model,
        other,
        ValueError,
        r"takes observations of \(4, 4, 3\) uint8, the environment gives \(4,\) float32",
    )
    refused(
        model,
        object(),
        TypeError,
        r"an encoder has latent_space and encode\(observations\); object lacks one",
    )


def test_an_encoder_without_a_decoder():
    message = "have to be translated, and its encoder, {}, has no decoder; use one that has"
    refused(
        make_dqn(see_through(Blind(1))).learn(8 * N), Linear(2), ValueError, message.format("Blind")
    )
    refused(
        make_ppo(see_through(Blind(1), 2)).learn(8 * N),
        Linear(2),
        ValueError,
        message.format("Blind"),
    )
    fake = make_dqn(see_through(FakeEncoder(), make=Clock)).learn(8 * N)
    refused(fake, FakeEncoder(), ValueError, message.format("FakeEncoder"))
    model = make_dqn(see_through(lrl.random((32, 32, 3), DIM), make=REACH)).learn(8 * N)
    refused(model, image_model(0), ValueError, message.format("Autoencoder"))


def test_models_that_see_frames_at_different_sizes():
    old, new = image_model(0, lrl.Preprocessing(size=(16, 16))), image_model(1)
    model = make_dqn(see_through(old, make=REACH)).learn(8 * N)
    message = r"decodes to \(16, 16, 3\), the new one takes \(32, 32, 3\) uint8; give two autoencoders with the same"
    refused(model, new, ValueError, message)
    swap_encoder(
        make_dqn(see_through(image_model(0), make=REACH)).learn(8 * N), old
    )  # which takes whole frames


def test_an_agent_without_an_encoder():
    model = make_ppo(VecNormalize(DummyVecEnv([Drift])))
    with pytest.raises(ValueError, match=r"has no encoder to swap: make it with latentrl\.wrap"):
        swap_encoder(model, Linear(1))
    with pytest.raises(ValueError, match="has no encoder to swap"):
        swap_encoder(make_ppo(DummyVecEnv([Drift])), Linear(1))


def test_codes_in_a_dict():
    venv = lrl.wrap(DummyVecEnv([functools.partial(Clock, keyed=True)]), FakeEncoder(), key="image")
    model = PPO("MultiInputPolicy", venv, device="cpu")
    with pytest.raises(
        ValueError, match="sees a Dict with codes under 'image'; only codes alone can be swapped"
    ):
        swap_encoder(model, FakeEncoder())


@pytest.mark.parametrize(
    ("wrap", "kinds"),
    [
        (lambda venv: VecFrameStack(VecNormalize(venv), 2), "VecFrameStack, VecNormalize"),
        (lambda venv: VecFrameStack(VecFrameStack(venv, 2), 2), "VecFrameStack, VecFrameStack"),
        (lambda venv: VecNormalize(VecNormalize(venv)), "VecNormalize, VecNormalize"),
        (lambda venv: VecEpisodicCount(VecNormalize(venv)), "VecEpisodicCount, VecNormalize"),
    ],
)
def test_wrappers_in_another_order(wrap, kinds):
    model = make_ppo(wrap(lrl.wrap(DummyVecEnv([Drift]), Linear(1))))
    with pytest.raises(
        ValueError, match=rf"here, from the outside, there are {kinds}: make VecNormalize\("
    ):
        swap_encoder(model, Linear(2))


def test_visits_are_counted_anew():
    class Still(Drift):
        def see(self):
            return np.ones(DIM, np.float32)

    model = make_dqn(see_through(Linear(1), 1, False, True, make=Still)).learn(2 * N)
    before, told = memory(model)["observations"][:2, :, -1].copy(), model._last_obs[:, -1].copy()
    assert before.ravel().tolist() == pytest.approx([1] * N + [0.5**0.5] * N)
    assert told.tolist() == pytest.approx([3**-0.5] * N)
    swap_encoder(model, Linear(2))
    assert np.array_equal(memory(model)["observations"][:2, :, -1], before)
    assert model._last_obs[:, -1].tolist() == [1] * N
    model.learn(N, reset_num_timesteps=False)  # takes two steps
    assert model._last_obs[:, -1].min() == pytest.approx(3**-0.5)
