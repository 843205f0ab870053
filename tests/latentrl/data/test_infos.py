"""Infos whose values have no common shape."""

from __future__ import annotations

import functools

import numpy as np
import pytest
from gymnasium.vector import AsyncVectorEnv, AutoresetMode, SyncVectorEnv

import latentrl as lrl
from latentrl.data.collect import collect
from latentrl.utils.workers import in_workers
from latentrl.wrappers.gymnasium_vecenv import GymnasiumVecEnv
from tests.helpers import Clock, FakeEncoder


class Visits(Clock):
    """A clock whose info has a list of places that grows, and values of more than one kind."""

    def reset(self, *, seed=None, options=None):
        return super().reset(seed=seed, options=options)[0], self._info()

    def step(self, action):
        return *super().step(action)[:4], self._info()

    def _info(self):
        places = np.arange(self.ident + self.time)
        mixed = None if self.time == 2 and self.ident else 0.5
        return {
            "places": places,
            "even": np.arange(2),
            "mixed": mixed,
            "deep": {"in": places},
            "score": self.ident / 2 if self.ident else 0,
            "first_a_dict": self.ident or {"at": self.time},
            "last_a_dict": {"at": self.time} if self.ident == 2 else 7.0,
        }


MAKERS = [functools.partial(Visits, ident) for ident in range(3)]
HOSTS = {
    "sync": lambda: SyncVectorEnv(MAKERS, autoreset_mode=AutoresetMode.SAME_STEP),
    "async": lambda: AsyncVectorEnv(MAKERS, autoreset_mode=AutoresetMode.SAME_STEP),
    "workers": lambda: in_workers(MAKERS, AutoresetMode.SAME_STEP),
}


@pytest.mark.parametrize("host", HOSTS)
def test_each_environment_keeps_its_values(host):
    venv = GymnasiumVecEnv(HOSTS[host]())
    venv.reset()
    for _ in range(2):
        *_, dones, infos = venv.step(np.zeros(3, int))
    assert not dones.any()
    for ident, info in enumerate(infos):
        assert info["places"].tolist() == info["deep"]["in"].tolist() == [*range(ident + 2)]
        assert info["even"].tolist() == [0, 1]
        assert info["mixed"] == (None if ident else 0.5)
        assert info["score"] == ident / 2
        assert info["first_a_dict"] == (ident or {"at": 2})
        assert info["last_a_dict"] == ({"at": 2} if ident == 2 else 7)
    *_, dones, _ = venv.step(np.zeros(3, int))
    assert dones.tolist() == [True, False, False]
    venv.close()


def test_values_of_one_shape_stay_one_array():
    envs = HOSTS["sync"]()
    GymnasiumVecEnv(envs)
    _, infos = envs.reset()
    assert infos["even"].shape == (3, 2)
    assert infos["places"].dtype == object


def test_frames_are_collected_and_latents_observed(tmp_path):
    assert len(collect(HOSTS["sync"](), 20, tmp_path, progress=False)) == 20
    envs = lrl.wrap(HOSTS["sync"](), FakeEncoder())
    envs.reset(seed=0)
    *_, infos = envs.step(np.zeros(3, int))
    assert [len(places) for places in infos["places"]] == [1, 2, 3]


def test_numbers_and_words_are_never_cut_off():
    envs = HOSTS["sync"]()
    GymnasiumVecEnv(envs)
    infos = {}
    for i, value in enumerate([1, 2**63, -1]):
        infos = envs._add_info(infos, {"count": value, "word": np.array(["ab" * 3**i])}, i)
    assert infos["count"].tolist() == [1, 2**63, -1]
    assert [word.item() for word in infos["word"]] == ["ab", "ab" * 3, "ab" * 9]
