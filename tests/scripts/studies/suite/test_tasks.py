from __future__ import annotations

import pytest

import envs
from scripts.studies.suite.tasks import (
    ARMS,
    ENVS,
    LATENTS,
    SEEDS,
    Run,
    flags_of,
    needs_latents,
    runs,
)


def test_twelve_environments_of_registered_families():
    assert len(set(ENVS)) == 12
    assert all(envs.family_of(env) is not envs.families.GENERAL for env in ENVS)


def test_the_first_seed_of_all_environments_comes_first():
    planned = list(runs())
    assert len(planned) == len(set(planned)) == len(ENVS) * sum(SEEDS.values())
    assert [run.seed for run in planned] == sorted(run.seed for run in planned)
    latents = planned.index(next(run for run in planned if run.arm == "latents"))
    assert latents < next(i for i, run in enumerate(planned) if run.arm == "random_encoder")


def test_chosen_runs():
    chosen = list(runs(["ALE/Pong-v5"], ["pixels"], 2))
    assert [run.name for run in chosen] == ["ALE_Pong-v5/pixels-0", "ALE_Pong-v5/pixels-1"]
    assert [run.seed for run in runs([ENVS[0]], ["random_encoder"], 3)] == [0, 1]


def test_unknown_names():
    with pytest.raises(ValueError, match="unknown environment 'Pong'; known: ALE/Pong-v5, "):
        list(runs(["Pong"]))
    with pytest.raises(ValueError, match=f"unknown arm 'vae'; known: {', '.join(ARMS)}"):
        list(runs(arms=["vae"]))
    with pytest.raises(ValueError, match="seeds must be at least 1, got 0"):
        list(runs(seeds=0))


def test_folders_do_not_depend_on_the_working_directory(tmp_path, monkeypatch):
    folder = Run(ENVS[0], LATENTS, 0).folder
    monkeypatch.chdir(tmp_path)
    assert Run(ENVS[0], LATENTS, 0).folder == folder
    assert folder.is_absolute()


def test_arms_with_a_bonus_have_the_encoder_of_latents():
    assert flags_of("latents+rnd") == {"novelty": "rnd"}
    assert flags_of("latents+none") == {"novelty": None}
    assert flags_of("no_stack") == {"stack": 1}
    assert flags_of(LATENTS) == {}
    needing = [arm for arm in (*ARMS, "latents+rnd") if needs_latents(arm)]
    assert needing == ["random_encoder", "general", "no_stack", "refined", "latents+rnd"]
