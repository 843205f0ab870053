"""What a noisy TV in KeyRooms adds to a bonus: the same steps with the TV on and off."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from envs import Environment, make_vector
from envs.key_rooms import ACTIONS, OFF, SCREEN
from latentrl import wrap
from latentrl.novelty import Bonus
from latentrl.types import Array, Encoder, Transitions
from scripts.studies.novelty.diagnostics_data import BATCH, NOISY_TV

SWITCH = ACTIONS.index("switch")


class Comparison(Bonus):
    """Steps bonuses on frames with the TV on, and others on the same frames with it off.

    Its own score is 0.
    """

    def __init__(self, on: Sequence[Bonus], off: Sequence[Bonus], quiet: Encoder) -> None:
        """Compare bonuses ``on`` and ``off``, in the same order.

        Args:
            on: bonuses for frames with the TV on.
            off: the same bonuses for frames with it off.
            quiet: encoder of frames with it off.
        """
        self.on, self.off, self.quiet = on, off, quiet
        self.scores: list[Array] = []
        """Scores of each step, ``(2, bonuses, B)``."""

    def reset(self, env_ids: Array, observations: Array, latents: Array) -> None:
        """Start episodes in all bonuses."""
        for bonus in self.on:
            bonus.reset(env_ids, observations, latents)
        dark = self._switched_off(observations)
        for bonus in self.off:
            bonus.reset(env_ids, *dark)

    def score(self, transitions: Transitions) -> Array:
        """Return 0 for each transition."""
        return np.zeros(len(transitions), np.float32)

    def update(self, transitions: Transitions) -> None:
        """Step all bonuses, and keep their scores."""
        dark = Transitions(
            transitions.env_ids,
            *self._switched_off(transitions.observations),
            transitions.actions,
            *self._switched_off(transitions.next_observations),
            *(transitions.terminated, transitions.truncated),
        )
        on = [bonus.step(transitions) for bonus in self.on]
        self.scores.append(np.array([on, [bonus.step(dark) for bonus in self.off]]))

    def _switched_off(self, observations: Array) -> tuple[Array, Array]:
        """Return the frames with the TV off, and their latents."""
        dark = observations.copy()
        dark[:, SCREEN[0], SCREEN[1]] = OFF
        return dark, self.quiet.encode(dark)


def compare(
    on: Sequence[Bonus],
    off: Sequence[Bonus],
    noisy: Encoder,
    quiet: Encoder,
    frames: int,
    seed: int,
) -> tuple[Array, Array]:
    """Step bonuses on random actions in rooms with a noisy TV.

    Args:
        on: bonuses for frames with the TV on.
        off: the same bonuses for frames with it off; nothing else differs.
        noisy: encoder of the former.
        quiet: encoder of the latter.
        frames: number of frames, over all environments.
        seed: of environments and actions.

    Returns: Over the last tenth of the frames, ``(2, bonuses)`` each: the fraction of the bonus
        that the action ``switch`` earns, 0 where there is no bonus; and the mean bonus per step.
    """
    comparison, rng = Comparison(on, off, quiet), np.random.default_rng(seed)
    envs = wrap(make_vector(Environment(NOISY_TV), BATCH), noisy, novelty=comparison)
    envs.reset(seed=seed)
    actions = rng.integers(len(ACTIONS), size=(frames // BATCH, BATCH))
    for chosen in actions:
        envs.step(chosen)
    envs.close()
    last = -len(actions) // 10
    scores = np.array(comparison.scores[last:])
    switched = scores * (actions[last:, None, None] == SWITCH)
    total, by_switch = scores.sum((0, 3)), switched.sum((0, 3))
    fractions = np.divide(by_switch, total, out=np.zeros_like(total), where=total > 0)
    return fractions, scores.mean((0, 3))


def tv_effect(fractions: Array, means: Array) -> Array:
    """Return the effect of the TV on each bonus, ``(bonuses,)``.

    It is the increase of the fraction that ``switch`` earns, or, because the image stays on the
    screen, the relative increase of the whole bonus: whichever is larger.

    Args:
        fractions: ``(2, bonuses)`` with the TV on and off.
        means: mean bonuses per step, ``(2, bonuses)``.
    """
    on, off = means
    increase = np.divide(on - off, on, out=np.zeros_like(on), where=on > 0)
    effect: Array = np.maximum(fractions[0] - fractions[1], increase)
    return effect
