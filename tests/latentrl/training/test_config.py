"""FitConfig refuses values without a meaning."""

from __future__ import annotations

from typing import Any

import pytest

import latentrl as lrl


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"epochs": 0}, "epochs must be at least 1, got 0"),
        ({"batch_size": 0}, "batch_size must be at least 1, got 0"),
        ({"steps": 0}, "steps must be at least 1 or None, got 0"),
        ({"patience": 0}, "patience must be at least 1 or None, got 0"),
        ({"learning_rate": 0.0}, r"learning_rate must be positive, got 0\.0"),
        ({"learning_rate": float("nan")}, "learning_rate must be positive, got nan"),
        ({"gradient_clip": 0.0}, r"gradient_clip must be positive or None, got 0\.0"),
        ({"schedule": "linear"}, "unknown schedule 'linear'; known: cosine, constant"),
        ({"precision": "bf16"}, "unknown precision 'bf16'; known: auto, bfloat16, float32"),
    ],
)
def test_config_is_checked(wrong: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        lrl.FitConfig(**wrong)
