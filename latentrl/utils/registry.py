"""Registries: classes and functions of one kind, found by name."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Generic, TypeVar

from latentrl.types import shorten
from latentrl.utils.decoding import decode, hints_of

Part = TypeVar("Part")


class Registry(Generic[Part]):
    """Named classes of one kind, built from specs such as ``{"name": "kl", "beta": 4.0}``."""

    def __init__(self, kind: str) -> None:
        """Make an empty registry; ``kind`` is the word that error messages use."""
        self.kind = kind
        self._parts: dict[str, Callable[..., Part]] = {}

    def register(self, name: str) -> Callable[[Callable[..., Part]], Callable[..., Part]]:
        """Return a decorator that registers a class or a function as ``name``.

        Raises:
            TypeError: the name is no string, as where the decorator has no parentheses.
            ValueError: the name is taken.
        """
        if not isinstance(name, str):
            raise TypeError(
                f"a {self.kind} is registered under a name, got {shorten(name)}: write "
                '@....register("name"), with parentheses'
            )

        def decorate(part: Callable[..., Part]) -> Callable[..., Part]:
            if name in self._parts:
                raise ValueError(f"{self.kind} {name!r} is registered twice: choose another name")
            self._parts[name] = part
            return part

        return decorate

    def __iter__(self) -> Iterator[str]:
        """Iterate over the names in alphabetical order."""
        # Sorted, so that no result depends on the order of imports.
        return iter(sorted(self._parts))

    def __contains__(self, name: object) -> bool:
        """Return whether ``name`` is registered."""
        return name in self._parts

    def __getitem__(self, name: str) -> Callable[..., Part]:
        """Return the class or the function that is registered as ``name``.

        Raises:
            ValueError: there is none; the message lists the valid names.
        """
        if not isinstance(name, str) or name not in self._parts:
            raise ValueError(f"unknown {self.kind} {shorten(name)}; known: {', '.join(self)}")
        return self._parts[name]

    def build(self, spec: Mapping[str, Any], **context: Any) -> Part:
        """Call the class or the function that ``spec`` names.

        Args:
            spec: the name, and the values of parameters.
            **context: values of further parameters; those that the signature lacks are dropped, so
                that an implementation only declares what it uses.

        Raises:
            ValueError: the name is unknown, an item of ``spec`` is not a parameter, or its value
                does not fit the parameter's annotation.
        """
        options = {key: value for key, value in spec.items() if key != "name"}
        part = self[spec.get("name", "")]
        parameters = inspect.signature(part).parameters
        known = [name for name in parameters if name not in context]
        unknown = [name for name in options if name not in known]
        if unknown and not any(p.kind is p.VAR_KEYWORD for p in parameters.values()):
            takes = ", ".join(known) or "no parameters"
            raise ValueError(
                f"{self.kind} {spec['name']!r} has no {unknown[0]!r}; it takes: {takes}"
            )
        hints = hints_of(part)
        for key, value in options.items():
            decode(hints.get(key, Any), value, f"{key} of {self.kind} {spec['name']!r}")
        used = {key: value for key, value in context.items() if key in parameters}
        return part(**options, **used)
