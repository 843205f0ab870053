"""Environments that fail in the middle of a training."""

from __future__ import annotations

import os

from envs.pixel_reach import PixelReach


class Failing(PixelReach):
    """Works for ``LAST`` steps, counted over all episodes."""

    LAST = 40

    def __init__(self, render_mode=None):
        super().__init__(render_mode=render_mode)
        self.taken = 0

    def step(self, action):
        self.taken += 1
        observation, reward, terminated, truncated, info = super().step(action)
        if self.taken > self.LAST:
            reward = self.fail(reward)
        return observation, reward, terminated, truncated or self.taken % 20 == 0, info

    def fail(self, reward):
        raise NotImplementedError


class NanReward(Failing):
    def fail(self, reward):
        return float("nan")


class InfiniteReward(Failing):
    def fail(self, reward):
        return float("-inf")


class Raising(Failing):
    def fail(self, reward):
        raise RuntimeError("the simulator is 100% broken")


class Dying(Failing):
    def fail(self, reward):
        os._exit(3)


class Still(PixelReach):
    """Shows a black screen."""

    def reset(self, *, seed=None, options=None):
        observation, info = super().reset(seed=seed, options=options)
        return observation * 0, info

    def step(self, action):
        observation, *rest = super().step(action)
        return observation * 0, *rest
