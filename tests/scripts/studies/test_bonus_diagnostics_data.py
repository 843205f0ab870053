"""The states of KeyRooms that bonuses are tested on, and the same steps with a noisy TV and not."""

from __future__ import annotations

import numpy as np
import pytest

from envs.key_rooms import ACTIONS, COLUMNS, GOAL, PIXELS, SCREEN, KeyRooms
from scripts.studies.novelty.diagnostics_data import BATCH, VISITED, rooms
from scripts.studies.novelty.noisy_tv import SWITCH, compare, tv_effect
from tests.helpers import FakeEncoder
from tests.scripts.studies.diagnostics_cases import Toy, agent_cells


@pytest.fixture(scope="module")
def states():
    return rooms(FakeEncoder(), seed=0)


def at_right(steps):
    return np.isin(agent_cells(steps.next_observations)[:, 1], COLUMNS[1])


def test_the_states_are_split_by_their_rooms(states):
    assert len(states.visited) == VISITED
    assert VISITED % BATCH == 0
    assert not at_right(states.visited).any()
    assert not at_right(states.held_out).any()
    assert at_right(states.new).all()
    corners = states.new.observations[:, PIXELS // 2 :: PIXELS, PIXELS // 2 :: PIXELS]
    goals = np.argwhere((corners == GOAL).all(-1))[:, 1:]
    at_goal = (agent_cells(states.new.next_observations) == goals).all(1)
    assert at_goal.tolist() == [i < 4 for i in range(len(states.new))]
    frames = [
        frame.tobytes()
        for part in (states.visited, states.held_out, states.new)
        for frame in part.next_observations
    ]
    layouts, gap = 4, 1
    left, right = (6 * len(columns) + gap for columns in COLUMNS)
    assert len(set(frames)) == len(frames) == layouts * (3 * left + right)


def test_steps_into_rooms_are_moves(states):
    moves = {0: (-1, 0), 1: (1, 0), 2: (0, -1), 3: (0, 1)}
    for part in (states.visited, states.held_out, states.new):
        went = agent_cells(part.next_observations) - agent_cells(part.observations)
        assert went.tolist() == [list(moves[action]) for action in part.actions.tolist()]
        assert np.array_equal(part.next_latents, FakeEncoder().encode(part.next_observations))
        assert np.array_equal(part.latents, FakeEncoder().encode(part.observations))


def test_the_split_depends_on_the_seed(states):
    again, other = rooms(FakeEncoder(), seed=0), rooms(FakeEncoder(), seed=1)
    assert np.array_equal(states.visited.next_observations, again.visited.next_observations)
    known = {frame.tobytes() for frame in states.visited.next_observations}
    assert 0 < len(known & {frame.tobytes() for frame in other.visited.next_observations}) < VISITED


# Noisy TV


class Screen(Toy):
    """1 where the image on the screen changes, for ``steps`` steps, and then 1 for all."""

    def __init__(self, steps):
        super().__init__(None)
        self.steps = steps

    def score(self, transitions):
        if not self.steps:
            return np.ones(len(transitions), np.float32)
        before, after = (
            frames[:, SCREEN[0], SCREEN[1]]
            for frames in (transitions.observations, transitions.next_observations)
        )
        return (before != after).any((1, 2, 3)).astype(np.float32)

    def update(self, transitions):
        self.steps = max(0, self.steps - 1)


def test_fractions_of_a_noisy_tv():
    """64 steps are an episode, so that the last tenth of 100 lies within the second."""
    make = [
        lambda: Screen(200),
        lambda: Screen(80),
        lambda: Toy(lambda *_: 2),
        lambda: Toy(lambda *_: 0),
    ]
    on, off = ([each() for each in make] for _ in range(2))
    fractions, means = compare(on, off, FakeEncoder(), FakeEncoder(), 100 * BATCH, seed=3)
    actions = np.random.default_rng(3).integers(len(ACTIONS), size=(100, BATCH))
    chance = (actions[-10:] == SWITCH).mean()
    assert fractions[:, 0].tolist() == [1, 0], "switching earns all of a bonus for new images"
    assert fractions[:, 1:3].ravel().tolist() == pytest.approx([chance] * 4), "the last tenth alone"
    assert fractions[:, 3].tolist() == [0, 0]
    assert means.T.ravel().tolist() == pytest.approx([chance, 0, 1, 1, 2, 2, 0, 0])


def test_both_kinds_of_bonuses_get_the_same_steps_with_the_tv_on_and_off():
    class Witness(Toy):
        def reset(self, env_ids, observations, latents):
            self.frames, self.latents = observations.copy(), latents.copy()

        def score(self, transitions):
            self.last = transitions.next_observations.copy()
            assert np.array_equal(transitions.observations, self.frames)
            assert np.array_equal(transitions.next_latents, FakeEncoder().encode(self.last))
            return np.zeros(len(transitions), np.float32)

    on, off = Witness(lambda *_: 0), Witness(lambda *_: 0)
    compare([on], [off], FakeEncoder(), FakeEncoder(), BATCH, seed=5)
    for noisy, witness in ((True, on), (False, off)):
        first = np.stack([KeyRooms(noisy_tv=noisy).reset(seed=5 + i)[0] for i in range(BATCH)])
        assert np.array_equal(witness.frames, first)
        assert np.array_equal(witness.latents, FakeEncoder().encode(first))
    outside = np.ones(on.last.shape, bool)
    outside[:, SCREEN[0], SCREEN[1]] = False
    assert np.array_equal(on.last[outside], off.last[outside])
    assert not np.array_equal(on.last, on.frames)


def test_the_effect_of_a_tv_is_the_larger_increase():
    fractions = np.array([[0.5, 0.2, 0.0], [0.1, 0.2, 0.0]])
    means = np.array([[2.0, 4.0, 0.0], [3.0, 1.0, 0.0]])
    assert tv_effect(fractions, means).tolist() == pytest.approx([0.4, 0.75, 0])
