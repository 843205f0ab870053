from __future__ import annotations

import numpy as np
import pytest

from scripts.studies.suite.records import Record, bootstrap, difference, records
from scripts.studies.suite.report import write_page
from scripts.studies.suite.tasks import LATENTS, PIXELS, RANDOM_ACTIONS, RANDOM_ENCODER

PONG = "ALE/Pong-v5"


def test_returns_are_those_of_the_last_row_before_a_place():
    curve = {"seconds": np.array([10.0, 20.0]), "return": np.array([1.0, 3.0])}
    record = Record({}, curve)
    returns = record.return_at("seconds", np.array([9.9, 10.0, 19.0, 20.0, 99.0]), before=-5.0)
    assert returns.tolist() == [-5.0, 1.0, 1.0, 3.0, 3.0]


def test_the_bootstrap_against_all_resamples():
    one, other = np.array([1.0, 2.0, 4.0]), np.array([0.0, 1.0])
    means = [
        np.array(np.meshgrid(*[values] * len(values))).reshape(len(values), -1).mean(0)
        for values in (one, other)
    ]
    exact = np.percentile((means[0][:, None] - means[1]).ravel(), [2.5, 97.5])
    assert np.allclose(bootstrap(one, other), exact, atol=0.35)
    assert bootstrap(one, other[:1]) == (-np.inf, np.inf)
    assert bootstrap(one + 10, one + 10) == tuple(-np.array(bootstrap(one, one))[::-1])


def test_differences_where_both_arms_have_come_to(write):
    for seed in range(3):
        write(PONG, LATENTS, seed, final=4.0 + seed / 10, frames=8_000)
        write(PONG, PIXELS, seed, final=2.0, frames=4_000)
    found = records(PONG)
    wall_clock = difference(found, LATENTS, PIXELS, "seconds")
    assert wall_clock.mean == pytest.approx(2.1)
    assert (wall_clock.verdict, wall_clock.low <= 2.1 <= wall_clock.high) == ("ahead", True)
    # Half of the latents' frames, at which their return is half of the final one.
    assert difference(found, LATENTS, PIXELS, "env_frames").mean == pytest.approx(0.05)
    assert difference(found, PIXELS, LATENTS, "seconds").verdict == "behind"
    # Both curves rise linearly, so that their means differ by half as much as their ends.
    whole = difference(found, LATENTS, PIXELS, "seconds", whole=True)
    assert 0 < whole.mean < wall_clock.mean
    assert difference(found, LATENTS, RANDOM_ENCODER, "seconds") is None


def test_a_run_without_a_finished_episode_counts_as_random_actions(write):
    write(PONG, RANDOM_ACTIONS, 0, final=-21.0)
    write(PONG, LATENTS, 0, final=-20.0)
    write(PONG, PIXELS, 0, final=-20.0)
    found = records(PONG)
    empty = {name: np.array([]) for name in ("env_frames", "seconds", "return")}
    found[LATENTS] = [Record(found[LATENTS][0].data, empty)]
    assert difference(found, LATENTS, PIXELS, "seconds").mean == pytest.approx(-1.0)


@pytest.mark.parametrize("other", [PONG, "CrafterReward-v1"])
def test_runs_of_different_minutes_are_not_compared(other, write):
    write(PONG, LATENTS, 0, minutes=8.0)
    write(other, PIXELS, 0, minutes=2.0)
    with pytest.raises(ValueError, match=r"the runs had 2 and 8 minutes: delete the results of"):
        write_page()
