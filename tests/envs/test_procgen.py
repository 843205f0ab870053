from __future__ import annotations

import numpy as np
import pytest
from gymnasium.spaces import Box, Discrete

from envs import FAMILIES, Environment, family_of, make_env, make_vector
from envs.procgen import GAMES

COIN_RUN = Environment("CoinrunEasy-v0")


@pytest.fixture
def vector():
    pytest.importorskip("envpool.procgen.procgen_envpool", exc_type=ImportError)
    made = make_vector(COIN_RUN, 2, seed=3)
    yield made
    made.close()


def test_images_are_channels_last(vector):
    assert vector.single_observation_space == Box(0, 255, (64, 64, 3), np.uint8)
    assert vector.single_action_space == Discrete(15)
    assert vector.spec is None
    frames, _ = vector.reset(seed=3)
    assert frames in vector.observation_space
    assert vector.step(np.zeros(2, int))[0] in vector.observation_space


def test_every_id_of_envpool_is_of_the_family():
    envpool = pytest.importorskip("envpool")
    beginnings = tuple(f"{game}{mode}" for game in GAMES for mode in ("Easy-", "Hard-"))
    ids = [env_id for env_id in envpool.list_all_envs() if env_id.startswith(beginnings)]
    assert len(ids) == 2 * len(GAMES)
    for env_id in (*ids, "CaveflyerMemory-v0", "JumperExploration-v0", "ChaserExtreme-v0"):
        assert family_of(env_id) is FAMILIES["procgen"]
        assert family_of(env_id).envpool.refusal(env_id) is None


def test_gymnasium_has_no_procgen():
    message = (
        "CoinrunEasy-v0 exists in EnvPool alone, as a vector environment without episode seeds: "
        r"use make_vector with backend 'envpool' \(--backend envpool\)"
    )
    with pytest.raises(ValueError, match=message):
        make_env(COIN_RUN)
    with pytest.raises(ValueError, match=message):
        make_vector(COIN_RUN, 1, backend="gymnasium")
    with pytest.raises(ValueError, match=message):
        make_vector(COIN_RUN, 1, episode_seeds=[[1]])


def test_envpool_is_missing(monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    message = r"CoinrunEasy-v0 on EnvPool needs the package: pip install 'latentrl\[fast\]'$"
    with pytest.raises(ValueError, match=message):
        make_vector(COIN_RUN, 1)


def test_rendered_images_and_unknown_levels():
    pytest.importorskip("envpool")
    with pytest.raises(ValueError, match=r"cannot serve CoinrunEasy-v0: it renders no images$"):
        make_vector(Environment(COIN_RUN.id, render_size=32), 1)
    with pytest.raises(ValueError, match="cannot serve CoinrunExtreme-v0: it has no environment"):
        make_vector(Environment("CoinrunExtreme-v0"), 1)
