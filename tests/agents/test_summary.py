"""The table before a training run and the summary after it, line by line."""

from __future__ import annotations

import dataclasses
import re
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pytest

import latentrl as lrl
from agents.describe import describe_agent, describe_hyperparameters
from agents.play import Evaluation
from agents.runs import python_script, tensorboard_command
from agents.summary import (
    WIDTH,
    aligned,
    describe_result,
    describe_run,
    next_commands,
    validation_table,
)
from agents.train import TrainConfig, Trained
from agents.venv import build_monitored, build_venv
from envs import Environment
from latentrl.training.quality import Quality
from tests.agents.small import REACH, small_config

GRID = {"name": "spatial"}


def table_of(encoder, **flags):
    """The lines of the table by name; what continues a value is joined to it."""
    config = TrainConfig(REACH.id, backend="gymnasium", **flags)
    agent = describe_agent(config, encoder)
    base = build_monitored(agent.environment, n_envs=2, seed=0, backend="gymnasium")
    venv = build_venv(agent, encoder, base)
    text = describe_run(config, agent, encoder, venv, Path("runs/mine"), done=50)
    venv.close()
    table, hyperparameters = text.split("\n\n")
    assert hyperparameters == describe_hyperparameters(agent)
    assert max(map(len, text.splitlines())) <= WIDTH
    left = re.match(r"\w+ +", table).end()
    rows = re.sub(rf"\n {{{left}}}", " ", table).splitlines()
    return {row[:left].strip(): row[left:] for row in rows}


def test_the_table_names_what_the_run_is_made_of():
    encoder = lrl.beta_vae((32, 32, 3), latent_dim=64, backbone=GRID)
    encoder.metadata["quality"] = asdict(Quality(0.91, 0.84, 30.0, 20.0, 3, 64, 0.25))
    weights = sum(weight.numel() for weight in encoder.encoder.parameters())
    flags = {"timesteps": 1_000, "minutes": 2.5, "frame_skip": 2, "stack": 3}
    assert table_of(encoder, max_episode_steps=30, novelty="counts", **flags) == {
        "environment": "PixelReach-v0, truncated after 30 timesteps",
        "actions": "Discrete(4)",
        "frame skip": "1 timestep is 2 env frames",
        "simulator": "gymnasium, 2 environments",
        "frames": "(32, 32, 3) uint8",
        "encoder": f"beta_vae, spatial, 64 latents (8 x 8 cells of 1), {weights:,} weights, not "
        "saved explained variance: 91% of all pixels, 84% of changing pixels",
        "observations": "(192,) float32: 3 stacked latents",
        "algorithm": "ppo, seed 0",
        "novelty bonus": "counts",
        "training": "1,000 timesteps (2,000 env frames), 50 are done, at most 2.5 minutes",
        "validation": "16 episodes every 50,000 timesteps",
        "folder": "runs/mine",
    }


def test_the_table_names_the_bonus_of_the_default():
    encoder = lrl.random((32, 32, 3), latent_dim=6)
    assert table_of(encoder, novelty_weight=0.1)["novelty bonus"] == (
        "adaptive, weight 0.1, removed unless rewards are sparse"
    )
    for flags in ({"novelty": None}, {"shaping": True}):
        assert "novelty bonus" not in table_of(encoder, **flags)


def test_the_table_names_self_imitation():
    encoder, what = lrl.random((32, 32, 3), latent_dim=6), "of episodes that are better than usual"
    assert "self-imitation" not in table_of(encoder, novelty="rnd")
    assert table_of(encoder, self_imitation=True)["self-imitation"] == what
    by_default = table_of(encoder)["self-imitation"]
    assert by_default == f"{what}, if the bonus stays and counts tokens"


def test_the_table_of_an_agent_on_pixels_has_no_encoder():
    rows = table_of(None, latent=False, stack=1)
    assert not {"encoder", "novelty bonus"} & rows.keys()
    assert rows["observations"] == "(1, 64, 64) uint8: image"


def test_long_values_continue_below_their_beginning():
    text = aligned([("a", "word " * 30), ("longer", "x")])
    assert [len(line) <= WIDTH for line in text.splitlines()] == [True] * 3
    assert text.splitlines()[1].startswith("        word")
    assert text.splitlines()[2] == "longer  x"


def test_validations_have_statistics_and_counts():
    returns = [float(k) for k in range(-2, 9)]
    result = Evaluation(returns, [5] * 11, "stochastic", cut=4)
    header, row = validation_table({"best": result, "last": None})
    columns = re.split(r" {2,}", header)
    cells = dict(zip(columns, re.split(r" {2,}", row), strict=True))
    assert cells == {
        "validation": "best",
        "mean": "3",
        "sd": f"{np.std(returns):.4g}",
        "min": "-2",
        "p10": "-1",
        "median": "3",
        "max": "8",
        "episodes": "11",
        "return <= 0": "3",
        "cut": "4",
        "policy": "stochastic",
    }
    assert header.index("sd") + 2 == row.index(cells["sd"]) + len(cells["sd"]), "right aligned"


def test_known_successes_take_the_place_of_returns():
    known = Evaluation([0.0, 1.0, -1.0], [5] * 3, successes=2)
    header, row = validation_table({"best": known, "last": None})
    assert "successful" in header
    assert "return <= 0" not in header
    assert row.split()[8] == "2"
    header, row, _ = validation_table({"best": known, "last": Evaluation([0.0], [5])})
    assert "return <= 0" in header, "both rows have the same column"
    assert row.split()[8] == "2"


def trained(env_id="PixelReach-v0", **changes):
    result = Evaluation([1.0, -1.0], [5, 7], "stochastic")
    values = {"timesteps": 1_200, "best": result, "last": result, "seconds": 2.0, **changes}
    config = small_config(environment=Environment(env_id, frame_skip=4))
    return Trained(Path("runs/mine"), config, **values)


def test_the_summary_has_time_rate_and_commands():
    lines = describe_result(trained(resumed_at=200)).splitlines()
    assert lines[0] == (
        "1,200 timesteps (4,800 env frames), from 200 in 2 s, 500 timesteps/s with validations"
    )
    assert [line.split()[0] for line in lines[1:4]] == ["validation", "best", "last"]
    assert lines[4:6] == ["folder: runs/mine", "next:"]
    assert lines[6:] == [f"  {' '.join(words)}" for words in next_commands(trained())]
    assert "in 3.5 minutes, " in describe_result(trained(seconds=210.0))


@pytest.mark.parametrize(("cut", "episodes"), [(0, "100"), (1, "10")])
def test_fewer_episodes_are_evaluated_where_some_have_no_end(cut, episodes):
    result = Evaluation([1.0, -1.0], [5, 7], "stochastic", cut=cut)
    _, evaluate, _ = next_commands(trained(best=result))
    assert evaluate[evaluate.index("--episodes") + 1] == episodes


@pytest.mark.parametrize(
    ("cut", "limit", "expected"), [(2, None, True), (1, None, False), (2, 500, False)]
)
def test_the_evaluation_is_limited_where_nothing_else_limits_it(cut, limit, expected):
    validation = Evaluation([1.0, -1.0], [5, 7], "stochastic", cut=cut)
    result = trained(best=validation, last=validation)
    environment = dataclasses.replace(result.config.environment, max_episode_steps=limit)
    config = dataclasses.replace(result.config, environment=environment)
    for words in next_commands(dataclasses.replace(result, config=config))[1:]:
        assert ("--max-episode-steps" in words) == expected


@pytest.mark.parametrize("env_id", ["PixelReach-v0", "tests.helpers:continuous_reach"])
def test_commands_name_the_policy_and_the_module_of_a_user(env_id):
    board, evaluate, video = next_commands(trained(env_id))
    assert board == ["tensorboard", "--logdir", "runs"]
    assert tensorboard_command(Path("else/mine")) == ["tensorboard", "--logdir", "else/mine"]
    for words in (evaluate, video):
        assert words[:4] == [*python_script("evaluate_agent.py"), "--agent", "runs/mine"]
        assert "--no-deterministic" in words
        assert (env_id in words) == (":" in env_id)
    assert video[-2:] == ["--video", "runs/mine/episode.mp4"]
