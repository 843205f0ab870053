"""What defines an agent: enough to build it again around saved weights."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from envs import Environment
from latentrl import Preprocessing


@dataclass(frozen=True)
class AgentConfig:
    """An algorithm with its settings, on an environment seen in one way; goes to JSON and back."""

    environment: Environment
    """What it acts in."""
    algo: str
    """Name of a function in ``agents.algorithms.base``."""
    stack: int
    """Codes, or images, that it sees at once."""
    settings: Mapping[str, Any]
    """Arguments of the algorithm, and ``n_envs``."""
    pixels: Preprocessing | None = None
    """What is done to images for an agent that learns from pixels; None for one that sees codes."""
    visits: bool = False
    """Whether it sees, beside a code, how often its episode has had it."""

    @property
    def latent(self) -> bool:
        """Whether the agent sees codes."""
        return self.pixels is None

    def to_json(self) -> dict[str, Any]:
        """Return plain dicts, lists and numbers."""
        return asdict(self)

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> AgentConfig:
        """Rebuild the config that ``to_json`` described."""
        pixels = data["pixels"]
        if pixels is not None:
            size = None if pixels["size"] is None else tuple(pixels["size"])
            pixels = Preprocessing(tuple(pixels["crop"]), size, pixels["greyscale"])
        return cls(**{**data, "environment": Environment(**data["environment"]), "pixels": pixels})
