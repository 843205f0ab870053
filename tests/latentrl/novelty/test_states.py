"""States of other bonuses, or of other latents, are refused with what was expected."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from latentrl.novelty import Bonus, ReconstructionGain, TokenCounts
from latentrl.types import LatentLayout
from tests.latentrl.novelty.cases import DIM, EVERY, QUICK, reaching, transitions, visited

STRANGE = {"strange": torch.zeros(3, 2)}
EACH = pytest.mark.parametrize("make", EVERY.values(), ids=EVERY)


@EACH
def test_a_strange_state_is_refused(make):
    with pytest.raises(ValueError, match=r"(expected|keeps no state).* got"):
        make().load_state_dict(STRANGE)


@EACH
def test_an_empty_state_is_refused_unless_it_is_that_of_a_new_bonus(make):
    bonus = make()
    if not bonus.state_dict():
        bonus.load_state_dict({})
        return
    if all(name.split(".")[0].isdigit() for name in bonus.state_dict()):
        return  # of a product or a sum, whose components decide
    with pytest.raises(ValueError, match=r"expected .*got"):
        bonus.load_state_dict({})


def test_a_bonus_may_pass_its_state_on_to_the_base_class():
    class Mine(Bonus):
        def score(self, transitions):
            return np.zeros(len(transitions.env_ids))

        def update(self, transitions):
            pass

        def state_dict(self):
            return {**super().state_dict(), "n": torch.tensor(3)}

        def load_state_dict(self, state):
            super().load_state_dict(state)
            self.n = int(state["n"])

    mine = Mine()
    mine.load_state_dict(mine.state_dict())
    assert mine.n == 3


@pytest.mark.parametrize("name", ["RND", "ICM", "TemporalDistance"])
def test_networks_for_other_latents_are_refused(name):
    bonus = QUICK[name]()
    bonus.load_state_dict(visited(QUICK[name], times=3).state_dict())
    with pytest.raises(ValueError, match=f"{name} expected .*, got .*: the state is that of other"):
        bonus.score(reaching(torch.zeros(2, DIM + 1)))


@pytest.mark.parametrize(
    ("make", "layout"),
    [(TokenCounts, LatentLayout((3, 2), 1)), (ReconstructionGain, LatentLayout((3, 1), 2))],
)
def test_tokens_of_other_latents_are_refused(make, layout):
    bonus = make(LatentLayout((2, 2), 1))
    bonus.step(transitions(0))
    with pytest.raises(ValueError, match=r"expected .*, got .*: it is that of other latents"):
        make(layout).load_state_dict(bonus.state_dict())
