"""Comparison of the settings of a saved run with those of a call that resumes it."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any


def check_same_settings(
    saved: Mapping[str, Any],
    given: Mapping[str, Any],
    what: str,
    remedy: str,
    ignored: Collection[str] = (),
) -> None:
    """Check that nested settings are equal, with tuples equal to lists as in JSON.

    Args:
        saved: settings of the run or store on disk.
        given: settings of the call.
        what: subject of the error message, such as ``"the run in runs/a"``.
        remedy: what the user can do; the end of the error message.
        ignored: top-level names that may differ.

    Raises:
        ValueError: a setting differs; the message names it and both values.
    """
    before = flatten(saved)
    after = flatten(given)
    for key in sorted(before.keys() | after.keys()):
        if key.split(".")[0] not in ignored and before.get(key) != after.get(key):
            raise ValueError(
                f"{what} has {key}={before.get(key)}, the call has {key}={after.get(key)}: {remedy}"
            )


def with_saved(
    call: Mapping[str, Any],
    saved: Mapping[str, Any],
    defaults: Mapping[str, Any],
    given: Collection[str] = (),
) -> dict[str, Any]:
    """Return the settings of a call, with the saved ones where it gives none.

    Args:
        call: settings of the call.
        saved: settings of the run that it resumes.
        defaults: settings of a call that gives none. A default counts as not given.
        given: names that the call gives even where they have their default. A None still counts as
            not given: it leaves the setting to the run.
    """
    return {
        name: saved[name]
        if value == defaults[name] and (value is None or name not in given)
        else value
        for name, value in call.items()
    }


def flatten(tree: Any, prefix: str = "") -> dict[str, Any]:
    """Flatten nested mappings to one with dotted names; tuples become lists."""
    if not isinstance(tree, Mapping):
        return {prefix.rstrip("."): list(tree) if isinstance(tree, tuple) else tree}
    return {
        key: value
        for name, item in tree.items()
        for key, value in flatten(item, f"{prefix}{name}.").items()
    }
