"""The place of an environment's error is that of its own code."""

from __future__ import annotations

import gymnasium as gym
import numpy as np
import pytest

from latentrl.utils.environments import raised


def test_an_environment_of_gymnasium_has_code_of_its_own():
    env = gym.make("CartPole-v1").unwrapped
    with pytest.raises(AssertionError) as caught:
        env.step(9)
    assert raised(caught.value).startswith("AssertionError in cartpole.py, line ")


def test_code_without_a_file_counts():
    code = compile("import numpy\nnumpy.zeros(-1)", "<ipython-input-1>", "exec")
    with pytest.raises(ValueError, match="negative") as caught:
        exec(code)
    assert raised(caught.value).startswith("ValueError in <ipython-input-1>, line 2: negative")


def test_packages_are_left_out():
    with pytest.raises(ValueError, match="stack") as caught:
        np.stack([])
    assert raised(caught.value).startswith("ValueError in test_environments.py, line ")
