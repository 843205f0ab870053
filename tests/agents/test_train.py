from __future__ import annotations

import dataclasses
import json
import os

import numpy as np
import pytest
import torch
from gymnasium import spaces
from gymnasium.vector import SyncVectorEnv
from stable_baselines3.common.logger import configure
from stable_baselines3.common.vec_env import VecMonitor, VecNormalize

import agents.evaluate
import agents.train
import latentrl as lrl
from agents.algorithms.base import ALGORITHMS, DEFAULTS, DQN_LATENT, PPO_LATENT, TUNED, defaults
from agents.checkpoint import REPLAY, WEIGHTS, build, read_agent, restore, save_agent
from agents.config import AgentConfig
from agents.evaluate import (
    UNSEEN_SEED,
    Evaluation,
    agent_folder,
    evaluate_agent,
    evaluate_random,
    make_unseen,
    play,
)
from agents.pretrain import PretrainConfig, build_model, newest_encoder, pretrain
from agents.runs import env_folder, new_run, newest_run
from agents.train import TrainConfig, describe_agent, train
from agents.venv import PixelEncoder, build_monitored, build_venv, frames_seen
from envs import Environment, make_env
from latentrl.novelty import BONUSES
from latentrl.utils.io import read_tensors, write_tensors
from latentrl.wrappers.gymnasium_vecenv import GymnasiumVecEnv
from tests.helpers import Clock, same

REACH, CONTINUOUS = Environment("PixelReach-v0"), Environment("tests.helpers:continuous_reach")
SMALL_NETS = {"net_arch": [16], "activation_fn": "gelu"}
SMALL = {
    "ppo": {
        **PPO_LATENT,
        "n_envs": 2,
        "n_steps": 32,
        "batch_size": 32,
        "n_epochs": 1,
        "policy_kwargs": SMALL_NETS,
    },
    "dqn": {
        **DQN_LATENT,
        "n_envs": 2,
        "buffer_size": 80,
        "learning_starts": 20,
        "batch_size": 8,
        "target_update_interval": 10,
        "policy_kwargs": {"net_arch": [16]},
    },
}
CASES = [("ppo", REACH), ("ppo", CONTINUOUS), ("dqn", REACH)]
car_racing_2 = pytest.mark.filterwarnings("ignore:.*CarRacing-v2 is out of date")


@pytest.fixture(scope="module")
def encoder():
    torch.manual_seed(0)
    return lrl.random((32, 32, 3), latent_dim=6).eval()


@pytest.fixture(autouse=True)
def in_empty_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def small_config(algo="ppo", environment=REACH, **changes):
    return AgentConfig(environment, algo, **{"stack": 2, "settings": SMALL[algo], **changes})


def make_venv(config, encoder, seed=0, training=True):
    monitored = build_monitored(config.environment, n_envs=2, seed=seed, backend="gymnasium")
    return build_venv(config, encoder, monitored, training)


def trained(config, encoder, decisions):
    venv = make_venv(config, encoder)
    return build(config, venv, seed=1).learn(decisions), venv


# Checkpoints


@pytest.mark.parametrize(("algo", "environment"), CASES)
@pytest.mark.parametrize("decisions", [64, 200])
def test_save_and_restore_bring_everything_back(algo, environment, decisions, encoder, tmp_path):
    config = small_config(algo, environment)
    model, venv = trained(config, encoder, decisions)
    save_agent(tmp_path, config, model, venv, replay=True)
    assert read_agent(tmp_path)[0] == config
    other_venv = make_venv(config, encoder, seed=50)
    other = build(config, other_venv, seed=60)
    codes = np.random.default_rng(0).normal(size=(64, 12)).astype(np.float32)
    assert not same(other.policy.state_dict(), model.policy.state_dict())
    restore(tmp_path, other, other_venv)

    assert same(
        model.predict(codes, deterministic=True)[0], other.predict(codes, deterministic=True)[0]
    )
    assert same(model.policy.state_dict(), other.policy.state_dict())
    assert (other.num_timesteps, other._n_updates) == (model.num_timesteps, model._n_updates)
    assert model._n_updates > 0
    for name in ("obs_rms", "ret_rms"):
        before, after = vars(getattr(venv, name)), vars(getattr(other_venv, name))
        assert same(
            before,
            {key: np.asarray(after[key]) if key != "count" else after[key] for key in before},
        )
        assert before["count"] > decisions / 2
    before, after = model.policy.optimizer.state_dict(), other.policy.optimizer.state_dict()
    assert before["state"].keys() == after["state"].keys() != set()
    for index, moments in before["state"].items():
        assert same(moments, after["state"][index])
    if algo == "dqn":
        check_replay(model, other)


def check_replay(model, other):
    old, new = model.replay_buffer, other.replay_buffer
    assert (old.pos, old.full) == (new.pos, new.full)
    assert old.full == (model.num_timesteps > 80)
    filled = old.buffer_size if old.full else old.pos
    for name in ("observations", "next_observations", "actions", "rewards", "dones"):
        assert same(getattr(old, name)[:filled], getattr(new, name)[:filled])
    newest = np.arange(filled) == (old.pos - 1) % filled
    assert same(old.timeouts[:filled][~newest], new.timeouts[:filled][~newest])
    other.set_logger(configure(None, []))
    for algorithm in (model, other):  # and learning goes on from there in the same way
        np.random.seed(3)  # noqa: NPY002 - what SB3's buffer draws from
        algorithm.train(gradient_steps=5, batch_size=8)
    assert same(model.policy.state_dict(), other.policy.state_dict())


def test_a_return_over_several_steps_ends_where_a_run_was_cut_off(encoder, tmp_path):
    config = small_config("dqn", settings={**SMALL["dqn"], "n_steps": 5})
    model, venv = trained(config, encoder, 30)
    save_agent(tmp_path, config, model, venv, replay=True)
    other = build(config, make_venv(config, encoder))
    restore(tmp_path, other, other.get_vec_normalize_env())
    buffer, cut = other.replay_buffer, model.replay_buffer.pos - 1
    assert not model.replay_buffer.dones[cut].any()
    nothing = np.zeros_like(buffer.observations[0])
    for _ in range(5):
        buffer.add(nothing, nothing, np.zeros((2, 1)), np.ones(2), np.zeros(2), [{}, {}])
    for _ in range(5):  # the buffer draws an environment
        found = buffer._get_samples(np.array([cut]))
        assert found.rewards.item() in buffer.rewards[cut]
        assert found.next_observations.numpy()[0] in buffer.next_observations[cut]
        assert found.dones.item() == 0


def test_a_checkpoint_without_replay_buffer(encoder, tmp_path):
    config = small_config("dqn")
    model, venv = trained(config, encoder, 40)
    save_agent(tmp_path, config, model, venv)
    assert [file.name for file in tmp_path.iterdir()] == [WEIGHTS]
    other = build(config, make_venv(config, encoder))
    restore(tmp_path, other, other.get_vec_normalize_env())
    assert other.replay_buffer.pos == 0


@pytest.mark.parametrize("algo", ["ppo", "dqn"])
def test_agents_that_see_pixels_are_saved_and_restored(algo, tmp_path):
    settings = {**SMALL[algo], "policy_kwargs": {"net_arch": [8]}, "batch_size": 8}
    pixels = lrl.Preprocessing(size=(36, 36), greyscale=True)
    config = small_config(algo, settings=settings, pixels=pixels)
    model, venv = trained(config, None, 64)
    assert isinstance(venv, VecNormalize)
    assert not venv.norm_obs
    assert model.observation_space == spaces.Box(0, 255, (2, 36, 36), np.uint8)
    save_agent(tmp_path, config, model, venv, replay=True)
    other_venv = make_venv(config, None, training=False)
    other = build(config, other_venv, seed=9)
    restore(tmp_path, other, other_venv)
    images = other_venv.reset()
    assert same(
        model.predict(images, deterministic=True)[0], other.predict(images, deterministic=True)[0]
    )
    assert same(model.policy.state_dict(), other.policy.state_dict())


@pytest.fixture
def saved_agent(encoder, tmp_path):
    config = small_config()
    venv = make_venv(config, encoder)
    save_agent(tmp_path / "agent", config, build(config, venv), venv)
    return tmp_path / "agent"


def test_no_agent(tmp_path):
    with pytest.raises(
        FileNotFoundError, match=r"no agent at .*nowhere: it has no agent\.safetensors"
    ):
        read_agent(tmp_path / "nowhere")
    with pytest.raises(
        FileNotFoundError, match=r"no agent at .*nowhere: expected .*best/agent\.safetensors"
    ):
        agent_folder(tmp_path / "nowhere")


def test_damaged_agents(saved_agent):
    file = saved_agent / WEIGHTS
    data = bytearray(file.read_bytes())
    data[-10] ^= 1
    file.write_bytes(data)
    with pytest.raises(ValueError, match="is damaged: its contents do not match their checksum"):
        read_agent(saved_agent)
    file.write_bytes(data[:-100])
    with pytest.raises(ValueError, match="is damaged: "):
        read_agent(saved_agent)


def test_foreign_agents(saved_agent, encoder):
    lrl.save(encoder, saved_agent).joinpath("model.safetensors").rename(saved_agent / WEIGHTS)
    with pytest.raises(ValueError, match="was not written by latentrl: its header has no 'agent'"):
        read_agent(saved_agent)


def test_agents_from_the_future(saved_agent):
    write_tensors(saved_agent / WEIGHTS, {"x": torch.zeros(1)}, {"agent": {"format": 99}})
    with pytest.raises(
        ValueError, match="has agent format 99, this version reads up to 1: update latentrl"
    ):
        read_agent(saved_agent)


def test_which_agent_of_a_run(saved_agent):
    run = saved_agent.parent
    saved_agent.rename(run / "last")
    assert agent_folder(run) == run / "last"
    (run / "last").rename(run / "best")
    assert agent_folder(run) == run / "best"


# Config and algorithms


@pytest.mark.parametrize(
    "pixels", [None, lrl.Preprocessing((0, 12, 0, 0), (64, 64), True), lrl.Preprocessing()]
)
@pytest.mark.parametrize("key", DEFAULTS)
def test_agent_config_goes_to_json_and_back(key, pixels):
    environment = Environment("CarRacing-v2", frame_skip=4, discrete=True, render_size=48)
    config = AgentConfig(environment, key[0], 3, DEFAULTS[key], pixels)
    assert AgentConfig.from_json(json.loads(json.dumps(config.to_json()))) == config
    assert config.latent == (pixels is None)


def test_unknown_algorithm():
    with pytest.raises(ValueError, match="unknown algorithm 'sac'; known: dqn, ppo"):
        ALGORITHMS["sac"]


def test_dqn_needs_discrete_actions(encoder):
    with pytest.raises(
        ValueError, match=r"dqn needs discrete actions, this environment's are Box\(.*; use ppo"
    ):
        build(small_config("dqn", CONTINUOUS), make_venv(small_config("dqn", CONTINUOUS), encoder))
    with pytest.raises(
        ValueError,
        match=r"dqn needs discrete actions, and tests.helpers:continuous_reach has Box\(.*--algo",
    ):
        describe_agent(TrainConfig(env=CONTINUOUS.id, algo="dqn"), encoder)


def test_pixels_need_images(encoder):
    with pytest.raises(
        ValueError, match=r"learning from pixels needs image observations, got Box\("
    ):
        make_venv(small_config(), None)


def test_ppo_explores_by_state_where_actions_are_continuous(encoder):
    for environment, sde in ((CONTINUOUS, True), (REACH, False)):
        model = build(
            small_config("ppo", environment), make_venv(small_config("ppo", environment), encoder)
        )
        assert model.use_sde == sde
        assert isinstance(model.policy.mlp_extractor.policy_net[1], torch.nn.GELU)


def test_learning_rates_fall_to_a_twentieth(encoder):
    config = small_config(settings={**SMALL["ppo"], "learning_rate": "lin_3e-4"})
    model = build(config, make_venv(config, encoder))
    assert [model.lr_schedule(left) for left in (1.0, 0.5, 0.01)] == pytest.approx(
        [3e-4, 1.5e-4, 1.5e-5]
    )


@car_racing_2
def test_the_pixel_baseline_has_the_zoos_settings():
    config = describe_agent(TrainConfig(env="CarRacing-v2", latent=False), None)
    assert config.environment == Environment("CarRacing-v2", frame_skip=2)
    assert (config.stack, config.pixels) == (2, lrl.Preprocessing(size=(64, 64), greyscale=True))
    venv = build_venv(config, None, build_monitored(config.environment, n_envs=2, seed=0))
    model = build(config, venv, device="cpu")
    assert (venv.norm_obs, venv.norm_reward) == (False, True)
    assert config.settings["n_envs"] == 8
    assert model.observation_space.shape == (2, 64, 64)
    assert type(model.policy).__name__ == "ActorCriticCnnPolicy"
    assert (model.n_steps, model.batch_size, model.n_epochs) == (512, 128, 10)
    assert (model.gamma, model.gae_lambda, model.ent_coef, model.vf_coef) == (0.99, 0.95, 0, 0.5)
    assert (model.clip_range(1), model.max_grad_norm, model.lr_schedule(1)) == (0.2, 0.5, 1e-4)
    assert (model.use_sde, model.sde_sample_freq) == (True, 4)
    assert (model.policy.log_std == -2).all()
    assert [type(layer).__name__ for layer in model.policy.mlp_extractor.policy_net] == [
        "Linear",
        "GELU",
    ]
    assert model.policy.mlp_extractor.policy_net[0].out_features == 256
    assert not model.policy.ortho_init
    venv.close()


@car_racing_2
def test_dqn_drives_with_the_five_discrete_actions():
    encoder = lrl.random((96, 96, 3), preprocessing=lrl.Preprocessing((0, 12, 0, 0), (64, 64)))
    config = describe_agent(TrainConfig(algo="dqn"), encoder)
    assert config.environment == Environment("CarRacing-v2", frame_skip=4, discrete=True)
    for backend in ("envpool", "gymnasium"):
        if backend == "envpool":
            pytest.importorskip("envpool")
        venv = build_monitored(config.environment, n_envs=1, seed=0, backend=backend)
        assert venv.action_space == spaces.Discrete(5)
        venv.close()
    ppo = describe_agent(TrainConfig(), encoder)
    assert ppo.environment == Environment("CarRacing-v2", frame_skip=4)
    assert (ppo.stack, ppo.settings) == (4, dict(PPO_LATENT))


def test_flags_win_over_defaults(encoder):
    flags = TrainConfig(env="PixelReach-v0", timesteps=10, n_envs=3, frame_skip=2, stack=5)
    config = describe_agent(flags, encoder)
    assert config.environment == Environment("PixelReach-v0", frame_skip=2)
    assert config.stack == 5
    assert config.settings == {**PPO_LATENT, "timesteps": 10, "n_envs": 3}


def test_visits_are_the_environments_default(encoder):
    pytest.importorskip("minigrid")
    levels, model = "MiniGrid-Empty-5x5-v0", lrl.random((56, 56, 3), latent_dim=6)
    assert describe_agent(TrainConfig(levels), model).visits
    assert not describe_agent(TrainConfig(levels, visits=False), model).visits
    assert not describe_agent(TrainConfig(levels, latent=False), None).visits
    assert not describe_agent(TrainConfig("PixelReach-v0"), encoder).visits
    assert describe_agent(TrainConfig("PixelReach-v0", visits=True), encoder).visits


# The environments as an agent sees them


def test_an_agent_can_see_visits_beside_codes_that_are_not_normalised(encoder, tmp_path):
    config = dataclasses.replace(
        small_config("dqn", settings={**SMALL["dqn"], "normalise_codes": False}),
        stack=1,
        visits=True,
    )
    venv = make_venv(config, encoder)
    assert not venv.norm_obs
    first = venv.reset()
    assert first.shape == (2, encoder.latent_dim + 1)
    assert first[:, -1].tolist() == [1, 1]
    np.testing.assert_allclose(first[:, :-1], encoder.encode(frames_seen(venv)), rtol=1e-5)
    model = build(config, venv)
    save_agent(tmp_path, config, model, venv)
    again, _, _ = read_agent(tmp_path)
    assert again == config
    restored = build(again, make_venv(again, encoder))
    restore(tmp_path, restored, restored.get_vec_normalize_env())
    assert (
        restored.predict(first, deterministic=True)[0]
        == model.predict(first, deterministic=True)[0]
    ).all()


def test_codes_and_rewards_are_normalised_and_returns_are_the_tasks_own(encoder):
    config = small_config()
    training, bare = make_venv(config, encoder, seed=3), build_monitored(REACH, n_envs=2, seed=3)
    training.reset()
    bare.reset()
    rng, returns = np.random.default_rng(0), []
    for _ in range(60):
        actions = rng.integers(4, size=2)
        codes, rewards, dones, infos = training.step(actions)
        _, plain, other_dones, other_infos = bare.step(actions)
        assert same(dones, other_dones)
        assert not np.allclose(rewards, plain)
        assert same(training.get_original_reward(), plain)
        for info, other in zip(infos, other_infos, strict=True):
            assert ("episode" in info) == ("episode" in other)
            if "episode" in info:
                assert info["episode"]["r"] == other["episode"]["r"]
                returns.append(info["episode"]["r"])
    assert codes.shape == (2, 12)
    possible = {round(1 - 0.05 * (n - 1), 4) for n in range(1, 21)} | {-1.0}
    assert {round(float(value), 4) for value in returns} <= possible
    assert len(returns) >= 6


def test_evaluation_neither_normalises_rewards_nor_updates_statistics(encoder):
    config = small_config()
    venv = make_venv(config, encoder, training=False)
    venv.obs_rms.mean += 0.5
    before = {name: np.array(value) for name, value in vars(venv.obs_rms).items()}
    venv.reset()
    for _ in range(25):
        codes, rewards, _, _ = venv.step(np.zeros(2, int))
        assert same(rewards, venv.get_original_reward())
    assert same(before, {name: np.array(value) for name, value in vars(venv.obs_rms).items()})
    assert venv.ret_rms.count == pytest.approx(1e-4)
    expected = (venv.get_original_obs() - 0.5) / np.sqrt(1 + venv.epsilon)
    assert np.allclose(codes, expected.clip(-10, 10), atol=1e-6)


def test_frames_seen_are_the_newest(encoder):
    venv = make_venv(small_config(), encoder)
    venv.reset()
    venv.step(np.zeros(2, int))
    assert same(
        frames_seen(venv), np.stack([env.unwrapped._draw() for env in venv.unwrapped.envs.envs])
    )


def test_pixel_encoder_shows_luma():
    space = spaces.Box(0, 255, (32, 32, 3), np.uint8)
    grey = PixelEncoder(space, lrl.Preprocessing(greyscale=True))
    assert grey.latent_space == spaces.Box(0, 255, (32, 32, 1), np.uint8)
    image = make_env(REACH).reset(seed=0)[0]
    expected = np.round(image @ np.array([0.299, 0.587, 0.114]))
    seen = grey.encode(image[None])
    assert seen.dtype == np.uint8
    assert np.abs(seen[0, ..., 0] - expected).max() <= 1


# Evaluation


def clocks(n):
    return VecMonitor(GymnasiumVecEnv(SyncVectorEnv([lambda i=i: Clock(i) for i in range(n)])))


@pytest.mark.parametrize(
    ("n", "lengths"), [(2, [3, 4, 4, 5, 5]), (3, [3, 4, 5, 4, 5]), (1, [3, 4, 5, 6, 7])]
)
def test_play_shares_episodes_evenly_in_the_order_of_their_seeds(n, lengths):
    # Episode k of clock i has 3 + i + k steps; the fast clock must not play more than its share.
    result = play(clocks(n), lambda seen: np.zeros(n, int), episodes=5)
    assert result.lengths == lengths
    assert result.returns == [n * (n + 1) / 2 for n in lengths]


def test_evaluation_in_words():
    result = Evaluation([1.0, 3.0], [10, 20])
    assert (result.mean, result.std) == (2.0, 1.0)
    assert str(result) == "2 +- 1 over 2 episodes (from 1 to 3)"


def test_random_actions_on_the_unseen_episodes(monkeypatch):
    monkeypatch.setattr(agents.evaluate, "ENVS_IN_PROCESS", 2)
    result = evaluate_random(REACH, 5, seed=77, progress=False)
    expected = []
    sampler = make_env(REACH).action_space
    for i in range(2):
        sampler.seed(77 + i)
        for k in range(i, 5, 2):
            env = make_env(REACH)
            env.reset(seed=77 + k)
            total, done = 0.0, False
            while not done:
                _, reward, terminated, truncated, _ = env.step(sampler.sample())
                total, done = total + reward, terminated or truncated
            expected.append((k, total))
    assert result.returns == pytest.approx([total for _, total in sorted(expected)], abs=1e-5)


def save_run(folder, encoder, environment=REACH, **changes):
    config = small_config("ppo", environment, **changes)
    venv = build_venv(config, encoder, build_monitored(environment, n_envs=1, seed=0))
    model = build(config, venv)
    model.num_timesteps = 123
    save_agent(folder / "best", config, model, venv)
    lrl.save(encoder, folder / "encoder")
    venv.close()
    return folder


def test_a_saved_agent_plays_the_same_episodes_on_any_number_of_cores(
    encoder, tmp_path, monkeypatch
):
    run = save_run(tmp_path / "run", encoder)
    results = []
    for cores in (1, 3):
        monkeypatch.setattr(os, "cpu_count", lambda cores=cores: cores)
        results.append(evaluate_agent(run, 7, progress=False))
    assert results[0] == results[1]
    report = json.loads((run / "evaluation-gymnasium-7.json").read_text())
    assert report["returns"] == results[1].returns
    assert report["mean"] == results[1].mean
    assert (report["backend"], report["seed"], report["decisions_trained"]) == (
        "gymnasium",
        UNSEEN_SEED,
        123,
    )


def test_checkpoint_and_environment_can_be_chosen(encoder, tmp_path):
    run = save_run(tmp_path / "run", encoder)
    (run / "best").rename(run / "last")
    other = "envs.pixel_reach:PixelReach"
    result = evaluate_agent(
        run, 2, checkpoint="last", env=other, deterministic=False, progress=False
    )
    report = json.loads(
        (
            run / "evaluation-gymnasium-2-stochastic-last-envs.pixel_reach.PixelReach.json"
        ).read_text()
    )
    assert report["returns"] == result.returns
    assert (report["env"], report["checkpoint"], report["deterministic"]) == (other, "last", False)


def test_a_stochastic_dqn_explores_as_at_the_end_of_its_training(tmp_path):
    encoder = lrl.random((64, 64, 3), latent_dim=4)
    rates = []
    for rate in (0.0, 1.0):
        settings = {**SMALL["dqn"], "exploration_final_eps": rate}
        config = small_config("dqn", Environment("KeyRooms-v0"), settings=settings)
        venv = build_venv(
            config, encoder, make_unseen(config.environment, 8, "gymnasium", 0), training=False
        )
        folder = tmp_path / str(rate)
        save_agent(folder, config, build(config, venv), venv)
        model = agents.evaluate._load_to_play(config, venv, folder)
        seen = venv.reset()
        greedy = model.predict(seen, deterministic=True)[0]
        rates.append(np.mean([(model.predict(seen)[0] != greedy).mean() for _ in range(20)]))
        venv.close()
    assert rates[0] == 0
    assert rates[1] > 0.5


def test_unseen_seeds_are_dealt_out(monkeypatch):
    monkeypatch.setattr(agents.evaluate, "ENVS_IN_PROCESS", 2)
    venv = make_unseen(REACH, 5, "gymnasium", 100)
    assert [list(env.seeds) for env in venv.unwrapped.envs.envs] == [[100, 102, 104], [101, 103]]


def test_envpool_evaluation_begins_with_its_own_seed(tmp_path, monkeypatch):
    pytest.importorskip("envpool")
    from envs.envpool import EnvPoolVectorEnv

    encoder = lrl.random((96, 96, 3), latent_dim=4, preprocessing=lrl.Preprocessing(size=(16, 16)))
    run = save_run(tmp_path / "run", encoder, Environment("CarRacing-v2", frame_skip=4))
    shown = []

    def one_reset(venv, *_):
        venv.reset()
        shown.append(frames_seen(venv))
        return Evaluation([0.0], [1])

    monkeypatch.setattr(agents.evaluate, "play", one_reset)
    evaluate_agent(run, 2, backend="envpool", seed=4321)
    reference = EnvPoolVectorEnv("CarRacing-v2", 2, seed=4321)
    assert same(shown[0], reference.reset()[0])
    reference.close()


@pytest.mark.parametrize("name", ["drive.gif", "deep/drive.mp4"])
def test_videos(name, encoder, tmp_path):
    run = save_run(tmp_path / "run", encoder)
    file = tmp_path / name
    evaluate_agent(run, 1, video=file, progress=False)
    assert (
        file.read_bytes()[:3] == b"GIF"
        if name.endswith("gif")
        else file.read_bytes()[4:8] == b"ftyp"
    )


def test_videos_that_cannot_be_made(encoder, tmp_path, capfd):
    run = save_run(tmp_path / "run", encoder)
    with pytest.raises(
        ValueError,
        match=r"cannot write a video to .*drive\.txt; the name must end in \.mp4 or \.gif",
    ):
        evaluate_agent(run, 1, video=tmp_path / "drive.txt", progress=False)
    small = lrl.random((16, 16, 3), latent_dim=4)
    dark = save_run(tmp_path / "dark", small, Environment("tests.helpers:Dark"))
    with pytest.raises(ValueError, match="renders no rgb_array, so there is nothing to record"):
        evaluate_agent(dark, 1, video=tmp_path / "drive.mp4", progress=False)


# Runs


def test_runs_are_numbered_and_found(tmp_path):
    assert str(env_folder("vae", "ALE/Pong:v5")) == "runs/vae/ALE_Pong.v5"
    assert newest_run("vae", "X-v0", "model") is None
    names = []
    for age in (300, 100, 200):
        path = new_run("vae", "X-v0", "pca")
        names.append(path.name)
        (path / "sub").mkdir(parents=True)
        (path / "sub" / "model").touch()
        os.utime(path / "sub" / "model", (1e9 - age, 1e9 - age))
    assert names == ["pca-1", "pca-2", "pca-3"]
    assert newest_run("vae", "X-v0", "sub/model") == env_folder("vae", "X-v0") / "pca-2"
    assert newest_run("vae", "X-v0", "other") is None


def test_the_newest_encoder(encoder):
    with pytest.raises(
        FileNotFoundError,
        match=r"no pretrained encoder for X-v0 in runs/vae/X-v0; make one with\n  python scripts/pretrain_vae.py "
        "--env X-v0",
    ):
        newest_encoder("X-v0")
    for number in (1, 2):
        file = lrl.save(encoder, env_folder("vae", "X-v0") / f"pca-{number}") / "model.safetensors"
        os.utime(file, (1e9 - number, 1e9 - number))
    assert newest_encoder("X-v0").name == "pca-1"


# Pretraining and training


def test_settings_that_contradict_each_other():
    vectors = lrl.as_frames(np.random.default_rng(0).normal(size=(50, 4)).astype(np.float32))
    with pytest.raises(ValueError, match="beta is for model 'beta_vae', not 'pca'"):
        pretrain(PretrainConfig(model="pca", beta=2.0))
    with pytest.raises(ValueError, match="unknown model 'vea'; known: ae, beta_tcvae"):
        pretrain(PretrainConfig(model="vea"))
    with pytest.raises(
        ValueError,
        match=r"size and crop are for images; the observations of CartPole-v1 have shape \(4,\)",
    ):
        build_model(
            PretrainConfig(env="CartPole-v1", model="pca", size=64),
            vectors.space,
            from_environment=True,
        )


@pytest.mark.parametrize(("function", "config"), [(pretrain, PretrainConfig), (train, TrainConfig)])
def test_nothing_to_resume(function, config):
    with pytest.raises(
        FileNotFoundError,
        match=r"nothing to resume for X-v0: no (ppo-latent )?run in runs/\w+/X-v0",
    ):
        function(config(env="X-v0", resume=True))


def tiny_train(monkeypatch, encoder, **flags):
    path = env_folder("vae", "PixelReach-v0") / "random-1"
    lrl.save(encoder, path)
    monkeypatch.setitem(DEFAULTS, ("ppo", True), SMALL["ppo"])
    settings = {"timesteps": 192, "eval_every": 64, "eval_episodes": 3, "backend": "gymnasium"}
    return train(TrainConfig(env="PixelReach-v0", **{**settings, **flags}))


def test_a_run_is_not_written_over(monkeypatch, encoder, tmp_path):
    tiny_train(monkeypatch, encoder, out=tmp_path / "mine")
    with pytest.raises(
        ValueError, match="mine already holds a run: add --resume to continue it, or choose another"
    ):
        tiny_train(monkeypatch, encoder, out=tmp_path / "mine")


def test_every_selection_plays_the_same_episodes(monkeypatch, encoder):
    played = []

    def record(venv, act, episodes):
        frames = []
        result = play(
            venv, lambda seen: frames.append(frames_seen(venv).copy()) or act(seen), episodes
        )
        played.append(frames[0])
        return result

    monkeypatch.setattr(agents.train, "play", record)
    result = tiny_train(monkeypatch, encoder)
    assert len(played) == 3
    assert all(same(played[0], first) for first in played[1:])
    assert len(result.best.returns) == 3


def test_the_best_checkpoint_is_kept(monkeypatch, encoder):
    scores = iter([1.0, 5.0, 2.0])
    monkeypatch.setattr(agents.train, "play", lambda *_: Evaluation([next(scores)] * 2, [1, 1]))
    result = tiny_train(monkeypatch, encoder)
    assert result.best.mean == 5
    assert read_agent(result.path / "best")[2]["decisions"] == 128
    assert read_agent(result.path / "last")[2]["decisions"] == 192
    assert json.loads((result.path / "selection.json").read_text()) == dataclasses.asdict(
        result.best
    )
    assert not (result.path / "best" / REPLAY).exists()


def test_of_equals_the_newest_is_best(monkeypatch, encoder):
    monkeypatch.setattr(agents.train, "play", lambda *_: Evaluation([0.0] * 2, [1, 1]))
    assert read_agent(tiny_train(monkeypatch, encoder).path / "best")[2]["decisions"] == 192


def test_a_run_with_a_bonus_is_not_resumed_as_one_without(monkeypatch, encoder):
    plain = tiny_train(monkeypatch, encoder)
    bonus = tiny_train(monkeypatch, encoder, novelty="counts")
    for first, flags in ((plain, {}), (bonus, {"novelty": "counts"})):
        again = train(TrainConfig(env="PixelReach-v0", timesteps=256, resume=True, **flags))
        assert again.path == first.path
    with pytest.raises(
        ValueError, match=r"begun with novelty_weight=None, and goes on with it: 0\.5 is refused"
    ):
        train(TrainConfig(env="PixelReach-v0", novelty="counts", novelty_weight=0.5, resume=True))


def test_resume_remembers_what_was_best(monkeypatch, encoder):
    scores = iter([5.0, 1.0, 2.0, 3.0, 4.0])
    monkeypatch.setattr(agents.train, "play", lambda *_: Evaluation([next(scores)] * 2, [1, 1]))
    first = tiny_train(monkeypatch, encoder)
    again = train(TrainConfig(env="PixelReach-v0", timesteps=320, resume=True))
    assert again.path == first.path
    assert again.decisions == 320
    assert again.best.mean == 5
    assert read_agent(again.path / "best")[2]["decisions"] == 64


@pytest.mark.parametrize(
    "name", ["timesteps", "n_envs", "frame_skip", "stack", "eval_every", "eval_episodes"]
)
def test_numbers_without_a_meaning(name):
    with pytest.raises(ValueError, match=f"{name} must be at least 1, got 0"):
        TrainConfig(**{name: 0})


def test_evaluation_seeds_are_reserved():
    with pytest.raises(
        ValueError, match=r"seed must lie in 0\.\.399999, got 1000000: others are for evaluation"
    ):
        TrainConfig(seed=UNSEEN_SEED)


def test_no_episodes(encoder, tmp_path):
    with pytest.raises(ValueError, match="episodes must be at least 1, got 0"):
        evaluate_agent(save_run(tmp_path / "run", encoder), 0)


def test_flags_are_checked_before_frames_are_collected(tmp_path):
    cases = {
        "latent_dim is a number of values, at least 1; got 0": {"latent_dim": 0},
        "epochs must be at least 1, got 0": {"epochs": 0},
        "frames must be at least 2, got 1": {"frames": 1},
        "device 'cuda:7' cannot be used here": {"device": "cuda:7"},
        "has vectors of 4 values, fewer than latent_dim=32": {"env": "CartPole-v1"},
        r"has observations Discrete\(16\); add --from-render to learn from pictures": {
            "env": "FrozenLake-v1"
        },
    }
    for message, flags in cases.items():
        with pytest.raises(ValueError, match=message):
            pretrain(PretrainConfig(**{"env": "PixelReach-v0", "out": tmp_path / "run", **flags}))
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("name", list(BONUSES))
def test_every_recipe_is_saved_and_goes_on(monkeypatch, name):
    torch.manual_seed(0)
    model = lrl.ae((32, 32, 3), 6, backbone={"name": "conv", "channels": (8,), "hidden": 16})
    result = tiny_train(monkeypatch, model, novelty=name)
    assert result.path.name.startswith(f"ppo-latent-{name}")
    assert (result.path / "last" / "novelty.safetensors").exists()
    seen = int(read_tensors(result.path / "last" / "novelty.safetensors", "novelty")[0]["count"])
    again = train(TrainConfig(env="PixelReach-v0", timesteps=320, novelty=name, resume=True))
    later = int(read_tensors(again.path / "last" / "novelty.safetensors", "novelty")[0]["count"])
    assert later > seen > 0


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (
            {"novelty": "magic"},
            "unknown novelty 'magic'; known: counts, elliptical, icm, position_token_counts, "
            "reconstruction, rnd, simhash",
        ),
        (
            {"novelty": "counts", "latent": False},
            "novelty is made from codes: leave --no-latent out",
        ),
        ({"novelty_weight": 0.1}, "novelty_weight is for a novelty: name one"),
        ({"visits": True, "latent": False}, "visits are counted of codes: leave --no-latent out"),
    ],
)
def test_impossible_novelties_are_refused(flags, message):
    with pytest.raises(ValueError, match=message):
        TrainConfig(**flags)


def test_settings_of_an_environment_win():
    assert defaults("MiniGrid-DoorKey-8x8-v0", "ppo", True)["n_envs"] == 32
    assert defaults("CarRacing-v2", "ppo", True) == DEFAULTS["ppo", True]
    for kind, settings in TUNED.items():
        assert defaults(*kind) is settings  # none hides another
