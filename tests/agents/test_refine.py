"""An encoder that is refined while the agent learns on its latents."""

from __future__ import annotations

import copy
import functools
from dataclasses import asdict, replace

import gymnasium as gym
import numpy as np
import pytest
import torch

import agents.train
import latentrl as lrl
from agents.checkpoint import read_agent
from agents.config import AgentConfig
from agents.evaluate import evaluate_agent, load_encoder
from agents.refine import RefineEncoder, distances, refine
from agents.runs import env_folder
from agents.self_imitation import SelfImitation
from agents.train import TrainConfig, train
from agents.visited import pretraining_frames
from envs import Environment, make_vector
from latentrl.share.card import card_invariance
from latentrl.training.invariance import r2
from latentrl.training.quality import Quality
from latentrl.training.refine import refined
from tests.agents.small import small_config, tiny_train

BOARD = functools.partial(gym.make, "PixelReach-v0")
OTHER_BOARD = functools.partial(gym.make, "PixelReach-v0", cells=6)


@pytest.fixture(scope="module")
def frames(tmp_path_factory):
    """Frames of the board of the pretraining, and of one with smaller cells."""
    folder = tmp_path_factory.mktemp("frames")
    return [
        lrl.collect(make, 300, folder / str(i), policy="random", n_envs=1, progress=False)
        for i, make in enumerate([BOARD, OTHER_BOARD])
    ]


@pytest.fixture(scope="module")
def pretrained(frames):
    torch.manual_seed(0)
    model = lrl.beta_vae(
        (32, 32, 3), latent_dim=6, beta=0.1, backbone={"name": "mlp", "hidden": (32,)}
    )
    config = lrl.FitConfig(steps=60, learning_rate=1e-2, batch_size=32, precision="float32")
    lrl.fit(model, frames[0].distinct(), config, progress=False)
    return model.eval()


@pytest.fixture
def short(monkeypatch):
    monkeypatch.setattr("agents.refine.STEPS", 20)


def test_new_frames_are_reconstructed_better_and_latents_stay_near(frames, pretrained, monkeypatch):
    monkeypatch.setattr("agents.refine.STEPS", 60)
    old, new = frames
    before = pretrained.encode(old[:50])
    result = refine(pretrained, new, old.distinct())
    assert np.array_equal(before, pretrained.encode(old[:50]))
    assert result.after < result.before - 50
    assert np.median(distances(pretrained, result.encoder, old)) < 0.25
    assert result.moved < 0.3
    assert result.frames == (len(new.distinct()), len(old.distinct()))
    assert result.encoder.config == pretrained.config
    monkeypatch.setattr("agents.refine.refined", functools.partial(refined, anchor=0.0))
    free = refine(pretrained, new, old.distinct())
    assert free.moved > 2 * result.moved


def test_the_data_card_is_that_of_the_refined_encoder(frames, pretrained, short):
    assert "quality" not in refine(pretrained, frames[1], None).encoder.metadata
    carded = copy.deepcopy(pretrained)
    carded.metadata["quality"] = {"explained": -1.0}
    assert refine(carded, frames[1], None).encoder.metadata["quality"]["explained"] > -1
    few = frames[1].distinct().subset(np.arange(8))
    assert "quality" not in refine(carded, few, None).encoder.metadata, "too few to measure"
    assert carded.metadata["quality"] == {"explained": -1.0}


def test_a_refined_encoder_that_lost_something_gives_a_warning(pretrained, short, monkeypatch):
    good = Quality(0.9, None, 30.0, 20.0, used_dimensions=4, latent_dim=6, lost_detail=0.1)
    monkeypatch.setattr("agents.refine.LEAST_FRAMES", 1)
    monkeypatch.setattr("agents.refine.quality", lambda *_: replace(good, used_dimensions=0))
    carded = copy.deepcopy(pretrained)
    carded.metadata["quality"] = asdict(good)
    with pytest.warns(
        UserWarning, match="the encoder may miss something: the latents have collapsed"
    ):
        tiny_train(carded, refine_at=(64,))


def test_an_invariant_encoder_is_refined_with_its_corruptions(frames, pretrained, monkeypatch):
    monkeypatch.setattr("agents.refine.STEPS", 60)
    card = {"corruptions": [{"name": "hue_shift"}], "before": -3.0, "after": 9.0}
    carded = copy.deepcopy(pretrained)
    carded.metadata["invariance"] = card
    found, plain = (
        refine(encoder, frames[1], frames[0]).encoder for encoder in (carded, pretrained)
    )
    assert "invariance" not in plain.metadata
    again = card_invariance(found)
    assert (again.names, again.before) == ("hue_shift", -3.0)
    validation = frames[0].split(0.1, 0)[1]
    measured = [
        r2(encoder, pretrained, validation, again.corruptions) for encoder in (found, plain)
    ]
    assert measured[0] > measured[1]
    assert again.after < 1


def test_equal_frames_refine_nothing(pretrained):
    callback = RefineEncoder([8], 0, adopt=None, refined_at=0)
    same = lrl.as_frames(np.zeros((5, 32, 32, 3), np.uint8))
    with pytest.warns(UserWarning, match="not refined at 8 timesteps: the agent's frames are all"):
        callback._refine(same, 8)


def test_a_training_that_ends_before_a_refinement_says_so(pretrained, short):
    with pytest.warns(UserWarning, match=r"not refined at 190 timesteps: .* ended at 192 before"):
        run = tiny_train(pretrained, refine_at=(64, 190)).path
    assert not (run / "encoder-190").exists()


def test_distances_are_in_standard_deviations(frames, pretrained):
    moved = lrl.Autoencoder(pretrained.config).eval()
    moved.load_state_dict(pretrained.state_dict())
    last = [module for module in moved.encoder.modules() if isinstance(module, torch.nn.Linear)][-1]
    with torch.no_grad():  # its outputs are the means, then the log-variances
        last.bias[:6] += 0.5 * pretrained.latent_std
    assert distances(pretrained, moved, frames[0].subset(np.arange(9))) == pytest.approx(
        np.full(9, 0.5), abs=1e-3
    )


@pytest.mark.parametrize("algo", ["ppo", "dqn"])
def test_an_agent_continues_with_the_refined_encoder(algo, pretrained, short, capsys):
    run = tiny_train(pretrained, algo=algo, refine_at=(64, 128)).path
    printed = capsys.readouterr().out
    assert "64 timesteps: encoder refined on " in printed
    assert "128 timesteps: encoder refined on " in printed
    config, _, notes = read_agent(run / "last")
    assert (config.encoder, config.refined_at, notes["timesteps"]) == ("encoder-128", 128, 192)
    encoders = [lrl.load(run / name) for name in ("encoder", "encoder-64", "encoder-128")]
    observation = BOARD().reset(seed=0)[0][None]
    latents = [encoder.encode(observation) for encoder in encoders]
    assert np.array_equal(latents[0], pretrained.encode(observation))
    assert not np.array_equal(latents[0], latents[1])
    assert not np.array_equal(latents[1], latents[2])
    assert np.array_equal(load_encoder(run, config).encode(observation), latents[2])
    for checkpoint in ("best", "last"):
        evaluate_agent(run, 1, checkpoint=checkpoint, progress=False, max_episode_steps=5)

    train(TrainConfig("PixelReach-v0", algo=algo, timesteps=256, resume=True))
    assert "encoder refined on " not in capsys.readouterr().out
    config, _, notes = read_agent(run / "last")
    assert (config.encoder, notes["timesteps"]) == ("encoder-128", 256)


def test_episodes_on_the_old_latents_are_not_imitated(pretrained, short, monkeypatch):
    cleared = []
    monkeypatch.setattr(SelfImitation, "clear", lambda self: cleared.append(self.num_timesteps))
    tiny_train(pretrained, refine_at=(64, 128), self_imitation=True)
    assert cleared == [64, 128]


class KilledError(BaseException):
    """Stands for the end of the process."""


@pytest.mark.parametrize("algo", ["ppo", "dqn"])
def test_a_kill_after_a_refinement_leaves_the_agent_with_the_encoder_before(
    algo, pretrained, short, monkeypatch
):
    save_agent, refused = agents.train.save_agent, []

    def save(folder, config, *args, **kwargs):
        if config.encoder == "encoder":
            save_agent(folder, config, *args, **kwargs)
        elif not refused:
            refused.append(folder)  # what is done after the error writes nothing
            raise KilledError

    with monkeypatch.context() as patch:
        patch.setattr(agents.train, "save_agent", save)
        with pytest.raises(KilledError):
            tiny_train(pretrained, algo=algo, refine_at=(64,), save_minutes=0.0)
    (run,) = env_folder("agents", "PixelReach-v0").iterdir()
    assert (run / "encoder-64").exists()
    assert read_agent(run / "last")[0].encoder == "encoder"
    train(TrainConfig("PixelReach-v0", algo=algo, resume=True))
    assert read_agent(run / "last")[0].encoder == "encoder-64"


def session(monkeypatch, start, timesteps):
    """Train until a process that saves before each rollout is killed, after some timesteps."""
    save_agent, calls, killed = agents.train.save_agent, [], []

    def save(folder, config, model, *args, **kwargs):
        calls.append(model.num_timesteps)
        if calls[-1] - calls[0] <= timesteps:
            save_agent(folder, config, model, *args, **kwargs)
        elif not killed:
            killed.append(folder)  # what is done after the error writes nothing
            raise KilledError

    with monkeypatch.context() as patch, pytest.raises(KilledError):
        patch.setattr(agents.train, "save_agent", save)
        start()


@pytest.mark.parametrize("algo", ["ppo", "dqn"])
def test_a_run_that_is_killed_again_and_again_is_refined_nevertheless(
    algo, pretrained, short, monkeypatch, capsys
):
    flags = {"timesteps": 2_000, "eval_every": 5_000, "save_minutes": 0.0, "refine_at": (256,)}
    start = functools.partial(tiny_train, pretrained, algo=algo, **flags)
    session(monkeypatch, start, 128)
    (run,) = env_folder("agents", "PixelReach-v0").iterdir()
    resume = functools.partial(train, TrainConfig("PixelReach-v0", algo=algo, resume=True))
    printed = ""
    for _ in range(4):
        assert read_agent(run / "last")[0].encoder == "encoder"
        session(monkeypatch, resume, 128)
        printed = capsys.readouterr().out
        assert "frames to refine the encoder at 256 timesteps are recorded anew from " in printed
        if read_agent(run / "last")[0].encoder == "encoder-256":
            break
    assert "encoder refined on " in printed
    assert 256 < read_agent(run / "last")[2]["timesteps"] <= 512


def test_a_resumed_training_that_ends_with_too_few_frames_says_so(pretrained, short, monkeypatch):
    flags = {"timesteps": 320, "eval_every": 5_000, "save_minutes": 0.0, "refine_at": (250,)}
    session(monkeypatch, functools.partial(tiny_train, pretrained, **flags), 192)
    message = r"not refined at 250 timesteps: .* ended at 320 with too few frames since the resump"
    with pytest.warns(UserWarning, match=message):
        train(TrainConfig("PixelReach-v0", algo="ppo", resume=True))


def test_frames_of_the_pretraining_are_found(pretrained, frames):
    environment = Environment("PixelReach-v0", frame_skip=2)
    model = lrl.Autoencoder(pretrained.config)
    assert pretraining_frames(model, 10) is None  # an encoder of a user's own frames
    envs = make_vector(environment, 2, seed=7)
    path = env_folder("frames", "PixelReach-v0") / "format4-skip2-seed7"
    stored = lrl.collect(envs, 200, path, seed=7, progress=False)
    envs.close()
    model.metadata["data"] = stored.metadata
    found = pretraining_frames(model, 10)
    distinct = {frame.tobytes() for frame in stored[:]}
    assert len(found) == len({frame.tobytes() for frame in found[:]} & distinct) == 10
    assert len(pretraining_frames(model, 1_000)) == len(distinct)
    model.metadata["data"] = {**stored.metadata, "shards": [{"call_seed": 8}]}
    assert pretraining_frames(model, 10) is None


def test_encoders_that_cannot_be_refined(encoder):
    with pytest.raises(ValueError, match="a 'random' encoder is not trained by gradient steps"):
        tiny_train(encoder, refine_at=(64,))


def test_a_refinement_after_the_end(pretrained):
    message = "refine_at must lie before the end of the training at 192 timesteps, got 192"
    with pytest.raises(ValueError, match=message):
        tiny_train(pretrained, refine_at=(64, 192))


def test_an_encoder_outside_the_run_is_refused():
    config = small_config().to_json()
    for name in ("../encoder", "encoder-", "encoder-1/..", "/tmp"):
        with pytest.raises(ValueError, match="an agent's encoder is a folder beside it, not "):
            AgentConfig.from_json({**config, "encoder": name})
    assert AgentConfig.from_json({**config, "encoder": "encoder-7"}).refined_at == 7
    del config["encoder"]  # as in the agents of older versions
    assert AgentConfig.from_json(config).encoder == "encoder"
