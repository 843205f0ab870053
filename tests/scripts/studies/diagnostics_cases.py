"""What the tests of the bonus diagnostics share: toy bonuses whose scores are known."""

from __future__ import annotations

import cv2
import numpy as np

from envs.key_rooms import AGENT, PIXELS
from latentrl.novelty import Bonus
from latentrl.types import Transitions


class Toy(Bonus):
    """Bonus that is a function of the frames and of the lifelong count of each latent."""

    def __init__(self, function):
        self.function, self.counts, self.calls = function, {}, []

    def reset(self, env_ids, observations, latents):
        self.calls.append("reset")

    def score(self, transitions):
        self.calls.append("score")
        counts = [self.counts.get(latent.tobytes(), 0) + 1.0 for latent in transitions.next_latents]
        scores = np.float32(self.function(transitions.next_observations, np.array(counts)))
        return np.broadcast_to(scores, (len(transitions),))

    def update(self, transitions):
        self.calls.append("update")
        for latent in transitions.next_latents:
            self.counts[latent.tobytes()] = self.counts.get(latent.tobytes(), 0) + 1


def png_size(frames, counts=None):
    return np.array([len(cv2.imencode(".png", frame)[1]) for frame in frames])


def bright(frames, counts=None):
    return frames.mean((1, 2, 3))


def between(before, latents, after, next_latents):
    """Build transitions of one environment each."""
    count = len(after)
    ids, never = np.arange(count), np.zeros(count, bool)
    actions = np.zeros(count, int)
    return Transitions(ids, before, latents, actions, after, next_latents, never, never)


def agent_cells(frames):
    """Find the agent by its colour, at a pixel that no key in its hand hides."""
    corners = frames[:, PIXELS - 2 :: PIXELS, 2::PIXELS]
    found = np.argwhere((corners == AGENT).all(-1))
    assert found[:, 0].tolist() == list(range(len(frames)))
    return found[:, 1:]
