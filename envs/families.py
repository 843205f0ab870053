"""Environment families: one object with all that is special to ids that begin alike."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Annotated, Any, Protocol

import gymnasium as gym
from gymnasium.vector import VectorEnv

from envs.names import registered_id
from envs.shaping import Shaping
from latentrl.utils.decoding import Between, decode
from latentrl.utils.modules import import_named

EnvMaker = Callable[[], gym.Env[Any, Any]]
"""Function that makes one environment."""
VectorFactory = Callable[[Sequence[EnvMaker]], VectorEnv[Any, Any, Any]]
"""Function that steps several environments together, with SAME_STEP autoreset."""
Count = Annotated[int, Between(1, 2**20)]
"""A number of pixels, frames or latents."""
COUNTS = {"size": Count | None, "frame_skip": Count, "stack": Count}
"""Kinds of the defaults that are numbers."""


@dataclass(frozen=True)
class EnvDefaults:
    """Defaults of a family; a script flag of the same name takes precedence."""

    size: int | None = 64
    """Side in pixels of the square image that the encoder takes; None keeps the size."""
    frame_skip: int = 1
    """Environment frames per timestep."""
    stack: int = 4
    """Latents or images stacked into one observation of the agent; one has no velocities."""
    episodic_count: bool = False
    """Whether the agent's observation includes the episodic count of the latent."""
    policy: str = "brownian"
    """Exploration policy that collects the frames for pretraining, a name in ``EXPLORERS``."""
    has_discrete_variant: bool = False
    """Whether the environment takes ``continuous=False`` for discrete actions."""
    native_frame_skip: str | None = None
    """Argument of an environment that skips frames itself, such as ``"frameskip"``; a frame skip of
    1 then keeps its own default."""
    workers: bool = True
    """Whether to step in worker processes; False where a step costs less than a pipe."""
    pretraining: Mapping[str, Any] = field(default_factory=dict)
    """Arguments of ``PretrainConfig`` for a beta-VAE on the family's own images."""


class EnvPoolFactory(Protocol):
    """Constructor of a vector environment that EnvPool steps."""

    def __call__(
        self,
        env_id: str,
        n_envs: int,
        frame_skip: int,
        discrete: bool,
        seed: int,
        max_episode_steps: int | None,
    ) -> VectorEnv[Any, Any, Any]:
        """Return ``n_envs`` environments; environment i has seed ``seed + i``."""


@dataclass(frozen=True)
class EnvPoolSupport:
    """How EnvPool serves a family."""

    make: EnvPoolFactory
    """Constructor of the vector environment."""
    refusal: Callable[[str], str | None]
    """Reason why EnvPool does not serve an id, as the end of a sentence; None where it does."""


@dataclass(frozen=True)
class EnvFamily:
    """All that is special to the environments whose ids begin alike.

    ``envs.make`` and ``envs.envpool`` contain no environment's name: they read this object. A new
    family is one file that calls ``register_family``, and its import in ``envs/__init__.py``; or it
    is a module of a user's own, which the scripts import by ``--plugin``:

        register_family(
            EnvFamily(
                "doors",
                prefixes=("Doors-",),
                defaults=EnvDefaults(frame_skip=2, policy="random"),
                package="my_doors",  # registers Doors-v0; workers import it, too
                observe=lambda env: PickObservation(env, "camera"),
            )
        )
    """

    name: str
    """Name in ``FAMILIES`` and in messages."""
    prefixes: tuple[str, ...] = ()
    """Beginnings of the family's ids; the longest prefix of all families decides."""
    defaults: EnvDefaults = EnvDefaults()
    """Defaults for the script flags."""
    package: str | None = None
    """Module whose import registers the ids with Gymnasium; None where they exist already."""
    options: Mapping[str, Any] = field(default_factory=dict)
    """Keyword arguments with which Gymnasium makes the environments."""
    install: str | None = None
    """Requirement to install if the package is missing, such as ``latentrl[atari]``."""
    observe: Callable[[gym.Env[Any, Any]], gym.Env[Any, Any]] | None = None
    """Observation wrapper of one environment; None keeps its observations."""
    drawn: Callable[[gym.Env[Any, Any]], gym.Env[Any, Any]] | None = None
    """``observe`` for the backend "drawn": it draws nearly the environment's frames, much faster;
    None where there is none."""
    vector: VectorFactory | None = None
    """Replacement for Gymnasium's vectors and ``observe``; takes makers of bare environments."""
    envpool: EnvPoolSupport | None = None
    """How EnvPool serves the family; None where it does not."""
    shaping: Callable[[VectorEnv[Any, Any, Any], int], Shaping] | None = None
    """Training-only shaping of the rewards, which takes the vector and its frame skip; None where
    there is none."""
    envpool_only: bool = False
    """Whether the family exists in EnvPool alone, with no Gymnasium environment."""

    def import_package(self, env_id: str) -> None:
        """Import the package that registers ``env_id``, in this process.

        Raises:
            ValueError: the package is not installed.
        """
        if self.package is None:
            return
        root = self.package.partition(".")[0]
        remedy = f"{env_id} needs the package {root}: pip install '{self.install or root}'"
        import_named(self.package, remedy)


FAMILIES: dict[str, EnvFamily] = {}
"""Registered families by name."""
GENERAL = EnvFamily("general")
"""Family of all ids that no registered prefix matches."""


def register_family(family: EnvFamily) -> EnvFamily:
    """Add ``family`` to ``FAMILIES`` and return it.

    Raises:
        TypeError: its prefixes are one string.
        ValueError: it has no prefix, its name or one of its prefixes is registered already, or a
            default is out of range.
    """
    if isinstance(family.prefixes, str):
        raise TypeError(
            f"prefixes of family {family.name!r} is a tuple of strings, got the string "
            f"{family.prefixes!r}: write ({family.prefixes!r},), with the comma"
        )
    for name, kind in COUNTS.items():
        decode(kind, getattr(family.defaults, name), f"{name} of family {family.name!r}")
    if not family.prefixes:
        raise ValueError(f"family {family.name!r} needs at least one id prefix")
    if family.name in FAMILIES:
        raise ValueError(f"family {family.name!r} is registered twice")
    for other in FAMILIES.values():
        common = {*family.prefixes} & {*other.prefixes}
        if common:
            raise ValueError(
                f"family {family.name!r} has the id prefix {min(common)!r} of family "
                f"{other.name!r}; a longer prefix takes precedence over it"
            )
    FAMILIES[family.name] = family
    return family


def family_of(env_id: str) -> EnvFamily:
    """Return the family with the longest prefix of ``env_id``, ``GENERAL`` where none matches.

    Args:
        env_id: a name of the grammar of ``envs.names.make_by_name``.
    """
    # A prefix such as "my_module:" matches the whole name, "Pong" the id after a package's name.
    names = (env_id, registered_id(env_id))
    matches = [
        (len(prefix), family)
        for family in FAMILIES.values()
        for prefix in family.prefixes
        if any(name.startswith(prefix) for name in names)
    ]
    return max(matches, key=lambda match: match[0], default=(0, GENERAL))[1]


def defaults_for(env_id: str) -> EnvDefaults:
    """Return the defaults of the environment's family."""
    return family_of(env_id).defaults


def tile_pretraining(count: int) -> dict[str, Any]:
    """Return pretraining defaults for images of ``count`` tiles of 8 by 8 pixels.

    Each tile gets 4 latent dimensions of its own from the ``patches`` backbone. The KL weight is
    low and the worst pixels weigh more, because a tile that matters (a key, a door) is a small
    fraction of the image.
    """
    return {
        "frames": 20_000,
        "latent_dim": 4 * count,
        "beta": 0.1,
        "option": ("backbone={name: patches}", "topk_weight=4.0"),
        "steps": 3_000,
        "batch_size": 16,
        "learning_rate": 4e-3,
    }
