"""Parts of a model, found by name."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Generic, TypeVar

Part = TypeVar("Part")


class Registry(Generic[Part]):
    """Named classes of one kind, built from specs such as ``{"name": "kl", "beta": 4.0}``."""

    def __init__(self, kind: str) -> None:
        """Make an empty registry; ``kind`` is the word that error messages use."""
        self.kind = kind
        self._parts: dict[str, Callable[..., Part]] = {}

    def register(self, name: str) -> Callable[[Callable[..., Part]], Callable[..., Part]]:
        """Return a class decorator that files the class under ``name``."""

        def decorate(part: Callable[..., Part]) -> Callable[..., Part]:
            if name in self._parts:
                raise ValueError(f"{self.kind} {name!r} is registered twice")
            self._parts[name] = part
            return part

        return decorate

    def __iter__(self) -> Iterator[str]:
        """Iterate over the names in alphabetical order."""
        return iter(sorted(self._parts))

    def __contains__(self, name: object) -> bool:
        """Tell whether ``name`` is registered."""
        return name in self._parts

    def __getitem__(self, name: str) -> Callable[..., Part]:
        """Return the class called ``name``; ``ValueError`` lists the valid names."""
        if name not in self._parts:
            raise ValueError(f"unknown {self.kind} {name!r}; known: {', '.join(self)}")
        return self._parts[name]

    def build(self, spec: Mapping[str, Any], **context: Any) -> Part:
        """Build the part that ``spec`` names, from its other items and what it asks for of
        ``context``.

        Raises:
            ValueError: the name is unknown, or an item is not one of its parameters.
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
        return part(
            **options, **{key: value for key, value in context.items() if key in parameters}
        )
