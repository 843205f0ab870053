"""Misbehaving environments: one host and algorithm for each kind, and the judgement itself."""

from __future__ import annotations

import time

import pytest

from scripts.studies.reliability.misbehaving import ALGORITHMS, HOSTS, KINDS, Kind, outcome
from scripts.studies.reliability.strange.kinds import IN_PROCESS, Ordinary

SLOW = [name for name in KINDS if name.startswith("Hangs")] + [
    "WrappedAndSpawned",
    "WrappedInServer",
]


def quick_host(name: str) -> str:
    """A host of the kind: one of those without processes, in turn, where it has any."""
    hosts = [host for host in IN_PROCESS if host in KINDS[name].hosts] or KINDS[name].hosts
    return hosts[list(KINDS).index(name) % len(hosts)]


def kind_of(make: type, refused: str = "", **changes: object) -> Kind:
    """A kind that is not among ``KINDS``."""
    usual = {
        "refused_by": ("collect", "agent"),
        "works": not refused,
        "warns": "",
        "own_error": False,
        "hosts": HOSTS,
        "collected": None,
        "learned": None,
        "vector": None,
        "key": None,
        "length": Ordinary.length,
    }
    return Kind(make.__name__, make, refused, **{**usual, **changes})


def test_there_are_kinds_for_every_host() -> None:
    assert len(KINDS) >= 100
    assert all(any(host in kind.hosts for kind in KINDS.values()) for host in HOSTS)
    assert all(kind.summary and set(kind.hosts) <= set(HOSTS) for kind in KINDS.values())


@pytest.mark.parametrize(
    "name",
    [
        pytest.param(name, marks=() if k % 3 == 0 else pytest.mark.slow)
        for k, name in enumerate(name for name in KINDS if name not in SLOW)
    ],
)
def test_every_kind_ends_as_it_should(name: str) -> None:
    algorithm = sorted(ALGORITHMS)[list(KINDS).index(name) % 2]
    result = outcome(KINDS[name], quick_host(name), algorithm)
    assert result.right, result.message


@pytest.mark.slow
@pytest.mark.parametrize("name", SLOW)
def test_every_slow_kind_ends_as_it_should(name: str) -> None:
    result = outcome(KINDS[name], quick_host(name), "ppo")
    assert result.right, result.message


class Sleeps(Ordinary):
    def reset(self, **options: object) -> tuple[object, dict[str, object]]:
        time.sleep(100)
        return super().reset(**options)


class Raises(Ordinary):
    def reward(self) -> float:
        raise RuntimeError("no fuel")


class NeverMade(Ordinary):
    def __init__(self) -> None:
        raise RuntimeError("no fuel")


@pytest.mark.parametrize(
    ("kind", "wrong"),
    [
        (kind_of(Ordinary, refused="space"), "collect accepted it; agent accepted it"),
        (kind_of(Raises), "collect failed; agent failed"),
        (kind_of(Raises, refused="no food", own_error=True), "another message than 'no food'"),
        (kind_of(NeverMade, refused="no fuel"), "a type that is no user's mistake"),
        (kind_of(Ordinary, warns="colour"), "collect did not warn"),
        (kind_of(Ordinary, collected=lambda frames: False), "collected frames are not those"),
        (kind_of(Ordinary, learned=lambda agent: False), "agent is not what it should be"),
        (kind_of(Ordinary, length=5), "episodes of [6, 6] timesteps in place of 5"),
    ],
)
def test_wrong_outcomes_are_found(kind: Kind, wrong: str) -> None:
    result = outcome(kind, "env", "ppo")
    assert not result.right
    assert wrong in result.message


def test_a_job_that_hangs_is_wrong() -> None:
    result = outcome(kind_of(Sleeps), "env", "ppo", seconds=0.5)
    assert not result.right
    assert result.message == "no result after 0.5 s ()"
