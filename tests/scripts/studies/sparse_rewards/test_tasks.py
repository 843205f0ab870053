"""Tasks of the study of sparse rewards, and the runs on them."""

from __future__ import annotations

from importlib.util import find_spec

import pytest

from agents.venv import probe
from envs import Environment, family_of
from scripts.studies.sparse_rewards.tasks import TASKS, Run, runs


@pytest.mark.parametrize("env_id", sorted({task.env for task in TASKS.values()}))
def test_environments_of_the_tasks_exist(env_id: str) -> None:
    package = (family_of(env_id).package or "gymnasium").partition(".")[0]
    if find_spec(package) is None:
        pytest.skip(f"{package} is not installed")
    # Not in this process: some leave a graphics context, which is not forked.
    probe(Environment(env_id), "gymnasium")


def test_runs_cover_each_bonus_and_seed() -> None:
    names = [run.name for run in runs(["DoorKey-8x8"], seeds=2)]
    bonuses = ("token_counts", "none")
    assert names == [f"DoorKey-8x8/{bonus}-{seed}" for bonus in bonuses for seed in (0, 1)]
    assert {run.task for run in runs()} == set(TASKS)


def test_runs_of_another_bonus_take_the_seeds_of_the_task() -> None:
    found = list(runs(["DoorKey-8x8"], ["rnd"]))
    assert [run.bonus for run in found] == ["rnd"] * TASKS["DoorKey-8x8"].seeds


def test_unknown_names_list_the_known_ones() -> None:
    with pytest.raises(ValueError, match="unknown task 'Chess'; known: DoorKey-8x8, "):
        list(runs(["Chess"]))
    with pytest.raises(ValueError, match=r"unknown bonus 'luck'; known: adaptive, .*, none"):
        list(runs(bonuses=["luck"]))


def test_there_is_at_least_one_seed() -> None:
    with pytest.raises(ValueError, match="seeds must be at least 1, got 0"):
        list(runs(seeds=0))


@pytest.mark.parametrize(
    ("bonus", "expected"),
    [
        ("none", (None, False)),
        ("none+self_imitation", (None, True)),
        ("token_counts+counts", ("token_counts+counts", False)),
        ("token_counts+counts+self_imitation", ("token_counts+counts", True)),
    ],
)
def test_the_name_of_a_bonus_says_whether_agents_imitate_themselves(bonus, expected) -> None:
    run = Run("DoorKey-8x8", bonus, 0)
    assert (run.novelty, run.imitates_itself) == expected
