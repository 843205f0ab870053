"""Agents as plain SB3 stores them, and the job of ``scripts/share.py``."""

from __future__ import annotations

import sys

import numpy as np
import pytest
import torch
from stable_baselines3 import PPO
from stable_baselines3.common.vec_env import VecNormalize

import latentrl as lrl
from agents.checkpoint import read_agent, save_agent
from agents.evaluate import load_for_evaluation
from agents.export import export_zip, share
from tests.agents.small import make_venv, save_run, small_config


def test_plain_sb3_takes_the_same_actions(encoder, tmp_path):
    run = save_run(tmp_path / "ppo-1", encoder)
    files = export_zip(run, tmp_path / "sb3")
    assert files == [tmp_path / "sb3" / "agent.zip", tmp_path / "sb3" / "vecnormalize.pkl"]
    config = small_config("ppo")
    venv = make_venv(config, encoder, training=False)
    ours = load_for_evaluation(config, venv, run / "best")
    theirs = PPO.load(files[0], device="cpu")
    latents = np.random.default_rng(0).normal(size=(64, *venv.observation_space.shape))
    normalised = VecNormalize.load(str(files[1]), venv.venv).normalize_obs(latents)
    np.testing.assert_array_equal(normalised, venv.normalize_obs(latents))
    for mode in (True, False):
        actions = []
        for model in (ours, theirs):
            model.set_random_seed(0)
            actions.append(model.predict(normalised, deterministic=mode)[0])
        np.testing.assert_array_equal(*actions)
    assert theirs.num_timesteps == 123
    venv.close()


def test_a_zip_of_vectors_needs_nothing_of_this_project(encoder, tmp_path, monkeypatch):
    file = export_zip(save_run(tmp_path / "ppo-1", encoder), tmp_path / "sb3")[0]
    for name in [*sys.modules]:
        if name.split(".")[0] in ("agents", "envs", "latentrl"):
            monkeypatch.setitem(sys.modules, name, None)  # an import of it raises ImportError
    model = PPO.load(file, device="cpu")
    assert model.predict(np.zeros(model.observation_space.shape, np.float32))[0] is not None


def test_a_copy_is_evaluated_and_not_resumed(encoder, tmp_path):
    run = save_run(tmp_path / "ppo-1", encoder)
    config = small_config("ppo")
    venv = make_venv(config, encoder, training=False)
    before = read_agent(run / "best")[1].keys()
    model = load_for_evaluation(config, venv, run / "best")
    for weight in model.policy.parameters():
        weight.grad = torch.zeros_like(weight)
    model.policy.optimizer.step()
    save_agent(run / "best", config, model, venv)
    assert read_agent(run / "best")[1].keys() > before
    assert share(run, copy=tmp_path / "copy") == [str(tmp_path / "copy")]
    files = {path.relative_to(tmp_path / "copy") for path in (tmp_path / "copy").rglob("*.*")}
    assert sorted(map(str, files)) == [
        "best/agent.safetensors",
        "encoder/config.json",
        "encoder/model.safetensors",
    ]
    latents = np.random.default_rng(0).normal(size=(64, *venv.observation_space.shape))
    ours, copied = (
        load_for_evaluation(config, venv, folder / "best").predict(latents, deterministic=True)[0]
        for folder in (run, tmp_path / "copy")
    )
    np.testing.assert_array_equal(ours, copied)
    assert read_agent(tmp_path / "copy" / "best")[1].keys() == before
    with pytest.raises(ValueError, match="already holds an agent: choose another folder"):
        share(run, copy=tmp_path / "copy")
    venv.close()


def test_an_agent_on_pixels_has_no_encoder_to_export(encoder, tmp_path, monkeypatch):
    run = save_run(tmp_path / "ppo-1", encoder)
    monkeypatch.setattr("agents.export.load_encoder", lambda *_: None)
    with pytest.raises(ValueError, match="learns from pixels and has no encoder"):
        share(run, onnx=tmp_path / "onnx")


def test_the_script_does_what_it_is_told(encoder, tmp_path):
    folder = lrl.save(encoder, tmp_path / "encoder")
    with pytest.raises(ValueError, match="choose one or more of --card"):
        share(folder)
    for flag in ("sb3", "copy"):
        with pytest.raises(ValueError, match=f"holds no agent, which --{flag} needs"):
            share(folder, **{flag: tmp_path / flag})
    assert share(folder, card=True, license="mit") == [str(folder / "README.md")]
    assert "license: " in (folder / "README.md").read_text()
    with pytest.raises(ValueError, match="is there already: edit it"):
        share(folder, card=True)
