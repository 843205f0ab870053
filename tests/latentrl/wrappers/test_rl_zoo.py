"""RL Zoo itself trains on latents with the YAML of the guide; ``make zoo`` installs it."""

from __future__ import annotations

import os
import re
import subprocess

import pytest
from stable_baselines3 import PPO

import latentrl as lrl
from tests.helpers import ROOT

PYTHON = ROOT / ".venv-zoo" / "bin" / "python"
GUIDE = ROOT / "docs" / "guide" / "sharing.md"

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not PYTHON.exists(), reason="RL Zoo is not installed: make zoo"),
]


def test_rl_zoo_trains_on_latents(tmp_path):
    encoder = lrl.save(lrl.random((32, 32, 3), latent_dim=6), tmp_path / "encoder")
    (text,) = re.findall(r"^```yaml\n(.*?)^```", GUIDE.read_text("utf-8"), re.M | re.S)
    (tmp_path / "latents.yml").write_text(re.sub(r"(?<=encoder: ).*", str(encoder), text))
    (line,) = re.findall(r"^python -m (rl_zoo3\.train .*)$", GUIDE.read_text("utf-8"), re.M)
    short = ["-n", "300", "-params", "n_steps:64", "batch_size:32", "--eval-freq", "-1"]
    command = [PYTHON, "-m", *line.split(), *short, "-f", "logs", "--device", "cpu"]
    done = subprocess.run(
        [str(word) for word in command],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    file = tmp_path / "logs" / "ppo" / "PixelReach-v0_1" / "PixelReach-v0.zip"
    assert PPO.load(file, device="cpu").observation_space.shape == (6,)
    timesteps = re.findall(r"total_timesteps\s*\|\s*(\d+)", done.stdout)
    assert int(timesteps[-1]) >= 300
