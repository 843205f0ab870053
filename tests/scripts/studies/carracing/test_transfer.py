from __future__ import annotations

import colorsys
import importlib

import gymnasium as gym
import numpy as np
import pytest

from envs import Environment, make_env
from latentrl.utils.io import read_json, write_json
from scripts.studies.carracing import arms, transfer
from scripts.studies.carracing.arms import Run

pytest.importorskip("Box2D")
COLOURS = "scripts.studies.carracing.colours"
pytestmark = pytest.mark.filterwarnings("ignore:.*out of date")


def first_frame(env):
    frame = env.reset(seed=3)[0]
    env.close()
    return frame.reshape(-1, 3)[::97]


@pytest.mark.parametrize(
    ("function", "shift"), [("hue_plus_30", 0.3), ("hue_minus_20", -0.2), ("hue_plus_10", 0.1)]
)
def test_the_hue_is_shifted_and_nothing_else(function, shift):
    drawing = importlib.import_module("envs.car_racing.drawing")
    home = first_frame(drawing.DrawnFrames(gym.make(arms.ENV)))
    shifted = first_frame(make_env(Environment(f"{COLOURS}:{function}")))
    for pixel, found in zip(home, shifted, strict=True):
        hue, saturation, value = colorsys.rgb_to_hsv(*pixel / 255)
        expected = colorsys.hsv_to_rgb((hue + shift) % 1, saturation, value)
        np.testing.assert_allclose(found, np.multiply(expected, 255), atol=1)


def test_random_hues_have_a_seed_and_change_with_the_episode():
    env = make_env(Environment(f"{COLOURS}:random_hues"))
    first, second = env.reset(seed=3)[0][40, 0], env.reset()[0][40, 0]
    assert not np.array_equal(first, second)
    assert np.array_equal(env.reset(seed=3)[0][40, 0], first)
    env.close()


def test_every_colour_has_an_environment():
    colours = importlib.import_module(COLOURS)
    assert all(callable(getattr(colours, name)) for name in transfer.COLOURS.values())
    assert set(transfer.ARMS) <= set(arms.ARMS)


def test_agents_are_evaluated_once(tmp_path, monkeypatch):
    for name in ("RESULTS", "FOLDER"):
        monkeypatch.setattr(arms, name, tmp_path / name)
    seen = []

    def evaluated(folder, tracks, *, env, **options):
        assert (options["deterministic"], options["checkpoint"]) == (True, "last")
        seen.append(env.rpartition(":")[2])
        return type("Evaluation", (), {"returns": [1.0] * tracks})

    monkeypatch.setattr(transfer, "evaluate_agent", evaluated)
    run, other, elsewhere = Run("pixels", 0), Run("beta 1", 0), Run("pixels", 1)
    write_json(elsewhere.result, {"evaluation": {}})
    assert not transfer.is_missing(elsewhere), "its agent is not here"
    assert not transfer.is_missing(run), "it has no result"
    for each in (run, other):
        write_json(each.result, {"evaluation": {}})
        (each.folder / "agent").mkdir(parents=True)
    assert transfer.is_missing(run)
    assert not transfer.is_missing(other)
    transfer.transfer(run)
    assert seen == list(transfer.COLOURS.values())
    assert read_json(run.result)["transfer"]["hue +0.3"] == [1.0] * transfer.TRACKS
    assert not transfer.is_missing(run)
