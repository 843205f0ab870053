"""Known factors of Atari games, beside what the frames show."""

from __future__ import annotations

import numpy as np
import pytest

from envs import Environment, make_env
from envs.ale.factors import ADDRESSES

pytest.importorskip("ale_py")
COLOURS = {"player_y": (92, 186, 92), "enemy_y": (213, 130, 74)}
"""Colours of the paddles of Pong."""


def test_positions_move_with_what_is_drawn_there() -> None:
    env = make_env(Environment("ALE/Pong-v5"))
    assert env.metadata["factors"] == ("ball_x", "ball_y", "player_y", "enemy_y")
    env.action_space.seed(0)
    env.reset(seed=0)
    positions, seen = [], []
    for step in range(160):
        frame, _, _, _, info = env.step(env.action_space.sample())
        if step > 20:  # the paddles are not there at first
            positions.append(info["factors"][2:])
            masks = [(frame[34:194] == colour).all(2) for colour in COLOURS.values()]
            seen.append([np.nonzero(mask)[0].mean() if mask.any() else np.nan for mask in masks])
    for known, drawn in zip(np.transpose(positions), np.transpose(seen), strict=True):
        both = np.isfinite(drawn)
        assert both.mean() > 0.8
        assert np.corrcoef(known[both], drawn[both])[0, 1] > 0.95


@pytest.mark.parametrize("game", ADDRESSES)
def test_the_ball_is_unknown_before_the_serve_and_in_the_frame_later(game: str) -> None:
    env = make_env(Environment(game))
    names = env.metadata["factors"]
    ball = [name.startswith("ball") for name in names]
    env.action_space.seed(1)
    _, info = env.reset(seed=1)
    factors = [info["factors"]]
    factors += [env.step(env.action_space.sample())[4]["factors"] for _ in range(200)]
    values = np.stack(factors)
    assert values.shape == (201, len(names))
    assert np.isnan(values[0, ball]).all()
    assert 0.1 < np.isfinite(values[:, ball]).all(1).mean() < 1
    assert not np.isnan(values[:, ~np.array(ball)]).any()


def test_other_games_have_none() -> None:
    assert "factors" not in make_env(Environment("ALE/Freeway-v5")).metadata
