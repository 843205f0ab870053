"""JSON to typed values: what a file holds is checked against annotations before it is used."""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import sys
import types
from collections.abc import Callable, Mapping, Sequence, Sized
from dataclasses import dataclass
from numbers import Integral, Real
from typing import Annotated, Any, Literal, Union, get_args, get_origin, get_type_hints

from latentrl.types import shorten


@dataclass(frozen=True)
class Between:
    """Range of a number: ``Annotated[int, Between(1, 64)]``."""

    low: float
    """Smallest value."""
    high: float
    """Largest value."""


@dataclass(frozen=True)
class Items:
    """Range of the length of a sequence: ``Annotated[Sequence[int], Items(1, 100)]``."""

    least: int
    """Smallest length."""
    most: int
    """Largest length."""


Units = Annotated[int, Between(1, 2**20)]
"""Number of units, channels or pixels in one layer of a network."""
Layers = Annotated[Sequence[Units], Items(0, 100)]
"""Units of several layers."""


def decode(annotation: Any, value: Any, where: str) -> Any:
    """Return ``value``, from JSON, as the type that ``annotation`` describes.

    Mappings become the dataclass, and lists the tuple, that the annotation names. Values of other
    annotations than those below are returned unchecked.

    Args:
        annotation: a dataclass, bool, int, float, str or None, or Annotated (with ``Between`` or
            ``Items``), Literal, Mapping, Sequence, tuple or a union of such.
        value: what JSON holds: dicts, lists, strings, numbers, booleans and None.
        where: subject of the error message, such as ``"latent_dim of a model's config"``.

    Raises:
        ValueError: the value is of another type or out of range, or a field of a dataclass is
            missing or unknown.
    """
    origin = get_origin(annotation) or annotation
    arguments = get_args(annotation)
    if origin is Annotated:
        return _decode_limited(arguments, value, where)
    if origin in (Union, types.UnionType):
        return _decode_union(arguments, value, where)
    if isinstance(origin, type) and dataclasses.is_dataclass(origin):
        # A caller in Python may give the dataclass itself where a file has a mapping.
        return value if isinstance(value, origin) else _decode_fields(origin, value, where)
    if origin in CONTAINERS:
        return CONTAINERS[origin](arguments, value, where)
    if not _fits(origin, arguments, value):
        raise ValueError(f"{where} is {_describe(annotation)}, got {shorten(value)}")
    return value


def hints_of(function: Callable[..., Any]) -> dict[str, Any]:
    """Return the annotations of a function's or a constructor's parameters, by name.

    There are none where one of them cannot be evaluated, as an import for type checkers alone.
    """
    try:
        return get_type_hints(
            function.__init__ if isinstance(function, type) else function,  # type: ignore[misc]
            include_extras=True,
        )
    except (NameError, AttributeError, TypeError):
        return {}


def _fits(kind: Any, arguments: tuple[Any, ...], value: Any) -> bool:
    if kind is Literal:
        # Compared with their types, because 1 == True.
        return any(type(value) is type(known) and value == known for known in arguments)
    if kind is int:
        return isinstance(value, Integral) and not isinstance(value, bool)
    if kind is float:
        return isinstance(value, Real) and not isinstance(value, bool) and _is_float(value)
    if kind in (bool, str):
        return isinstance(value, kind)
    return value is None if kind in (None, types.NoneType) else True


def _is_float(value: Any) -> bool:
    # NaN differs from itself; a whole number of JSON can be too large for a float.
    return bool(value == value) and not (
        isinstance(value, Integral) and abs(int(value)) > sys.float_info.max
    )


def _decode_limited(arguments: tuple[Any, ...], value: Any, where: str) -> Any:
    kind, *limits = arguments
    # The length first: a list of a million items is refused before its items are looked at.
    for limit in limits:
        if isinstance(limit, Items) and isinstance(value, Sized):
            _check_length(len(value), limit, where)
    decoded = decode(kind, value, where)
    for limit in limits:
        if isinstance(limit, Between) and not limit.low <= decoded <= limit.high:
            raise ValueError(
                f"{where} lies between {limit.low:,} and {limit.high:,}, got {shorten(value)}"
            )
    return decoded


def _check_length(length: int, limit: Items, where: str) -> None:
    if not limit.least <= length <= limit.most:
        raise ValueError(
            f"{where} has between {limit.least} and {limit.most} items, got {length:,}"
        )


def _decode_union(kinds: tuple[Any, ...], value: Any, where: str) -> Any:
    others = [kind for kind in kinds if kind is not types.NoneType]
    if value is None and len(others) < len(kinds):
        return None
    if len(others) == 1:
        return decode(others[0], value, where)
    for kind in others:
        with contextlib.suppress(ValueError):
            return decode(kind, value, where)
    names = " or ".join(map(_describe, kinds))
    raise ValueError(f"{where} is {names}, got {shorten(value)}")


def _decode_fields(kind: Any, value: Any, where: str) -> Any:
    given = _decode_mapping((str, Any), value, where)
    fields = {field.name: field for field in dataclasses.fields(kind) if field.init}
    check_names(given, fields, where)
    missing = [name for name, field in fields.items() if _is_required(field) and name not in given]
    if missing:
        raise ValueError(f"{where} lacks {missing[0]!r}")
    hints = _hints_of_fields(kind)
    return kind(
        **{name: decode(hints[name], item, f"{name} of {where}") for name, item in given.items()}
    )


def check_names(given: Mapping[str, Any], known: Mapping[str, Any], where: str) -> None:
    """Raise ``ValueError`` where ``given`` has a name that ``known`` lacks; it lists the names."""
    unknown = sorted(given.keys() - known.keys())
    if unknown:
        raise ValueError(
            f"unknown field {unknown[0]!r} in {where}; known: {', '.join(sorted(known))}"
        )


@functools.cache
def _hints_of_fields(kind: type) -> dict[str, Any]:
    return get_type_hints(kind, include_extras=True)


def _is_required(field: dataclasses.Field[Any]) -> bool:
    return field.default is field.default_factory is dataclasses.MISSING


def _decode_mapping(arguments: tuple[Any, ...], value: Any, where: str) -> dict[str, Any]:
    if not isinstance(value, Mapping) or any(not isinstance(key, str) for key in value):
        raise ValueError(f"{where} is a mapping with names as keys, got {shorten(value)}")
    kind = arguments[1] if arguments else Any
    return {key: decode(kind, item, f"{key!r} of {where}") for key, item in value.items()}


def _decode_sequence(arguments: tuple[Any, ...], value: Any, where: str) -> Sequence[Any]:
    _check_list(value, where)
    kind = arguments[0] if arguments else Any
    items = [decode(kind, item, f"item {k} of {where}") for k, item in enumerate(value)]
    return tuple(items) if isinstance(value, tuple) else items


def _decode_tuple(arguments: tuple[Any, ...], value: Any, where: str) -> tuple[Any, ...]:
    _check_list(value, where)
    if not arguments or arguments[-1] is ...:
        return tuple(_decode_sequence(arguments, value, where))
    if len(value) != len(arguments):
        raise ValueError(f"{where} has {len(arguments)} items, got {shorten(value)}")
    kinds = enumerate(zip(arguments, value, strict=True))
    return tuple(decode(kind, item, f"item {k} of {where}") for k, (kind, item) in kinds)


def _check_list(value: Any, where: str) -> None:
    if not isinstance(value, Sequence) or isinstance(value, str | bytes):
        raise ValueError(f"{where} is a list, got {shorten(value)}")


def _describe(annotation: Any) -> str:
    if get_origin(annotation) is Annotated:
        return _describe(get_args(annotation)[0])
    if get_origin(annotation) is Literal:
        return f"one of {', '.join(map(repr, get_args(annotation)))}"
    return DESCRIPTIONS.get(get_origin(annotation) or annotation, str(annotation))


CONTAINERS: dict[Any, Callable[[tuple[Any, ...], Any, str], Any]] = {
    Mapping: _decode_mapping,
    dict: _decode_mapping,
    Sequence: _decode_sequence,
    list: _decode_sequence,
    tuple: _decode_tuple,
}
DESCRIPTIONS: dict[Any, str] = {
    bool: "true or false",
    int: "a whole number",
    float: "a number",
    str: "a string",
    types.NoneType: "null",
    **dict.fromkeys((Mapping, dict), "a mapping"),
    **dict.fromkeys((Sequence, list, tuple), "a list"),
}
