"""Thresholds with a guaranteed rate of false alarms (conformal anomaly detection)."""

from __future__ import annotations

import math

import numpy as np

from latentrl.types import Array

ROUNDING = 1e-9
"""Tolerance of products of counts and rates: 100 * 0.29 is 28.999999999999996."""


def needed_for(false_alarm_rate: float) -> int:
    """Return the least number of normal observations that can set a threshold of this rate.

    Raises:
        ValueError: the rate is not between 0 and 1.
    """
    if not 0 < false_alarm_rate < 1:
        raise ValueError(f"false_alarm_rate must lie between 0 and 1, got {false_alarm_rate}")
    return math.ceil(1 / false_alarm_rate - ROUNDING) - 1


def check_enough(count: int, rate: float, source: str = "") -> None:
    """Raise ``ValueError`` where ``count`` normal observations are too few for this rate.

    Args:
        count: number of observations for the calibration.
        rate: false-alarm rate.
        source: what they are a part of, for the error message.
    """
    needed = needed_for(rate)
    if count < needed:
        part = f", {source}" if source else ""
        raise ValueError(
            f"a false-alarm rate of {rate:g} needs at least {needed} normal observations to "
            f"calibrate, got {count}{part}: give more of them, or raise false_alarm_rate"
        )


def conformal_threshold(scores: Array, rate: float) -> float:
    """Return the ceil((n + 1)(1 - rate))-th smallest of the scores of n normal observations.

    Raises:
        ValueError: there are too few scores for the rate, one is NaN, or the rate is not between
            0 and 1.
    """
    check_enough(len(scores), rate)
    if np.isnan(scores).any():
        raise ValueError(
            f"the scores of {np.isnan(scores).sum()} of {len(scores)} normal observations are NaN: "
            "drop them"
        )
    # A new normal score falls into each of the n + 1 gaps between n scores with equal
    # probability. An alarm is a score in one of the highest ``above`` gaps.
    above = math.floor((len(scores) + 1) * rate + ROUNDING)
    return float(np.sort(scores)[-above])
