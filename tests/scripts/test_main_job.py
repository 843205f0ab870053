"""Pretrain, train, evaluate: each command but the first is the one that its predecessor prints."""

from __future__ import annotations

import json

import pytest

import latentrl as lrl
from agents.checkpoint import read_agent
from agents.validation import best_result
from tests.helpers import read_events
from tests.scripts.running import REACH, TRAIN, printed_command, script, small, succeed

# On so few frames the posterior may well collapse.
pytestmark = pytest.mark.filterwarnings("ignore:.*(collapsed|encoder may miss)")


def test_pretraining(workspace):
    folder, done = workspace
    path = folder / "runs" / "vae" / "PixelReach-v0" / "beta_vae-1"
    assert (
        "beta_vae with 6 latents, from 320 images of 32x32x3, in runs/vae/PixelReach-v0/beta_vae-1"
        in done.out
    )
    assert "nats per observation" in done.out
    assert printed_command(done.out, "train_agent") == ["--latent", *REACH]
    images = ("reconstructions.png", "traversals.png", "traversals.gif", "lost_details.png")
    assert all(f"\n  {path.relative_to(folder)}/{image}\n" in done.out for image in images)
    for name in ("model.safetensors", "config.json", *images):
        assert (path / name).stat().st_size > 100
    model = lrl.load(path)
    assert model.metadata["data"]["environment"]["id"] == "PixelReach-v0"
    assert (
        len(lrl.Frames.open(folder / "runs" / "frames" / "PixelReach-v0" / "format4-skip1-seed0"))
        == 320
    )


def test_curves_and_images_of_pretraining(workspace):
    events = read_events(workspace[0] / "runs" / "vae" / "PixelReach-v0" / "beta_vae-1")
    scalars, images = events.Tags()["scalars"], events.Tags()["images"]
    curves = {"validation/kl", "validation/active_units", "validation/psnr", "train/loss"}
    assert curves <= set(scalars)
    assert {f"kl_per_dimension/{i:02d}" for i in range(6)} <= set(scalars)
    assert {"reconstructions", "traversals", "traversals_moving"} <= set(images)
    assert len(events.Scalars("validation/loss")) == 2
    total = sum(events.Scalars(f"kl_per_dimension/{i:02d}")[-1].value for i in range(6))
    assert events.Scalars("validation/kl")[-1].value == pytest.approx(total, rel=1e-4)


@pytest.mark.parametrize("algo", ["ppo", "dqn", "qrdqn"])
def test_training_on_latents_then_evaluation(workspace, algo):
    folder, pretrained = workspace
    command = printed_command(pretrained.out, "train_agent")
    done = succeed(folder, "train_agent", *command, *small(algo), *TRAIN)
    path = folder / "runs" / "agents" / "PixelReach-v0" / f"{algo}-latent-1"
    assert f"{algo} in PixelReach-v0, hyperparameters:\n  n_envs: 2\n" in done.out
    assert "\n128 timesteps (128 env frames) in " in done.out
    assert f"\nfolder: runs/agents/PixelReach-v0/{algo}-latent-1\n" in done.out
    config, _, notes = read_agent(path / "last")
    assert (config.algo, config.latent, notes["timesteps"]) == (algo, True, 128)
    assert config.hyperparameters["policy_kwargs"]["net_arch"] == [16]
    encoders = [path / "encoder", folder / "runs" / "vae" / "PixelReach-v0" / "beta_vae-1"]
    assert len({lrl.load(encoder).metadata["fingerprint"] for encoder in encoders}) == 1
    check_curves(path)

    command = printed_command(done.out, "evaluate_agent")
    agent = str(path.relative_to(folder))
    policy = best_result(path).policy
    mode = "--deterministic" if policy == "deterministic" else "--no-deterministic"
    assert command == ["--agent", agent, "--episodes", "100", "--backend", "gymnasium", mode]
    command[command.index("100")] = "4"
    evaluated = succeed(folder, "evaluate_agent", *command, "--random", "--video", "drive.gif")
    name = "evaluation-gymnasium-4" + ("" if policy == "deterministic" else "-stochastic")
    for who, file in ((policy, name), ("random", "evaluation-gymnasium-4-random")):
        report = json.loads((path / f"{file}.json").read_text())
        assert len(report["returns"]) == len(report["lengths"]) == 4
        assert (
            f"extrinsic return: {report['mean']:.4g} +- {report['std']:.4g} over 4 episodes of the "
            f"{who} policy (minimum {report['minimum']:.4g}, p10 {report['p10']:.4g}, "
            f"median {report['median']:.4g}, "
        ) in evaluated.out
    assert (folder / "drive.gif").stat().st_size > 100


def check_curves(path):
    events = read_events(path)
    scalars = events.Tags()["scalars"]
    assert {"rollout/ep_rew_mean", "rollout/ep_rew_mean_per_env_frame"} <= set(scalars)
    assert {"eval/mean_return", "eval/std_return"} <= set(scalars)
    assert {"eval/mean_return_deterministic", "eval/mean_return_stochastic"} <= set(scalars)
    assert [point.step for point in events.Scalars("eval/mean_return")] == [64, 128]
    assert -1.001 <= events.Scalars("rollout/ep_rew_mean")[-1].value <= 1  # extrinsic
    assert "agent/reconstructions" in events.Tags()["images"]


@pytest.mark.parametrize(
    ("flags", "novelty"),
    [
        (["--novelty"], "adaptive"),
        (["--novelty=rnd"], "rnd"),
        (["--novelty", "None"], None),
        ([], "auto"),
    ],
)
def test_the_bonus_on_the_command_line(workspace, flags, novelty):
    folder, _ = workspace
    out = folder / f"bare-{novelty}"
    succeed(folder, "train_agent", *REACH, *flags, *small(), "--timesteps", 64, "--out", out)
    assert json.loads((out / "training.json").read_text())["novelty"] == novelty


def test_the_demo_needs_no_flags(tmp_path, monkeypatch):
    def stop(config):
        raise ValueError(f"this would train on {config.env}")

    monkeypatch.setattr("agents.demo.demo", stop)
    done = script(tmp_path, "demo")
    assert (done.code, done.err) == (2, "error: this would train on CarRacing-v2\n")


def test_nothing_in_a_run_is_a_pickle(workspace):
    folder, _ = workspace
    succeed(folder, "train_agent", *REACH, *small("dqn"), *TRAIN)
    files = [file for file in folder.rglob("*") if file.is_file()]
    assert sum(file.name.startswith("replay-") for file in files) >= 1
    images = {".png", ".gif", ".mp4"}
    data = {".html", ".safetensors", ".json", ".jsonl", ".csv", ".npy", ".u8", ".bin", ".lock"}
    for file in files:
        assert file.suffix in images | data or file.name.startswith("events.out.tfevents"), file
        head = file.read_bytes()[:9]
        if file.suffix == ".safetensors":  # it starts with the length of its header in JSON
            assert head.endswith(b"{"), file
            continue
        pickles_and_zips = (b"PK", b"\x80\x02", b"\x80\x03", b"\x80\x04", b"\x80\x05")
        assert not head.startswith(pickles_and_zips), file
