"""Observations against their space, finals against the next episode, and finite rewards."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
from gymnasium import spaces

from latentrl.data.contract import EVERY, FIRST, FinalCheck, ObservationCheck, check_rewards

WHERE = "the environment X"


def check_of(low=0.0, high=1.0, shape=(4, 4, 3), dtype=np.float32):
    return ObservationCheck(spaces.Box(low, high, shape, dtype), WHERE)


def images(value=0.5, shape=(2, 4, 4, 3), dtype=np.float32):
    return np.full(shape, value, dtype)


def test_observations_of_the_space_are_returned_as_they_are():
    for check, array in (
        (check_of(), images()),
        (check_of(0, 255, dtype=np.uint8), images(200, dtype=np.uint8)),
        (check_of(-np.inf, np.inf), images(1e9)),
        (check_of(-1, 1, (3,)), np.full((2, 3), 40, np.float32)),  # vectors are standardised
        (check_of(0, 7, (4, 4)), images(7, (2, 4, 4))),
        (check_of(), np.empty((0, 4, 4, 3), np.float32)),
    ):
        assert check(array) is array
        assert check.compare(array) is array


@pytest.mark.parametrize(
    ("check", "array", "message"),
    [
        (
            check_of(),
            images(17),
            "go from 17 to 17 in channel 0, their .* 0 to 1: decl",
        ),
        (check_of(), images(-0.5), "go from -0.5 to -0.5 in channel 0, their space declares 0 "),
        (check_of(0, 40, (4, 4)), images(41, (1, 4, 4)), "go from 41 to 41, their .* 0 to 40"),
        (check_of(0, 9, dtype=np.uint16), images(10, dtype=np.uint16), "10 to 10 .* 0 to 9"),
        (check_of(0, 255, dtype=np.uint8), images(256, dtype=np.int64), "from 256 to 256 in chan"),
        (check_of(0, 255, dtype=np.uint8), images(0.5), r"returned float32 .* \(4, 4, 3\) uint8, "),
        (check_of(0, 9, (2,), np.int64), images(0.5, (1, 2)), r"float32 .*, or return int64"),
        (check_of(), images(dtype=object), "returned object observations, its space declares"),
        (check_of(), images("a", dtype="U1"), "returned <U1 observations"),
        (check_of(), images(np.nan), "an observation with NaN or infinity: repair"),
        (check_of(-1, 1, (3,)), images(np.inf, (1, 3)), "an observation with NaN or infinity"),
        (check_of(), images(shape=(2, 4, 5, 3)), r"an observation of shape \(4, 5, 3\), its space"),
    ],
)
def test_observations_outside_the_space_are_refused(check, array, message):
    with pytest.raises(
        ValueError, match=f"^{WHERE} returned .*{message.removeprefix('returned ')}"
    ):
        check(array)


def test_each_channel_has_its_own_bounds():
    high = np.broadcast_to(np.array([255, 255, 255, 10], np.float32), (4, 4, 4))
    check = ObservationCheck(spaces.Box(np.zeros_like(high), high, dtype=np.float32), WHERE)
    rgbd = images(9, (1, 4, 4, 4))
    rgbd[..., :3] = 250
    assert check(rgbd) is rgbd
    with pytest.raises(
        ValueError, match="from 250 to 250 in channel 3, their space declares 0 to 10"
    ):
        check(images(250, (1, 4, 4, 4)))


def test_bounds_on_one_side_hold():
    check = check_of(0, np.inf)
    assert check(images(1e9)).max() == 1e9
    with pytest.raises(ValueError, match=r"go from -5 to -5 in channel 0, .* declares 0 to inf"):
        check(images(-5))


def test_integers_are_cast_to_the_declared_dtype_where_they_fit():
    cast = check_of(0, 255, dtype=np.uint8)(images(255, dtype=np.int64))
    assert cast.dtype == np.uint8
    assert (cast == 255).all()


def test_a_value_just_outside_is_clipped_with_one_warning():
    check = check_of(0, 50)
    array = images(50)
    array[0, 1, 2, 0] = 50.00001
    with pytest.warns(UserWarning, match=f"^{WHERE} returned .* to 50.00001 .*: they are clipped$"):
        clipped = check(array)
    assert clipped.max() == 50
    assert clipped.dtype == np.float32
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert check(array).max() == 50
    with pytest.raises(ValueError, match=r"values that go from 50 to 50\.1 in channel 0"):
        array[0, 1, 2, 0] = 50.1
        check(array)


def test_values_are_compared_on_the_first_calls_and_then_regularly():
    check = check_of()
    refused = [call for call in range(3 * EVERY) if refuses(check, images(3))]
    assert refused == [*range(FIRST), EVERY, 2 * EVERY]


def refuses(check, array):
    try:
        check(array)
    except ValueError:
        return True
    return False


def repeat(check, *batches):
    for call in range(FIRST):
        check(batches[call % len(batches)])


def test_floats_that_a_vector_environment_has_cast_show_in_the_first_batches():
    zeros_and_ones = np.random.default_rng(0).integers(0, 2, (2, 4, 4, 3), np.uint8)
    dark = images(0, dtype=np.uint8)
    with pytest.warns(UserWarning, match=f"{WHERE} returned only 0 and 1, its .* up to 200: if"):
        repeat(check_of(0, 200, dtype=np.uint8), dark, zeros_and_ones)
    repeat(check_of(0, 1, dtype=np.uint8), zeros_and_ones)  # masks that are declared so


def test_dark_first_images_are_no_cast():
    zeros_and_ones = np.random.default_rng(0).integers(0, 2, (2, 4, 4, 3), np.uint8)
    repeat(check_of(0, 255, dtype=np.uint8), zeros_and_ones, images(2, dtype=np.uint8))
    repeat(check_of(0, 255, dtype=np.uint8), images(0, dtype=np.uint8), images(1, dtype=np.uint8))
    late = check_of(0, 255, dtype=np.uint8)
    repeat(late, images(9, dtype=np.uint8))
    repeat(late, zeros_and_ones)


def test_finals_that_are_always_the_next_first_observation_are_reported_once():
    check, before, firsts = FinalCheck(WHERE), images(0.5), images(0.25)
    check(before[:0], firsts[:0], firsts[:0])
    check(before, firsts, firsts)
    with pytest.warns(UserWarning, match=f"{WHERE} returned the same .* return a copy of it from"):
        check(before, images(0.75), images(0.75))
    check(before, firsts, firsts)


def test_episodes_that_all_start_alike_may_end_there_a_few_times():
    check, before, firsts = FinalCheck(WHERE), images(0.5), images(0.25)
    for _ in range(FinalCheck.MANY_ENDS // 2 - 1):
        check(before, firsts, firsts)
    with pytest.warns(UserWarning, match=f"{WHERE} returned the same "):
        check(before, firsts, firsts)


@pytest.mark.parametrize("final", [0.75, 0.25])
def test_an_end_of_its_own_and_images_that_are_all_alike_are_no_reason_to_warn(final):
    check, firsts = FinalCheck(WHERE), images(0.25)
    check(images(final), images(final), firsts)
    for _ in range(5):
        check(images(0.5), firsts, firsts)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_rewards_that_are_not_finite_are_named(bad):
    rewards = np.array([1, 2, bad, bad])
    with pytest.raises(ValueError, match=f"^environment 2 returned the reward {bad} at step 40: "):
        check_rewards(rewards, "at step 40")
    with pytest.raises(ValueError, match=f"^environment 7 returned the reward {bad} at step 3: "):
        check_rewards(np.asarray(bad), "at step 3", 7)
    check_rewards(rewards[:2], "at step 40")


@pytest.mark.parametrize("bad", [1e39, -3.5e38])
def test_rewards_that_float32_does_not_hold_are_infinite(bad):
    with pytest.raises(
        ValueError, match=r"^environment 1 returned the reward -?[13].*e\+3[89] at step 2"
    ):
        check_rewards(np.array([3.4e38, bad]), "at step 2")


@pytest.mark.parametrize("shape", [(0,), (8, 0, 3)])
def test_a_space_holds_values(shape):
    with pytest.raises(ValueError, match="hold no values: each axis of a space has a size"):
        ObservationCheck(spaces.Box(0, 1, shape, np.float32), WHERE)


@pytest.mark.parametrize("bad", [None, "a"])
def test_rewards_are_numbers(bad):
    with pytest.raises(ValueError, match=f"a reward is a number, environment 1 returned {bad}"):
        check_rewards(np.asarray(bad), "at step 1", 1)
