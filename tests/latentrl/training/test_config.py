"""FitConfig refuses values without a meaning."""

from __future__ import annotations

from typing import Any

import pytest

import latentrl as lrl


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"epochs": 0}, "epochs must be a whole number of at least 1, got 0"),
        ({"batch_size": 0}, "batch_size must be a whole number of at least 1, got 0"),
        ({"steps": -1}, "steps must be a whole number of at least 0, got -1"),
        ({"patience": 0}, "patience must be a whole number of at least 1, got 0"),
        ({"steps": 1.5}, r"steps must be a whole number of at least 0, got 1\.5"),
        ({"steps": "10"}, "steps must be a whole number of at least 0, got '10'"),
        ({"batch_size": None}, "batch_size must be a whole number of at least 1, got None"),
        ({"batch_size": True}, "batch_size must be a whole number of at least 1, got True"),
        ({"seed": -1}, "seed must be a whole number of at least 0, got -1"),
        ({"learning_rate": 0.0}, r"learning_rate must be positive, got 0\.0"),
        ({"learning_rate": float("nan")}, "learning_rate must be positive, got nan"),
        ({"gradient_clip": 0.0}, r"gradient_clip must be positive or None, got 0\.0"),
        ({"validation": 1.5}, r"validation is a fraction between 0 and 1, got 1\.5"),
        ({"schedule": "linear"}, "unknown schedule 'linear'; known: cosine, constant"),
        ({"precision": "bf16"}, "unknown precision 'bf16'; known: auto, bfloat16, float32"),
    ],
)
def test_config_is_checked(wrong: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        lrl.FitConfig(**wrong)


def test_few_frames_get_many_epochs() -> None:
    config = lrl.FitConfig()
    assert config.total_steps(556) == 1500  # 5 steps per epoch
    assert config.total_steps(100_000) == 8 * 782
    assert lrl.FitConfig(epochs=3).total_steps(556) == 15
    assert lrl.FitConfig(epochs=3, steps=7).total_steps(556) == 7
    assert lrl.FitConfig(steps=0).total_steps(556) == 0


@pytest.mark.parametrize(
    ("changes", "frames", "interval"),
    [
        ({}, 556, 50),  # epochs of 5 steps
        ({}, 12_000, 94),  # an epoch is longer
        ({"epochs": 8}, 556, 5),  # 40 steps in all
        ({"epochs": 60}, 556, 15),
        ({"steps": 3}, 556, 5),
        ({"batch_size": 1}, 3, 51),
    ],
)
def test_short_epochs_are_not_validated_each(
    changes: dict[str, Any], frames: int, interval: int
) -> None:
    assert lrl.FitConfig(**changes).validation_interval(frames) == interval
