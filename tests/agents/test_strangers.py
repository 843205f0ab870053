"""Agents' folders from strangers: no module is imported unasked, and edited files are refused."""

from __future__ import annotations

import os
import sys
import time

import numpy as np
import pytest

from agents.algorithms import ALGORITHMS
from agents.bonuses import make_novelty
from agents.checkpoint import WEIGHTS, build, build_saved, read_agent, restore, save_agent
from agents.evaluate import evaluate_agent
from agents.parts import part_file
from agents.train import TrainConfig, train
from agents.train_config import resumed_config
from agents.validation import best_result
from agents.video import record_video
from latentrl.utils.io import read_json, read_tensors, write_json, write_tensors
from tests.agents.small import REACH, make_venv, save_run, small_config, tiny_train, trained
from tests.mutations import ALLOWED, edit_json, edit_tensors

EDITS = int(os.environ.get("LATENTRL_EDITS", "60"))
EVIL = "evil_module_of_a_stranger:Env"
MODULE = """
from pathlib import Path
from gymnasium.wrappers import TimeLimit
from envs.pixel_reach import PixelReach
Path("imported").touch()

def Env(render_mode=None):
    return TimeLimit(PixelReach(render_mode=render_mode), 20)
"""


@pytest.fixture
def evil(tmp_path, monkeypatch):
    (tmp_path / "evil_module_of_a_stranger.py").write_text(MODULE)
    monkeypatch.syspath_prepend(str(tmp_path))
    yield tmp_path / "imported"
    sys.modules.pop("evil_module_of_a_stranger", None)


def rename_environment(folder, name):
    _, tensors, notes = read_agent(folder)
    notes["config"]["environment"]["id"] = name
    write_tensors(folder / WEIGHTS, tensors, {"agent": notes})


def test_a_module_that_a_folder_names_is_imported_only_on_request(evil, encoder, tmp_path):
    run = save_run(tmp_path / "run", encoder)
    rename_environment(run / "best", EVIL)
    message = rf"names the environment {EVIL}, whose module would be .*--env {EVIL}, or add --trust"
    with pytest.raises(ValueError, match=message):
        evaluate_agent(run, 1, progress=False)
    with pytest.raises(ValueError, match=message):
        record_video(run, tmp_path / "video.gif")
    other = evaluate_agent(run, 1, env="PixelReach-v0", progress=False)
    assert not evil.exists()
    assert evaluate_agent(run, 1, env=EVIL, progress=False) == other
    assert evil.exists()
    evil.unlink()
    sys.modules.pop("evil_module_of_a_stranger")
    assert evaluate_agent(run, 1, trust=True, progress=False) == other
    assert evil.exists()


def test_a_resumed_run_imports_no_module_unasked(evil, encoder):
    path = tiny_train(encoder, timesteps=64, n_envs=1).path
    rename_environment(path / "last", EVIL)
    with pytest.raises(ValueError, match=rf"{path.name} names the environment {EVIL}, whose"):
        train(TrainConfig(out=path, resume=True))
    flags = read_json(path / "training.json")
    write_json(path / "training.json", {**flags, "env": EVIL, "trust": True})
    with pytest.raises(ValueError, match="or add --trust if you trust the folder"):
        train(TrainConfig(out=path, resume=True))
    assert not evil.exists()
    assert train(TrainConfig(EVIL, timesteps=128, out=path, resume=True)).timesteps == 128
    assert evil.exists()


def test_an_algorithm_of_a_plugin_names_the_flag(encoder, tmp_path):
    run = save_run(tmp_path / "run", encoder)
    _, tensors, notes = read_agent(run / "best")
    notes["config"]["algo"] = "mine"
    write_tensors(run / "best" / WEIGHTS, tensors, {"agent": notes})
    message = f"unknown algorithm 'mine': add --plugin MODULE .*; known: {', '.join(ALGORITHMS)}"
    with pytest.raises(ValueError, match=message):
        evaluate_agent(run, 1, progress=False)


# Sizes


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"policy_kwargs": {"net_arch": [30_000, 30_000]}}, "more weights than"),
        ({"policy_kwargs": {"net_arch": {"pi": [16], "vf": [60_000] * 3}}}, "more weights than"),
        ({"policy_kwargs": {"net_arch": [10**9]}}, "net_arch.* lies between 1 and 1,048,576"),
        ({"policy_kwargs": {"net_arch": [1] * 500}}, "net_arch.* has between 0 and 100 items"),
        ({"n_steps": 10**15}, "ppo cannot be built: "),
        ({"n_envs": 10**6}, "'n_envs' lies between 1 and"),
    ],
)
def test_sizes_are_refused_before_they_take_memory(changes, message, encoder, tmp_path):
    config = small_config()
    venv = make_venv(config, encoder)
    save_agent(tmp_path, config, build(config, venv), venv)
    _, tensors, notes = read_agent(tmp_path)
    notes["config"]["hyperparameters"] |= changes
    write_tensors(tmp_path / WEIGHTS, tensors, {"agent": notes})
    start = time.monotonic()
    with pytest.raises(ValueError, match=message):
        build_saved(tmp_path, read_agent(tmp_path)[0], venv)
    assert time.monotonic() - start < 5


# Edited files


class Saved:
    """A run with all its files, which are edited one at a time."""

    def __init__(self, folder, encoder, algo):
        self.folder, self.encoder = folder, encoder
        self.config = small_config(algo)
        model, venv = trained(self.config, encoder, 64)
        bonus = make_novelty("counts", None, encoder, venv.action_space, 0.99, 0)
        result = {"returns": [1.0, 2.0], "lengths": [3, 4]}
        save = (folder / "best", self.config, model, venv)
        save_agent(*save, replay=True, novelty=bonus, validation=result)
        write_json(folder / "training.json", TrainConfig(REACH.id, algo=algo).to_json())
        stamp = read_agent(folder / "best")[2]["stamp"]
        names = {"agent": folder / "best" / WEIGHTS}
        names |= {name: part_file(folder / "best", name, stamp) for name in ("replay", "novelty")}
        self.files = {
            name: (file, file.read_bytes()) for name, file in names.items() if file.exists()
        }

    def edit(self, rng):
        """Edit one file, with checksums that are right."""
        name = [*self.files, "flags"][rng.integers(len(self.files) + 1)]
        if name == "flags":
            flags = TrainConfig(REACH.id, algo=self.config.algo).to_json()
            write_json(self.folder / "training.json", edit_json(flags, rng))
            return
        file, _ = self.files[name]
        tensors, notes = read_tensors(file, name)
        if rng.random() < 0.7:
            notes = edit_json(notes, rng)
        else:
            tensors = edit_tensors(tensors, rng)
        write_tensors(file, tensors, {name: notes})

    def repair(self):
        for file, data in self.files.values():
            file.write_bytes(data)
        write_json(self.folder / "training.json", TrainConfig(REACH.id).to_json())

    def use(self):
        """Read all files as a resumed run does."""
        config = read_agent(self.folder / "best")[0]
        resumed_config(
            TrainConfig(resume=True), read_json(self.folder / "training.json"), self.folder
        )
        best_result(self.folder)
        if config.environment != self.config.environment:
            return
        venv = make_venv(config, self.encoder if config.latent else None)
        bonus = make_novelty("counts", None, self.encoder, venv.action_space, 0.99, 0)
        model = build_saved(self.folder / "best", config, venv)
        restore(self.folder / "best", model, venv, novelty=bonus)
        model.predict(venv.reset())


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("algo", ["ppo", "dqn"])
def test_edited_files_end_in_one_clear_error(algo, encoder, tmp_path):
    saved = Saved(tmp_path, encoder, algo)
    saved.use()
    rng = np.random.default_rng(0)
    refused = 0
    for _ in range(EDITS):
        saved.edit(rng)
        try:
            saved.use()
        except ALLOWED:
            refused += 1
        finally:
            saved.repair()
    assert refused > EDITS / 3
