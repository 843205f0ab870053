"""The command line of the scripts, through the scripts themselves."""

from __future__ import annotations

import io
import runpy
import sys
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass

import gymnasium as gym
import pytest

import latentrl as lrl
from envs import FAMILIES
from latentrl.models import MODELS
from latentrl.models.losses.base import LOSSES
from scripts.cli import resume_hint
from tests.helpers import ROOT

SCRIPTS = sorted(
    file.stem
    for file in (ROOT / "scripts").glob("*.py")
    if "from scripts.cli import run" in file.read_text()
)
PLUGIN = '''
import gymnasium as gym
import numpy as np

from envs import EnvDefaults, EnvFamily, register_family
from latentrl.models import MODELS, vae
from latentrl.models.losses.base import LOSSES, Loss


@LOSSES.register("squared_norm")
class SquaredNorm(Loss):
    """Squared norm of the latent."""

    def __call__(self, batch):
        return batch.z.square().sum(dim=1).mean()


@MODELS.register("vae_of_mine")
def vae_of_mine(space, latent_dim=3, **options):
    """A model under a name of its own."""
    return vae(space, latent_dim, **options)


class Mine(gym.Env):
    """Vectors of noise under the key of a Dict."""

    observation_space = gym.spaces.Dict(noise=gym.spaces.Box(-9, 9, (6,), np.float32))
    action_space = gym.spaces.Discrete(2)

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.time = 0
        return self.observe(), {}

    def step(self, action):
        self.time += 1
        return self.observe(), 0.0, False, self.time == 9, {}

    def observe(self):
        return {"noise": self.np_random.normal(size=6).astype(np.float32).clip(-9, 9)}


gym.register("Mine-v0", entry_point="my_plugin:Mine")
register_family(
    EnvFamily(
        "mine",
        prefixes=("Mine-",),
        defaults=EnvDefaults(frame_skip=2, policy="random", workers=False),
        package="my_plugin",
        observe=lambda env: gym.wrappers.TransformObservation(
            env, lambda observation: observation["noise"], env.observation_space["noise"]
        ),
    )
)
'''
SHORT = ["--frames", 64, "--steps", 3, "--batch-size", 16, "--latent-dim", 3]


@dataclass
class Done:
    code: object
    out: str
    err: str


@pytest.fixture
def script(tmp_path, monkeypatch):
    """Run a script in this process as ``python scripts/NAME.py ARGUMENTS`` would in a folder."""

    def call(name, *arguments):
        file = str(ROOT / "scripts" / f"{name}.py")
        monkeypatch.setattr(sys, "argv", [file, *map(str, arguments)])
        monkeypatch.setattr(sys, "path", list(sys.path))
        monkeypatch.chdir(tmp_path)
        out, err = io.StringIO(), io.StringIO()
        try:
            with redirect_stdout(out), redirect_stderr(err):
                runpy.run_path(file, run_name="__main__")
        except SystemExit as end:
            return Done(end.code, out.getvalue(), err.getvalue())
        return Done(0, out.getvalue(), err.getvalue())

    return call


@pytest.fixture
def plugin(tmp_path, monkeypatch):
    """Write ``my_plugin.py``; what it registers is gone after the test."""
    (tmp_path / "my_plugin.py").write_text(PLUGIN)
    monkeypatch.setattr(LOSSES, "_parts", dict(LOSSES._parts))
    monkeypatch.setattr(MODELS, "_parts", dict(MODELS._parts))
    monkeypatch.setattr("envs.families.FAMILIES", dict(FAMILIES))
    yield
    sys.modules.pop("my_plugin", None)
    gym.registry.pop("Mine-v0", None)


@pytest.mark.parametrize("name", SCRIPTS)
def test_every_script_has_the_common_flags(name, script):
    done = script(name, "--help")
    assert done.code == 0
    text = " ".join(done.out.replace("│", " ").split())
    assert "--plugin MODULE" in text
    assert "--config FILE" in text
    assert "True,False}" not in text, "a flag of two values is --name and --no-name"


def test_help_lists_the_names_of_a_plugin(script, plugin):
    done = script("pretrain_vae", "--plugin", "my_plugin", "--help")
    assert "vae_of_mine" in done.out
    assert "vae_of_mine" in MODELS


# A vae that is trained for three steps may well collapse.
@pytest.mark.filterwarnings("ignore:.*(collapsed|encoder may miss)")
def test_a_plugin_registers_an_environment_family_and_a_loss(script, plugin, tmp_path):
    mine = ["--plugin", "my_plugin", "--env", "Mine-v0", *SHORT]
    done = script("pretrain_vae", *mine, "--model", "vae", "--option", "losses=[squared_norm]")
    assert done.code == 0, done.err
    model = lrl.load(tmp_path / "runs/vae/Mine-v0/vae-1")
    assert model.observation_space.shape == (6,)
    assert model.config.losses[-1] == {"name": "squared_norm"}
    assert model.metadata["data"]["environment"]["frame_skip"] == 2


@pytest.mark.filterwarnings("ignore:.*(collapsed|encoder may miss)")
def test_nothing_of_a_plugin_is_saved(script, plugin, tmp_path):
    done = script("pretrain_vae", "--plugin", "my_plugin", "--env", "Mine-v0", *SHORT)
    assert done.code == 0, done.err
    files = list((tmp_path / "runs").rglob("*.json"))
    assert len(files) >= 3
    assert not [file for file in files if "my_plugin" in file.read_text()]


def test_without_its_plugin_an_environment_is_unknown(script):
    done = script("pretrain_vae", "--env", "Mine-v0", *SHORT)
    assert done.code == 2
    assert "error: Environment `Mine` doesn't exist" in done.err


@pytest.mark.filterwarnings("ignore:the encoder may miss")
def test_flags_of_a_file_reach_a_script(script, tmp_path):
    (tmp_path / "mine.yaml").write_text("env: PixelReach-v0\nmodel: pca\nframes: 90\nlatent_dim: 5")
    done = script("pretrain_vae", "--config", "mine.yaml", "--latent-dim", 3)
    assert "pca with 3 latents, from 180 images of 32x32x3" in done.out


# Resuming


class WithResume:
    resume = False
    out = None


def test_the_hint_is_the_command_with_resume(monkeypatch):
    words = ["scripts/train_agent.py", "--plugin", "my plugin", "--resume", "--seed", "3"]
    monkeypatch.setattr(sys, "argv", words)
    assert resume_hint(WithResume(), KeyboardInterrupt("runs/a")) == (
        "; what was done is saved. Continue with\n"
        "  python scripts/train_agent.py --plugin 'my plugin' --seed 3 --out runs/a --resume"
    )
    assert resume_hint(object(), KeyboardInterrupt()) == ""


def test_a_run_that_saved_nothing_is_started_again(monkeypatch):
    """The newest run, which --resume alone continues, is another one."""
    monkeypatch.setattr(sys, "argv", ["scripts/train_agent.py", "--seed", "3"])
    assert resume_hint(WithResume(), KeyboardInterrupt()) == (
        " before this run had saved anything. Start it again with\n"
        "  python scripts/train_agent.py --seed 3"
    )


def test_an_interrupted_resume_is_repeated(monkeypatch):
    monkeypatch.setattr(sys, "argv", ["scripts/train_agent.py", "--resume"])
    flags = WithResume()
    flags.resume = True
    hint = resume_hint(flags, KeyboardInterrupt())
    assert hint.endswith("Continue with\n  python scripts/train_agent.py --resume")


def test_the_hint_names_the_folder_of_the_run_unless_the_flags_do(monkeypatch):
    monkeypatch.setattr(sys, "argv", ["scripts/train_agent.py"])
    flags = WithResume()
    hint = resume_hint(flags, KeyboardInterrupt("runs/agents/Mine/ppo latent-1"))
    assert hint.endswith("train_agent.py --out 'runs/agents/Mine/ppo latent-1' --resume")
    flags.out = "mine"
    assert resume_hint(flags, KeyboardInterrupt("mine")).endswith("train_agent.py --resume")
