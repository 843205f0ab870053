from __future__ import annotations

from types import SimpleNamespace

import numpy as np

from latentrl import Frames
from latentrl.data.factors import with_factors
from latentrl.types import as_space
from latentrl.utils.io import read_json, write_json
from scripts.studies.carracing import arms
from scripts.studies.carracing import probe as probe_module
from scripts.studies.carracing.arms import Run
from scripts.studies.carracing.probe import probe, probe_encoders, stack


def test_a_stack_does_not_reach_into_another_episode():
    latents = np.array([[1.0], [2.0], [3.0], [4.0]])
    stacked = stack(latents, np.array([0, 0, 1, 1]), 3)
    assert stacked.tolist() == [[0, 0, 1], [0, 1, 2], [0, 0, 3], [0, 3, 4]]
    assert stack(latents, np.zeros(4), 1).tolist() == latents.tolist()


def test_a_velocity_is_read_from_stacked_places():
    rng = np.random.default_rng(0)
    episodes = np.repeat(np.arange(8), 50)
    velocity = rng.normal(size=400)
    place = np.concatenate([velocity[episodes == i].cumsum() for i in range(8)])
    images = np.zeros((400, 8, 8, 3), np.uint8)
    frames = with_factors(
        Frames(as_space((8, 8, 3)), [images], episodes),
        {"velocity": np.where(np.arange(400) % 50 == 0, np.nan, velocity), "place": place},
    )
    scores = probe(place[:, None], frames)
    assert min(scores.values()) > 0.95
    assert probe(rng.normal(size=(400, 1)), frames)["velocity"] < 0.1


def test_only_encoders_that_are_here_are_probed(tmp_path, monkeypatch):
    for name in ("RESULTS", "FOLDER"):
        monkeypatch.setattr(arms, name, tmp_path / name)
    monkeypatch.setattr(probe_module, "FILE", tmp_path / "probe.json")
    monkeypatch.setattr(probe_module, "visit", lambda *_, **__: SimpleNamespace(frames=[0]))
    monkeypatch.setattr(
        probe_module, "load", lambda path, _: SimpleNamespace(encode=lambda x: path)
    )
    monkeypatch.setattr(probe_module, "probe", lambda latents, _: {"folder": latents.name})
    assert not probe_encoders(), "the recipe has no agent"
    for arm, folder in (("recipe", "encoder"), ("random encoder", "random"), ("pixels", None)):
        write_json(Run(arm, 0).result, {})
        (Run(arm, 0).folder / "agent").mkdir(parents=True)
        if folder is not None:
            (Run(arm, 0).folder / folder).mkdir()
    write_json(Run("vector", 0).result, {})  # of another machine
    assert probe_encoders()
    found = read_json(tmp_path / "probe.json")
    assert found == {"recipe": {"folder": "encoder"}, "random encoder": {"folder": "random"}}
