"""What defines an agent: enough to build it again around saved weights."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Annotated, Any

from agents.algorithms import ALGORITHMS, find_algorithm
from agents.algorithms.hyperparameters import check_saved
from envs import Environment
from latentrl import Preprocessing
from latentrl.models.preprocessing import MAX_CHANNELS
from latentrl.types import shorten
from latentrl.utils.decoding import Between, Items, decode

ENCODER = "encoder"
"""Folder in a run of the encoder as it was pretrained."""
LIMITS = {"frame_skip": Between(1, 10_000), "render_size": Between(1, 2_048)}
"""Limits of an environment in a file: what exceeds them would take hours or all memory."""
SIDE = Between(1, 1_024)
"""Limits of the sides of images from which an agent learns."""


Channels = Annotated[tuple[float, ...], Items(1, MAX_CHANNELS)]
PixelRange = tuple[Channels, Channels]
"""Lowest and highest value of each channel of images."""


@dataclass(frozen=True)
class AgentConfig:
    """An algorithm with its hyperparameters, in an environment; converts to JSON and back."""

    environment: Environment
    """Environment that the agent acts in."""
    algo: str
    """Name in ``ALGORITHMS``."""
    stack: Annotated[int, Between(1, 1_000)]
    """Latents, or images, in one observation of the agent."""
    hyperparameters: Mapping[str, Any]
    """Arguments of the algorithm, and ``n_envs``, ``timesteps`` and ``normalize_latents``."""
    pixels: Preprocessing | None = None
    """Preprocessing of images for an agent that learns from pixels; None for latents."""
    episodic_count: bool = False
    """Whether the observation has the episodic count of its latent as one more value."""
    encoder: str = ENCODER
    """Folder in the run of the encoder; each refinement of it has one of its own."""
    pixel_range: PixelRange | None = None
    """Values of each channel that become 0 and 255; None takes those that the space declares."""
    scaled_actions: bool = False
    """Whether outputs of a Gaussian policy are in units of the action space, as in new agents."""

    @property
    def latent(self) -> bool:
        """Whether the agent observes latents."""
        return self.pixels is None

    @property
    def refined_at(self) -> int:
        """Timestep of ``--refine-at`` of the newest refinement of the encoder, 0 before one."""
        return int(self.encoder.partition("-")[2] or 0)

    def refined(self, timestep: int) -> AgentConfig:
        """Return the agent with the encoder that was refined for ``timestep``."""
        return replace(self, encoder=f"{ENCODER}-{timestep}")

    def to_json(self) -> dict[str, Any]:
        """Return plain dicts, lists and numbers."""
        return asdict(self)

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> AgentConfig:
        """Rebuild the config that ``to_json`` returned.

        Raises:
            ValueError: a value is missing, unknown, of another type or out of range, or no
                algorithm of this name is registered.
        """
        config: AgentConfig = decode(cls, data, "an agent's config")
        for name, limit in LIMITS.items():
            if (value := getattr(config.environment, name)) is not None:
                decode(Annotated[int, limit], value, f"{name} of an agent's environment")
        if re.fullmatch(rf"{ENCODER}(-[0-9]{{1,15}})?", config.encoder) is None:
            raise ValueError(f"an agent's encoder is a folder beside it, not {config.encoder!r}")
        for side in (config.pixels and config.pixels.size) or ():
            decode(Annotated[int, SIDE], side, "size of an agent's images")
        if config.algo not in ALGORITHMS:
            raise ValueError(
                f"unknown algorithm {shorten(config.algo)}: add --plugin MODULE with the module "
                f"that registers it; known: {', '.join(ALGORITHMS)}"
            )
        check_saved(config.hyperparameters, find_algorithm(config.algo), config.latent)
        return config


def check_trusted(config: AgentConfig, folder: Path, trusted: bool) -> None:
    """Refuse to import a module that only the agent's own files name.

    Raises:
        ValueError: the environment's name holds a module, and the user has neither repeated it nor
            trusts the folder.
    """
    env_id = config.environment.id
    if ":" in env_id and not trusted:
        raise ValueError(
            f"{folder} names the environment {env_id}, whose module would be imported and run: "
            f"repeat it with --env {env_id}, or add --trust if you trust the folder (in Python, "
            f"env={env_id!r} or trust=True)"
        )
