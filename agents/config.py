"""What defines an agent: enough to build it again around saved weights."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from envs import Environment
from latentrl import Preprocessing


@dataclass(frozen=True)
class AgentConfig:
    """An algorithm with its hyperparameters, in an environment; converts to JSON and back."""

    environment: Environment
    """Environment that the agent acts in."""
    algo: str
    """Name in ``ALGORITHMS``."""
    stack: int
    """Latents, or images, in one observation of the agent."""
    hyperparameters: Mapping[str, Any]
    """Arguments of the algorithm, and ``n_envs``, ``timesteps`` and ``normalize_latents``."""
    pixels: Preprocessing | None = None
    """Preprocessing of images for an agent that learns from pixels; None for latents."""
    episodic_count: bool = False
    """Whether the observation has the episodic count of its latent as one more value."""

    @property
    def latent(self) -> bool:
        """Whether the agent observes latents."""
        return self.pixels is None

    def to_json(self) -> dict[str, Any]:
        """Return plain dicts, lists and numbers."""
        return asdict(self)

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> AgentConfig:
        """Rebuild the config that ``to_json`` returned."""
        pixels = data["pixels"]
        if pixels is not None:
            size = None if pixels["size"] is None else tuple(pixels["size"])
            pixels = Preprocessing(tuple(pixels["crop"]), size, pixels["greyscale"])
        return cls(**{**data, "environment": Environment(**data["environment"]), "pixels": pixels})
