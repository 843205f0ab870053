"""Results of the study of sparse rewards: order, comparability and intervals."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from scripts.studies.sparse_rewards.records import (
    bonuses_with_results,
    check_comparable,
    curves,
    interval,
)
from scripts.studies.sparse_rewards.tasks import TASKS, Task

MESSAGE = "{} of Tiny has {}={}, .*: {} of Tiny must differ in seed and bonus only; delete"


def agents(bonus: str, **other: Any) -> list[dict[str, Any]]:
    same = {
        "agent": {"algo": "ppo"},
        "encoder": {"latent_dim": 4},
        "pretraining": {"frames": 1, "config": {"beta": 1}},
        **other,
    }
    flags = [{"seed": seed, "novelty": bonus, "novelty_weight": 1.0} for seed in range(2)]
    return [
        {**same, "training": each, "curve": Path(f"{bonus}-{each['seed']}.csv")} for each in flags
    ]


def test_agents_may_differ_in_seed_and_bonus() -> None:
    check_comparable("Tiny", {"counts": agents("counts"), "none": agents("none")})
    check_comparable("Tiny", {})


@pytest.mark.parametrize(
    ("key", "value", "name", "before"),
    [
        ("agent", {"algo": "dqn"}, "algo", "ppo"),
        ("encoder", {"latent_dim": 8}, "latent_dim", 4),
        ("pretraining", {"frames": 1, "config": {"beta": 2}}, "beta", 1),
    ],
)
def test_other_differences_are_refused(key: str, value: Any, name: str, before: Any) -> None:
    message = MESSAGE.format("counts-0", name, before, "none-0")
    with pytest.raises(ValueError, match=message):
        check_comparable(
            "Tiny", {"counts": agents("counts"), "none": agents("none", **{key: value})}
        )


def test_weights_of_one_bonus_must_agree() -> None:
    counts = agents("counts")
    counts[1]["training"]["novelty_weight"] = 2.0
    message = MESSAGE.format("counts-0", "novelty_weight", 1.0, "counts-1")
    with pytest.raises(ValueError, match=message):
        check_comparable("Tiny", {"counts": counts, "none": agents("none")})


def test_own_bonuses_come_first_and_no_bonus_last(
    tiny: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    own = ("position_token_counts", "token_counts", "none")
    monkeypatch.setitem(TASKS, "Tiny", Task("PixelReach-v0", 1, bonuses=own))
    folder = tiny / "results" / "Tiny"
    folder.mkdir(parents=True)
    for bonus in ("counts", *sorted(own)):
        (folder / f"{bonus}-0.json").touch()
    expected = ["position_token_counts", "token_counts", "counts", "none"]
    assert bonuses_with_results("Tiny") == expected


def test_interval_is_that_of_the_mean() -> None:
    values = np.random.default_rng(0).normal(3.0, 1.0, 200)
    low, high = interval(values.tolist())
    # The normal approximation, which a sample of 200 satisfies.
    error = 1.96 * values.std() / np.sqrt(len(values))
    assert low == pytest.approx(values.mean() - error, abs=0.03)
    assert high == pytest.approx(values.mean() + error, abs=0.03)


def test_interval_of_one_agent_is_its_value() -> None:
    assert interval([0.5]) == (0.5, 0.5)


def test_curves_start_after_the_pretraining_and_end_together_in_env_frames(tmp_path: Path) -> None:
    found = []
    for number, last in enumerate((300, 200)):
        file = tmp_path / f"{number}.csv"
        file.write_text(f"timesteps,return\n50,\n100,0.5\n{last},0.5\n")
        agent = {"environment": {"frame_skip": 4}}
        found.append({"curve": file, "pretraining": {"frames": 1_000}, "agent": agent})
    frames, returns = curves(found)
    assert (frames[0], frames[-1]) == (4_000, 4_800)
    assert returns.shape == (2, len(frames))
    np.testing.assert_array_equal(returns[:, 0], 0)
    np.testing.assert_array_equal(returns[:, -1], 0.5)
