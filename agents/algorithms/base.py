"""What is special to one algorithm, as an object, and the registry of algorithms."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from gymnasium import spaces
from stable_baselines3.common.base_class import BaseAlgorithm

from latentrl.types import Array
from latentrl.utils.modules import import_named
from latentrl.utils.registry import Registry

Hyperparameters = dict[str, Any]
Space = spaces.Space[Any]

HYPERPARAMS = Path(__file__).parents[1] / "hyperparams"
RESERVED = (
    *("self", "policy", "env", "seed", "device", "verbose", "tensorboard_log"),
    "_init_setup_model",
)
"""Arguments of an algorithm's constructor that ``build`` fills in itself."""


def unchanged(model: BaseAlgorithm) -> None:
    """Change nothing."""


@dataclass(frozen=True)
class AlgorithmSpec:
    """All that is special to one algorithm of SB3 or of a package that extends it."""

    source: str
    """``module:Class`` of the algorithm, imported at first use."""
    action_spaces: tuple[type[Space], ...]
    """Kinds of action spaces that the algorithm accepts."""
    policies: tuple[str, str] = ("MlpPolicy", "CnnPolicy")
    """SB3's names of the policies for latents and for pixels."""
    recurrent: bool = False
    """Whether the policy has a state that it carries from one timestep to the next."""
    hyperparams: Path | None = None
    """YAML file of tuned defaults, by prefix of the environment's id; None takes SB3's own."""
    requirement: str = "latentrl"
    """What pip installs to bring the module."""
    extra_state: tuple[str, ...] = ()
    """Plain attributes that a resumed run needs and that SB3's ``get_parameters`` leaves out."""
    adapt: Callable[[BaseAlgorithm], None] = unchanged
    """Changes how a freshly built model computes, and not what it computes."""
    prepare_evaluation: Callable[[BaseAlgorithm], None] = unchanged
    """Sets the exploration of a loaded model for stochastic evaluation; without any, the policy
    itself is what such an evaluation samples from."""
    value: Callable[[BaseAlgorithm, Any], Array] | None = None
    """Estimates the discounted return that is left after observations, ``(B,)``, in the units of
    the rewards that the model learns from; None where observations alone do not give one."""

    @property
    def cls(self) -> type[BaseAlgorithm]:
        """The algorithm's class.

        Raises:
            ValueError: the source has no colon, its package is not installed, or the module has no
                such algorithm.
        """
        module, _, name = self.source.partition(":")
        if not (module and name):
            raise ValueError(f"the source of an algorithm is module:Class, got {self.source!r}")
        remedy = f"{name} needs the package {module}: pip install '{self.requirement}'"
        algorithm = getattr(import_named(module, remedy), name, None)
        if not (isinstance(algorithm, type) and issubclass(algorithm, BaseAlgorithm)):
            raise ValueError(f"source={self.source!r}: {module} has no algorithm {name!r} of SB3")
        return algorithm

    def accepts(self, action_space: Space) -> bool:
        """Whether the algorithm learns with such actions."""
        return isinstance(action_space, self.action_spaces)

    @property
    def takes_continuous_actions(self) -> bool:
        """Whether the algorithm learns in a Box of actions."""
        return spaces.Box in self.action_spaces

    def policy(self, latent: bool) -> str:
        """SB3's name of the policy for latents, or for pixels."""
        return self.policies[0 if latent else 1]

    def policy_class(self, latent: bool) -> type[Any]:
        """The class of the policy for latents, or for pixels."""
        return self.cls.policy_aliases[self.policy(latent)]

    def parameters(self) -> list[str]:
        """Names of the hyperparameters that the constructor takes."""
        names = inspect.signature(self.cls.__init__).parameters
        return [name for name in names if name not in RESERVED]


ALGORITHMS: Registry[AlgorithmSpec] = Registry("algorithm")
"""Functions that return an algorithm's specification, by name."""


def find_algorithm(name: str) -> AlgorithmSpec:
    """Return the algorithm registered as ``name``; ``ValueError`` lists the valid names."""
    return ALGORITHMS[name]()


def check_actions(name: str, action_space: Space, env_id: str) -> None:
    """Refuse actions that an algorithm cannot take.

    Raises:
        ValueError: the algorithm has no policy for ``action_space``; the message lists those that
            have one.
    """
    if _accepts(name, action_space):
        return
    others = ", ".join(other for other in ALGORITHMS if _accepts(other, action_space))
    each = "; ".join(f"{other}: {_kinds(other)}" for other in ALGORITHMS)
    remedy = (
        f"use one of: {others}"
        if others
        else f"no algorithm takes these; make them one of the spaces that one does ({each})"
    )
    raise ValueError(f"{name} needs {_kinds(name)} actions, {env_id} has {action_space}; {remedy}")


def check_new_actions(action_space: Space, env_id: str) -> None:
    """Refuse actions that no new agent can learn in.

    Raises:
        ValueError: a Box holds whole numbers, or has no finite bounds, or several discrete actions
            have more than one dimension.
    """
    several = isinstance(action_space, spaces.MultiDiscrete | spaces.MultiBinary)
    if several and len(action_space.shape or ()) > 1:
        raise ValueError(
            f"{env_id} takes discrete actions of shape {action_space.shape}, {action_space}, and "
            "SB3 those of one dimension: flatten them with gymnasium.wrappers.TransformAction"
        )
    if not isinstance(action_space, spaces.Box):
        return
    if not np.issubdtype(action_space.dtype, np.floating):
        raise ValueError(
            f"{env_id} takes whole numbers in a Box, {action_space}, and an agent would send it "
            "fractions: make them Discrete or MultiDiscrete with gymnasium.wrappers.TransformAction"
        )
    if not action_space.is_bounded():
        raise ValueError(
            f"{env_id} takes actions without finite bounds, {action_space}: give them bounds with "
            "gymnasium.wrappers.TransformAction"
        )


def _accepts(name: str, action_space: Space) -> bool:
    return find_algorithm(name).accepts(action_space)


def _kinds(name: str) -> str:
    return " or ".join(kind.__name__ for kind in find_algorithm(name).action_spaces)
