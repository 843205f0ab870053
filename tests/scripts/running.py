"""Scripts run in the test's own process, and the small data and flags that they are given."""

from __future__ import annotations

import io
import os
import runpy
import shlex
import sys
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass

import numpy as np

import latentrl as lrl
from tests.agents.small import CHANGES, as_words
from tests.helpers import ROOT

REACH = ["--env", "PixelReach-v0"]
PRETRAIN = ["--frames", "160", "--epochs", "2", "--batch-size", "32", "--latent-dim", "6"]
TRAIN = ["--timesteps", "128", "--eval-every", "64", "--eval-episodes", "2"]

CUSTOM = """
import gymnasium as gym
import numpy as np


class Line(gym.Env):
    observation_space = gym.spaces.Box(0, 255, (16, 16, 3), np.uint8)
    action_space = gym.spaces.Discrete(2)

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.place, self.time = 8, 0
        return self._see(), {}

    def step(self, action):
        self.place, self.time = int(np.clip(self.place + 2 * action - 1, 0, 15)), self.time + 1
        return self._see(), float(self.place == 15), False, self.time == 10, {}

    def _see(self):
        image = np.zeros((16, 16, 3), np.uint8)
        image[:, self.place] = 255
        return image
"""
"""A user's module with an environment."""


@dataclass
class Done:
    code: object
    out: str
    err: str


def script(folder, name, *arguments):
    """Run a script in this process as ``python scripts/NAME.py ARGUMENTS`` would in ``folder``."""
    before = sys.argv, list(sys.path), os.getcwd()
    out, err = io.StringIO(), io.StringIO()
    file = str(ROOT / "scripts" / f"{name}.py")
    sys.argv = [file, *map(str, arguments)]
    os.chdir(folder)
    code = 0
    try:
        with redirect_stdout(out), redirect_stderr(err):
            runpy.run_path(file, run_name="__main__")
    except SystemExit as end:
        code = end.code
    finally:
        sys.argv, sys.path[:] = before[:2]
        os.chdir(before[2])
    return Done(code, out.getvalue(), err.getvalue())


def succeed(folder, name, *arguments):
    done = script(folder, name, *arguments)
    assert done.code == 0, done.err
    return done


def small(algo="ppo"):
    """Flags of ``train_agent`` that make an algorithm small."""
    return ["--algo", algo, "--n-envs", "2", "--hyperparams", *as_words(CHANGES.get(algo, {}))]


def save_random_encoder(folder, space=(32, 32, 3), env="PixelReach-v0"):
    path = folder / "runs" / "vae" / env.replace(":", ".") / "random-1"
    lrl.save(lrl.random(space, latent_dim=4), path)


def printed_command(text, name):
    """Return the arguments of the next command that a script's output names."""
    line = next(line for line in text.splitlines() if f"scripts/{name}.py" in line)
    return shlex.split(line.split(f"{name}.py")[1])


def noise(*shape):
    return np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)


def write_npy(folder):
    np.save(folder / "sprites.npy", noise(60, 24, 24, 3))
    return "sprites.npy"
