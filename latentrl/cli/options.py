"""Words such as ``weight=0.5`` as arguments of a model function."""

from __future__ import annotations

import inspect
import math
from collections.abc import Iterator, Mapping, Sequence
from types import UnionType
from typing import Any, Literal, Union, get_args, get_origin

import yaml
from gymnasium import spaces

from latentrl.models import MODELS
from latentrl.models.builder import arguments
from latentrl.models.config import Spec

FLAGS = {"latent_dim": "--latent-dim", "preprocessing": "--size and --crop"}
"""Arguments that have flags of their own."""
KINDS: dict[Any, tuple[str, tuple[type, ...]]] = {
    float: ("a number", (float, int)),
    int: ("a whole number", (int,)),
    bool: ("true or false", (bool,)),
    str: ("a name", (str,)),
    type(None): ("null", (type(None),)),
    Mapping: ("a mapping such as {name: mlp}", (dict,)),
    Sequence: ("a list", (list,)),
}
"""Values that each annotation allows, in words and as types."""


def parse_options(model: str, words: Sequence[str]) -> dict[str, Any]:
    """Read options of the function called ``model`` from words ``name=value``, values in YAML.

    Raises:
        ValueError: the model is unknown, or a word has no ``=``, comes twice, has a flag of its
            own, or is of the wrong kind. Unknown names pass: the model function lists the valid
            ones.
    """
    options: dict[str, Any] = {}
    for word in words:
        name, separator, text = word.partition("=")
        name = name.strip().replace("-", "_")
        if not separator or not name:
            raise ValueError(f"expected --option NAME=VALUE, got {word!r}")
        if name in FLAGS:
            raise ValueError(f"{name} has a flag of its own: {FLAGS[name]}")
        if name in options:
            raise ValueError(f"option {name!r} is given twice")
        options[name] = parse_value(text)
    _check_kinds(model, options)
    return options


def has_argument(model: str, name: str) -> bool:
    """Return whether the function called ``model`` has an argument called ``name``."""
    return name in arguments(model)


def default_latent_dim(model: str, space: spaces.Box | None = None) -> int:
    """Return a model's default latent size, at most half the values of an observation."""
    own: int = inspect.signature(MODELS[model]).parameters["latent_dim"].default
    return own if space is None else max(1, min(own, math.prod(space.shape) // 2))


def parse_value(text: str) -> Any:
    """Read a flag's value as YAML: a number, a word, a list or a mapping.

    Raises:
        ValueError: the text is not YAML.
    """
    try:
        value = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise ValueError(f"{text!r} is not YAML: {' '.join(str(error).split())}") from error
    return _numbers(value)


def parse_specs(text: str) -> list[Spec]:
    """Read specs of parts of a model as YAML: a name, a mapping such as {name: blur}, or a list.

    Raises:
        ValueError: the text is not YAML.
    """
    value = parse_value(text)
    parts = value if isinstance(value, list) else [value]
    return [part if isinstance(part, dict) else {"name": part} for part in parts]


def _numbers(value: Any) -> Any:
    """Return ``value`` with floats in place of words such as 1e-3, which YAML 1.1 makes of them."""
    if isinstance(value, list):
        return [_numbers(item) for item in value]
    if isinstance(value, dict):
        return {name: _numbers(item) for name, item in value.items()}
    try:
        return float(value) if isinstance(value, str) else value
    except ValueError:
        return value


def _check_kinds(model: str, options: Mapping[str, Any]) -> None:
    hints = arguments(model)
    for name, value in options.items():
        kinds = list(_kinds(hints.get(name, Any)))
        if not any(_fits(value, kind) for kind in kinds):
            expected = " or ".join(dict.fromkeys(_describe(kind) for kind in kinds))
            raise ValueError(f"option {name!r} of {model!r} takes {expected}, got {value!r}")


def _kinds(hint: Any) -> Iterator[Any]:
    if get_origin(hint) in (Union, UnionType):
        for part in get_args(hint):
            yield from _kinds(part)
    elif get_origin(hint) is Literal:
        yield hint
    else:
        # Sequence[int] is checked as a list alone; the component checks its items.
        yield next((kind for kind in KINDS if get_origin(hint) is kind), hint)


def _fits(value: Any, kind: Any) -> bool:
    if kind is Any:
        return True
    if get_origin(kind) is Literal:
        return value in get_args(kind)
    if isinstance(value, bool):  # which is an int to Python, and no number to people
        return kind is bool
    return kind in KINDS and isinstance(value, KINDS[kind][1])


def _describe(kind: Any) -> str:
    if get_origin(kind) is Literal:
        return "one of " + ", ".join(map(str, get_args(kind)))
    return KINDS[kind][0] if kind in KINDS else f"an object of class {kind.__name__}"
