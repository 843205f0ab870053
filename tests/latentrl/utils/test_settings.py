"""Settings are compared name by name, and the message names the one that differs."""

from __future__ import annotations

from typing import Any

import pytest

from latentrl.utils.settings import check_same_settings, flatten, with_saved

SAVED: dict[str, Any] = {"env": "CartPole-v1", "net": {"hidden": [64, 64], "act": None}, "seed": 0}


def check(given: dict[str, Any], *ignored: str) -> None:
    check_same_settings(SAVED, given, "the run in runs/a", "use another --out", ignored)


def test_nested_settings_get_dotted_names() -> None:
    assert flatten(SAVED) == {
        "env": "CartPole-v1",
        "net.hidden": [64, 64],
        "net.act": None,
        "seed": 0,
    }
    assert flatten({}) == {}
    assert flatten({"a": {"b": {"c": (1, 2)}}}) == {"a.b.c": [1, 2]}


def test_equal_settings_pass() -> None:
    check(SAVED)
    check({**SAVED, "net": {"act": None, "hidden": (64, 64)}})


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"env": "Pendulum-v1"}, "has env=CartPole-v1, the call has env=Pendulum-v1"),
        ({"net": {"hidden": [64]}}, r"has net.hidden=\[64, 64\], the call has net.hidden=\[64\]"),
        ({"seed": 1, "net": SAVED["net"]}, "has seed=0, the call has seed=1"),
        ({"size": 3}, "has size=None, the call has size=3"),
        ({"net": 5}, "has net=None, the call has net=5"),
    ],
)
def test_a_setting_that_differs_is_named(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=f"^the run in runs/a {message}: use another --out$"):
        check({**SAVED, **changes})


def test_a_setting_that_is_missing_is_named() -> None:
    with pytest.raises(ValueError, match="has seed=0, the call has seed=None"):
        check({name: value for name, value in SAVED.items() if name != "seed"})


def test_ignored_settings_may_differ() -> None:
    check({**SAVED, "seed": 1, "net": {"hidden": [1]}}, "seed", "net")
    with pytest.raises(ValueError, match=r"net\.hidden"):
        check({**SAVED, "seed": 1, "net": {"hidden": [1]}}, "seed")


def test_a_default_is_a_setting_only_where_it_is_given() -> None:
    saved = {"size": 7, "rate": 0.5, "name": "a", "deep": True}
    defaults = {"size": None, "rate": 0.1, "name": "b", "deep": False}
    assert with_saved({**defaults, "name": "c"}, saved, defaults) == {**saved, "name": "c"}
    found = with_saved(defaults, saved, defaults, given=("size", "rate", "deep"))
    assert found == {"size": 7, "rate": 0.1, "name": "a", "deep": False}
