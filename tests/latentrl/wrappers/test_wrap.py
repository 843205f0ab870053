"""wrap() over environments and vectors: latents, terminal ones too, specs and wrong arguments."""

from __future__ import annotations

import functools
import json

import gymnasium as gym
import numpy as np
import pytest
from gymnasium import spaces
from gymnasium.envs.registration import EnvSpec
from gymnasium.utils.env_checker import check_env
from gymnasium.vector import AsyncVectorEnv, AutoresetMode, SyncVectorEnv
from gymnasium.vector.utils import batch_space
from stable_baselines3.common.env_checker import check_env as check_env_for_sb3

import envs  # noqa: F401 - registers PixelReach-v0
import latentrl as lrl
import latentrl.training.checkpoint
from latentrl.wrappers import LatentObservation, LatentVectorObservation
from tests.helpers import Clock, FakeEncoder, same

MODES = list(AutoresetMode)
N, STEPS = 2, 24


def make_clock(ident, keyed, encoder=None):
    env = Clock(ident, keyed)
    return env if encoder is None else lrl.wrap(env, encoder, key="image" if keyed else None)


def makers(keyed, encoder=None):
    return [functools.partial(make_clock, i, keyed, encoder) for i in range(N)]


def rollout(vector, mode):
    """Reset, then step; without autoreset, reset what ended."""
    yield vector.reset(seed=7)
    vector.action_space.seed(0)
    for _ in range(STEPS):
        result = vector.step(vector.action_space.sample())
        yield result
        done = result[2] | result[3]
        if mode == AutoresetMode.DISABLED and done.any():
            yield vector.reset(options={"reset_mask": done})


@pytest.fixture
def saved_encoder(tmp_path):
    model = lrl.pca((32, 32, 3), latent_dim=4)
    return str(lrl.save(model, tmp_path / "encoder"))


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("vector", [SyncVectorEnv, AsyncVectorEnv])
@pytest.mark.parametrize("keyed", [False, True])
def test_wrapped_vector_is_vector_of_wrapped(vector, mode, keyed):
    outside = lrl.wrap(
        vector(makers(keyed), autoreset_mode=mode), FakeEncoder(), key="image" if keyed else None
    )
    inside = vector(makers(keyed, FakeEncoder()), autoreset_mode=mode)
    assert isinstance(outside, LatentVectorObservation)
    assert outside.metadata["autoreset_mode"] == inside.metadata["autoreset_mode"] == mode
    assert outside.observation_space == inside.observation_space
    assert outside.single_observation_space == inside.single_observation_space
    terminations = truncations = 0
    try:
        for ours, theirs in zip(rollout(outside, mode), rollout(inside, mode), strict=True):
            assert all(same(a, b) for a, b in zip(ours, theirs, strict=True)), (ours, theirs)
            assert ours[0] in outside.observation_space
            if len(ours) == 5:
                terminations, truncations = (
                    terminations + ours[2].sum(),
                    truncations + ours[3].sum(),
                )
    finally:
        outside.close()
        inside.close()
    assert min(terminations, truncations) >= 2


def test_the_final_observation_is_the_latent_of_the_last_frame_not_of_the_next_episode():
    encoder = FakeEncoder()
    vector = lrl.wrap(SyncVectorEnv(makers(False), autoreset_mode=AutoresetMode.SAME_STEP), encoder)
    vector.reset(seed=0)
    ends = 0
    for _ in range(STEPS):
        latents, _, terminated, truncated, infos = vector.step(np.zeros(N, int))
        for i in np.flatnonzero(terminated | truncated):
            episode, time, _ = infos["final_obs"][i]
            next_episode, next_time, _ = latents[i]
            last = int(episode) - 10 * i  # its number
            assert time == 3 + i + last
            assert (next_episode, next_time) == (episode + 1, 0)
            ends += 1
    assert ends >= 4


@pytest.mark.parametrize("mode", MODES)
def test_the_encoder_runs_once_per_step_on_final_frames_too(mode):
    encoder = FakeEncoder()
    vector = lrl.wrap(SyncVectorEnv(makers(False), autoreset_mode=mode), encoder)
    ended = 0
    for count, result in enumerate(rollout(vector, mode), start=1):
        final = "final_obs" in result[-1]
        done = result[2] | result[3] if len(result) == 5 else np.zeros(N, bool)
        ended += done.sum()
        assert len(encoder.batches) == count
        assert encoder.batches[-1] == N + (done.sum() if final else 0)
        assert final == (mode == AutoresetMode.SAME_STEP and done.any())
    assert ended >= 4


def test_final_observations_without_a_mask():
    class NoMask(gym.vector.VectorWrapper):
        def step(self, actions):
            *result, infos = super().step(actions)
            infos.pop("_final_obs", None)
            return *result, infos

    vector = NoMask(SyncVectorEnv(makers(False), autoreset_mode=AutoresetMode.SAME_STEP))
    vector = lrl.wrap(vector, FakeEncoder())
    vector.reset(seed=0)
    for _ in range(3):
        *_, infos = vector.step(np.zeros(N, int))
    assert infos["final_obs"][0].tolist()[:2] == [0, 3]
    assert infos["final_obs"][1] is None


def test_wrapping_leaves_the_inner_infos_alone():
    inner = SyncVectorEnv(makers(False), autoreset_mode=AutoresetMode.SAME_STEP)
    seen = []
    step = inner.step
    inner.step = lambda actions: seen.append(step(actions)) or seen[-1]
    vector = lrl.wrap(inner, FakeEncoder())
    vector.reset(seed=0)
    for _ in range(3):
        vector.step(np.zeros(N, int))
    assert seen[-1][-1]["final_obs"][0].shape == (4, 4, 3)


def test_a_single_environment_returns_latents_of_its_frames():
    encoder, bare = FakeEncoder(), Clock(3)
    env = lrl.wrap(Clock(3), encoder)
    assert isinstance(env, LatentObservation)
    assert env.observation_space == encoder.latent_space
    latent, frame = env.reset(seed=5)[0], bare.reset(seed=5)[0]
    assert same(latent, encoder.encode(frame[None])[0])
    latent, *rest = env.step(1)
    frame, *expected = bare.step(1)
    assert same(latent, encoder.encode(frame[None])[0])
    assert rest == expected


def test_dict_observations_keep_their_other_keys():
    env = lrl.wrap(Clock(keyed=True), FakeEncoder(), key="image")
    assert env.observation_space == spaces.Dict(
        {"image": FakeEncoder().latent_space, "speed": spaces.Box(0, 99, (1,), np.float32)}
    )
    env.reset(seed=0)
    observation = env.step(0)[0]
    assert observation["image"].tolist()[:2] == [0, 1]
    assert observation["speed"].tolist() == [1]
    vector = lrl.wrap(SyncVectorEnv(makers(True)), FakeEncoder(), key="image")
    assert vector.observation_space == batch_space(env.observation_space, N)


@pytest.mark.parametrize("key", [None, "pixels"])
def test_wrong_key_lists_the_right_ones(key):
    with pytest.raises(
        ValueError, match=rf"a Dict of image, speed; set key to the one to encode, not {key!r}"
    ):
        lrl.wrap(Clock(keyed=True), FakeEncoder(), key=key)


def test_key_without_dict():
    with pytest.raises(ValueError, match="key='image' is for Dict observations, these are Box"):
        lrl.wrap(Clock(), FakeEncoder(), key="image")


@pytest.mark.parametrize("host", [lambda env: env, lambda env: SyncVectorEnv([lambda: env])])
def test_encoder_for_other_observations(host):
    encoder = lrl.pca((32, 32, 3), latent_dim=4)
    with pytest.raises(
        ValueError,
        match=r"of \(32, 32, 3\) uint8, the environment gives \(4, 4, 3\) uint8; if a",
    ):
        lrl.wrap(host(Clock()), encoder)


def test_channels_first_observations_get_a_hint():
    env = gym.wrappers.TransformObservation(
        Clock(side=32),
        lambda image: image.transpose(2, 0, 1),
        spaces.Box(0, 255, (3, 32, 32), np.uint8),
    )
    with pytest.raises(
        ValueError, match=r"gives \(3, 32, 32\) uint8; these look channels-first: wrap before"
    ):
        lrl.wrap(env, lrl.pca((32, 32, 3), latent_dim=4))


def test_encoder_of_one_key_for_a_whole_dict():
    env = gym.wrappers.FlattenObservation(Clock(keyed=True, side=32))
    with pytest.raises(
        ValueError,
        match=r"takes observations of \(32, 32, 3\) uint8, the environment gives \(3073,\)",
    ):
        lrl.wrap(env, lrl.pca((32, 32, 3), latent_dim=4))


@pytest.mark.parametrize("thing", [object(), 3, None])
def test_not_an_encoder(thing):
    with pytest.raises(
        TypeError,
        match=rf"has latent_space and encode\(observations\); {type(thing).__name__} lacks",
    ):
        lrl.wrap(Clock(), thing)


def test_not_an_environment():
    with pytest.raises(
        TypeError, match=r"expected a gymnasium.Env, .*, got str; make the environment first"
    ):
        lrl.wrap("CarRacing-v3", FakeEncoder())


def test_no_model_at_the_path(tmp_path):
    with pytest.raises(
        FileNotFoundError, match=r"no model at .*nowhere: it has no model\.safetensors"
    ):
        lrl.wrap(Clock(), tmp_path / "nowhere")


@pytest.mark.filterwarnings("ignore:.*is different from the unwrapped version")
def test_gymnasiums_checker_passes(saved_encoder):
    check_env(lrl.wrap(gym.make("PixelReach-v0", render_mode="rgb_array"), saved_encoder))


def test_sb3s_checker_passes(saved_encoder):
    check_env_for_sb3(lrl.wrap(gym.make("PixelReach-v0"), saved_encoder))
    check_env_for_sb3(lrl.wrap(Clock(keyed=True), FakeEncoder(), key="image"))


def test_spec_to_json_and_back_gives_the_same_latents(saved_encoder):
    env = lrl.wrap(gym.make("PixelReach-v0"), saved_encoder)
    text = env.spec.to_json()
    assert json.loads(text)["additional_wrappers"][0]["kwargs"] == {
        "encoder": saved_encoder,
        "key": None,
    }
    again = gym.make(EnvSpec.from_json(text))
    assert isinstance(again, LatentObservation)
    assert same(env.reset(seed=1)[0], again.reset(seed=1)[0])
    for action in (0, 1, 2, 3):
        assert same(env.step(action)[0], again.step(action)[0])


def test_a_loaded_encoder_is_recorded_as_its_path(saved_encoder):
    env = lrl.wrap(gym.make("PixelReach-v0"), lrl.load(saved_encoder))
    assert (
        json.loads(env.spec.to_json())["additional_wrappers"][0]["kwargs"]["encoder"]
        == saved_encoder
    )


def test_environments_share_one_loaded_encoder(saved_encoder, monkeypatch):
    loads = []
    load = latentrl.training.checkpoint.load
    monkeypatch.setattr(
        latentrl.training.checkpoint, "load", lambda *args: loads.append(args) or load(*args)
    )
    vector = SyncVectorEnv([lambda: lrl.wrap(gym.make("PixelReach-v0"), saved_encoder)] * 3)
    encoders = {id(env.transform.encoder) for env in vector.envs}
    assert len(loads) == len(encoders) == 1


def test_a_retrained_encoder_is_loaded_afresh(saved_encoder):
    first = lrl.wrap(gym.make("PixelReach-v0"), saved_encoder).transform.encoder
    lrl.save(lrl.pca((32, 32, 3), latent_dim=5), saved_encoder)
    second = lrl.wrap(gym.make("PixelReach-v0"), saved_encoder).transform.encoder
    assert (first.latent_dim, second.latent_dim) == (4, 5)


def test_options_are_keywords():
    with pytest.raises(TypeError, match="takes 2 positional arguments but 3 were given"):
        lrl.wrap(Clock(keyed=True), FakeEncoder(), "image")
