"""A swapped encoder: the agent has the latents that it would have had from the start."""

from __future__ import annotations

import copy

import gymnasium as gym
import numpy as np
import pytest
import torch
from stable_baselines3.common.callbacks import BaseCallback

import agents.encoder_swap
import latentrl as lrl
from agents.encoder_swap import swap_encoder
from tests.agents.swap_cases import (
    DIM,
    REACH,
    SIZE,
    Drift,
    Linear,
    N,
    find,
    image_model,
    make_dqn,
    make_ppo,
    observing,
    same_latents,
    stored,
)

CHAINS = pytest.mark.parametrize(
    "chain",
    [(1, True), (3, True), (1, False), (3, False), (1, True, True), (3, False, True)],
    ids=str,
)


@CHAINS
@pytest.mark.parametrize("steps", [8, SIZE, SIZE + 12])
def test_a_swapped_agent_keeps_the_latents_of_one_that_had_the_new_encoder_from_the_start(
    chain, steps
):
    model = make_dqn(observing(Linear(1), *chain)).learn(steps * N)
    other = make_dqn(observing(Linear(2), *chain)).learn(steps * N)
    old = stored(model)["observations"].copy()
    assert not same_latents(model, other)
    new = Linear(2)
    assert swap_encoder(model, new) is new
    assert same_latents(model, other)
    assert np.array_equal(old[steps:], stored(model)["observations"][steps:])
    for each in (model, other):  # and what it observes from there on
        each.learn(10 * N, reset_num_timesteps=False)
    assert same_latents(model, other)


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

    other = make_dqn(observing(Linear(2), *chain)).learn(40 * N)
    for when in ("start", "end"):
        model = make_dqn(observing(Linear(1), *chain)).learn(40 * N, callback=Swap(when))
        assert same_latents(model, other)


def test_what_fills_a_stack_after_a_reset_stays_zero():
    model = make_dqn(observing(Linear(1), 3)).learn(SIZE * N)
    before = model.replay_buffer.observations.reshape(SIZE, N, 3, DIM).copy()
    swap_encoder(model, Linear(2))
    after = model.replay_buffer.observations.reshape(SIZE, N, 3, DIM)
    padding = ~before.any(-1)
    assert 0.1 < padding[:, :, :2].mean() < 0.9
    assert np.array_equal(padding, ~after.any(-1))
    assert np.abs(Linear(2).encode(Linear(1).decode(np.zeros((1, DIM))))).min() > 0.01


@pytest.mark.parametrize("stack", [1, 3])
def test_the_newest_latent_is_no_padding_though_it_be_zero(stack):
    old, new = Linear(1), Linear(2)

    class Still(Drift):
        def observe(self):
            return old.offset.astype(np.float32)

    old.offset = old.offset.astype(np.float32)
    model = make_dqn(observing(old, stack, make=Still)).learn(5 * N)
    assert not model.replay_buffer.observations.any()
    swap_encoder(model, new)
    newest = model.replay_buffer.observations[:5, :, -DIM:]
    assert newest == pytest.approx(np.broadcast_to(new.encode(old.offset), newest.shape), abs=1e-5)


def test_every_frame_is_decoded_about_once(monkeypatch):
    old = Linear(1)
    model = make_dqn(observing(old, 3)).learn(SIZE * N)
    swap_encoder(model, Linear(2))
    frames = SIZE * N * 1.3  # steps and resets
    assert (
        frames < sum(old.decoded) < 2 * frames
    )  # terminal ones went through the normalisation; the newest stack

    monkeypatch.setattr(agents.encoder_swap, "CHUNK", 16)
    monkeypatch.setattr(agents.encoder_swap, "STEPS", 7)
    pieces = make_dqn(observing(Linear(1), 3)).learn(SIZE * N)
    swap_encoder(pieces, Linear(2))
    assert same_latents(model, pieces)


@pytest.mark.parametrize("steps", [8, SIZE, SIZE + 12])
def test_a_buffer_that_keeps_observations_once(steps):
    options = {
        "optimize_memory_usage": True,
        "replay_buffer_kwargs": {"handle_timeout_termination": False},
    }
    model = make_dqn(observing(Linear(1), 2), **options).learn(steps * N)
    other = make_dqn(observing(Linear(2), 2), **options).learn(steps * N)
    swap_encoder(model, Linear(2))
    assert model.replay_buffer.observations == pytest.approx(
        other.replay_buffer.observations, abs=1e-5
    )


@pytest.mark.parametrize("make", [make_dqn, make_ppo])
@CHAINS
def test_the_agent_observes_the_newest_frames_through_the_new_encoder(make, chain):
    model, new = make(observing(Linear(1), *chain)).learn(24), Linear(2)
    host, counted = find(model), len(chain) == 3
    newest = slice(-DIM - counted, -1 if counted else None)
    frames = host.transform.last_frames
    swap_encoder(model, new)
    assert host.transform.encoder is new
    assert np.array_equal(host.transform.last_latents, new.encode(frames))
    original = model._last_obs
    normalise = model.get_vec_normalize_env()
    if normalise is not None:
        original = normalise.get_original_obs()
        assert np.array_equal(model._last_obs, normalise.normalize_obs(original))
    assert np.array_equal(original[:, newest], new.encode(frames))
    assert model.predict(model._last_obs)[0].shape == (N,)
    latents = model.get_env().step(np.zeros(N, int))[0]
    if normalise is None:
        assert np.array_equal(latents[:, newest], new.encode(host.transform.last_frames))
    model.learn(24, reset_num_timesteps=False)


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


def test_a_copy_of_the_encoder_changes_nothing(reach):
    _, encoder = reach
    model = make_dqn(observing(encoder, 2, make=REACH)).learn(SIZE * N)
    before = stored(model)["next_observations"].copy()
    swap_encoder(model, copy.deepcopy(encoder))
    after = stored(model)["next_observations"]
    assert after == pytest.approx(before, abs=1e-4 * float(before.std()))


@pytest.mark.parametrize(
    "preprocessing",
    [
        lrl.Preprocessing(),
        lrl.Preprocessing((2, 2, 4, 0), (16, 24)),
        lrl.Preprocessing(size=(16, 16), greyscale=True),
    ],
)
def test_images_are_translated_at_the_size_of_the_networks(preprocessing):
    old, new = (image_model(seed, preprocessing) for seed in (0, 1))
    model = make_dqn(observing(old, 2, make=REACH)).learn(20 * N)
    before = model.replay_buffer.observations[:20].reshape(-1, DIM).copy()
    swap_encoder(model, new)
    after = model.replay_buffer.observations[:20].reshape(-1, DIM)
    real = before.any(-1)
    images = torch.from_numpy(old.decode(before[real])).permute(0, 3, 1, 2).float() / 255
    with torch.no_grad():
        latents = [each.head(each.encoder(images)).mean.numpy() for each in (old, new)]
    wanted = before[real] + latents[1] - latents[0]
    assert after[real] == pytest.approx(wanted, abs=0.02 * float(wanted.std()))
    assert not np.allclose(before[real], wanted, atol=0.1)
    assert not after[~real].any()


def test_models_of_vectors_are_translated_in_the_units_of_the_environment(vectors):
    frames = vectors[:, :DIM]
    old, new = lrl.pca((DIM,), latent_dim=DIM), lrl.pca((DIM,), latent_dim=DIM)
    lrl.fit(old, frames, progress=False)
    lrl.fit(new, 5 * frames[:300] + 2, progress=False)
    model = make_dqn(observing(old)).learn(20 * N)
    other = make_dqn(observing(new)).learn(20 * N)
    swap_encoder(model, new)
    assert model.replay_buffer.observations == pytest.approx(
        other.replay_buffer.observations, abs=1e-4
    )


def test_a_model_that_trains_on_leaves_the_agents_copy_as_it_is(reach):
    frames, encoder = reach
    live = copy.deepcopy(encoder)
    lrl.fit(live, frames, lrl.FitConfig(steps=5, batch_size=16), progress=False)
    venv = observing(encoder, 2, make=REACH, novelty=lrl.HashCounts())
    model = make_ppo(venv).learn(8 * N)
    before = live.encode(frames)
    agents_own = swap_encoder(model, live)
    host = find(model)
    newest = host.transform.encoder.encode(host.transform.last_frames)
    assert np.array_equal(host.intrinsic._latents, newest)
    assert host.transform.encoder is agents_own
    assert agents_own is not live
    assert not any(weight.requires_grad for weight in agents_own.parameters())
    with torch.no_grad():
        for weight in live.parameters():
            weight.add_(0.1)
    model.learn(8 * N, reset_num_timesteps=False)
    assert np.array_equal(agents_own.encode(frames), before)
    assert not np.allclose(live.encode(frames), before)


@pytest.mark.parametrize("by_path", [False, True])
def test_a_copy_is_not_recorded_as_the_one_on_disk(reach, tmp_path, by_path):
    frames, encoder = reach
    folder = lrl.save(encoder, tmp_path)
    saved = lrl.load(folder)
    model = make_ppo(observing(saved, make=REACH))
    new = swap_encoder(model, str(folder) if by_path else saved)
    assert new.source is None
    assert saved.source == str(tmp_path)
    assert np.array_equal(new.encode(frames), encoder.encode(frames))


def test_episodic_counts_start_again():
    class Still(Drift):
        def observe(self):
            return np.ones(DIM, np.float32)

    model = make_dqn(observing(Linear(1), 1, False, True, make=Still)).learn(2 * N)
    before, counts = stored(model)["observations"][:2, :, -1].copy(), model._last_obs[:, -1].copy()
    assert before.ravel().tolist() == pytest.approx([1] * N + [0.5**0.5] * N)
    assert counts.tolist() == pytest.approx([3**-0.5] * N)
    swap_encoder(model, Linear(2))
    assert np.array_equal(stored(model)["observations"][:2, :, -1], before)
    assert model._last_obs[:, -1].tolist() == [1] * N
    model.learn(N, reset_num_timesteps=False)  # takes two steps
    assert model._last_obs[:, -1].min() == pytest.approx(3**-0.5)


def test_images_of_other_ranges_are_translated_in_the_units_of_the_environment():
    old, new = image_model(0), image_model(0)
    new.preprocess.high.fill_(510)  # as images have it that are scaled by the data
    model = make_dqn(observing(old, make=REACH)).learn(8 * N)
    before = model.replay_buffer.observations[:8].reshape(-1, DIM).copy()
    swap_encoder(model, new)
    decoded = old.decode(before)
    wanted = before + new.encode(decoded) - old.encode(decoded)
    assert model.replay_buffer.observations[:8].reshape(-1, DIM) == pytest.approx(wanted, abs=1e-6)
    assert not np.allclose(wanted, before, atol=1e-3)
