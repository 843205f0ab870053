"""Hyperparameters as data: YAML defaults, the command line's overrides, SB3's arguments."""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from typing import Any

import torch
import yaml

from agents.algorithms.base import AlgorithmSpec, Hyperparameters
from agents.features import CellFeatures
from latentrl.cli.options import parse_value
from latentrl.types import LatentLayout

OF_THE_RUN = ("n_envs", "timesteps", "normalize_latents")
"""Hyperparameters that are no arguments of the algorithm's constructor."""
FLAGS = {
    "n_envs": "--n-envs",
    "timesteps": "--timesteps",
    "seed": "--seed",
    "device": "--device",
}
"""Hyperparameters that have flags of their own."""
OF_THE_POLICY_BY_BUILD = (
    *("self", "observation_space", "action_space", "lr_schedule", "use_sde"),
    *("features_extractor_class", "features_extractor_kwargs"),
)
UNTUNED: Hyperparameters = {"n_envs": 8, "timesteps": 500_000, "gamma": 0.99}
"""Defaults of an algorithm without a YAML file, beside those of SB3's constructor."""
ACTIVATIONS = {
    "elu": torch.nn.ELU,
    "gelu": torch.nn.GELU,
    "relu": torch.nn.ReLU,
    "silu": torch.nn.SiLU,
    "tanh": torch.nn.Tanh,
}
LAST_FRACTION = 0.05
"""Fraction of its initial value that a linear schedule ends with."""


def policy_name(latent: bool) -> str:
    """SB3's name of the policy for latents or for pixels."""
    return "MlpPolicy" if latent else "CnnPolicy"


def read_defaults(spec: AlgorithmSpec, env_id: str, latent: bool) -> Hyperparameters:
    """Return the tuned defaults of an algorithm for an environment, the longest prefix's."""
    if spec.hyperparams is None:
        return dict(UNTUNED)
    tuned = yaml.safe_load(spec.hyperparams.read_text(encoding="utf-8"))
    section: Mapping[str, Hyperparameters] = tuned["latents" if latent else "pixels"]
    prefixes = [prefix for prefix in section if env_id.startswith(prefix)]
    return section[max(prefixes, key=len, default="default")]


def override(
    defaults: Mapping[str, Any], words: Sequence[str], spec: AlgorithmSpec, latent: bool
) -> Hyperparameters:
    """Return ``defaults`` with the command line's values.

    Args:
        defaults: hyperparameters of an algorithm.
        words: ``name:value`` each, the value in YAML; dots reach into mappings, as in
            ``policy_kwargs.net_arch:[64,64]``.
        spec: the algorithm.
        latent: whether the agent observes latents, which decides the policy's class.

    Raises:
        ValueError: a word has no colon, comes twice, has a flag of its own, or names no
            hyperparameter; the message lists the valid names.
    """
    changed: Hyperparameters = dict(defaults)
    given: set[str] = set()
    for word in words:
        name, separator, text = word.partition(":")
        if not separator or not name:
            raise ValueError(f"expected --hyperparams NAME:VALUE, got {word!r}")
        if name in given:
            raise ValueError(f"hyperparameter {name!r} is given twice")
        if name in FLAGS:
            raise ValueError(f"{name} has a flag of its own: {FLAGS[name]}")
        given.add(name)
        _set(changed, name.split("."), parse_value(text))
    check_names(changed, spec, latent)
    return changed


def _set(tree: Hyperparameters, path: Sequence[str], value: Any) -> None:
    """Set one value in place; mappings on the way are copied, because YAML anchors share them."""
    name, *rest = path
    if not rest:
        tree[name] = value
        return
    branch = tree.get(name) or {}
    if not isinstance(branch, Mapping):
        entry = ".".join(rest)
        raise ValueError(f"hyperparameter {name!r} is {branch!r}, not a mapping with {entry!r}")
    tree[name] = dict(branch)
    _set(tree[name], rest, value)


def check_names(hyperparameters: Hyperparameters, spec: AlgorithmSpec, latent: bool) -> None:
    """Refuse names that neither the algorithm nor its policy takes.

    Raises:
        ValueError: a name is unknown; the message lists the valid ones.
    """
    name = spec.source.partition(":")[2]
    _refuse_unknown(name, hyperparameters, [*spec.parameters(), *OF_THE_RUN])
    policy = inspect.signature(spec.policy_class(policy_name(latent)).__init__).parameters
    known = [key for key in policy if key not in OF_THE_POLICY_BY_BUILD]
    given = hyperparameters.get("policy_kwargs") or {}
    _refuse_unknown(f"policy_kwargs of {name}", given, [*known, "cell_features"])


def _refuse_unknown(subject: str, given: Mapping[str, Any], known: Sequence[str]) -> None:
    for name in given:
        if name not in known:
            names = ", ".join(sorted(set(known) - FLAGS.keys()))
            raise ValueError(f"{subject} has no hyperparameter {name!r}; known: {names}")


def constructor_arguments(
    hyperparameters: Mapping[str, Any], layout: LatentLayout, stack: int
) -> dict[str, Any]:
    """Return what SB3's constructor takes: schedules and classes in place of their names.

    Args:
        hyperparameters: as YAML holds them.
        layout: layout of the latents that the agent observes.
        stack: latents in one observation of the agent.
    """
    arguments = {
        name: schedule(value) for name, value in hyperparameters.items() if name not in OF_THE_RUN
    }
    policy = dict(arguments.get("policy_kwargs") or {})
    if "activation_fn" in policy:
        policy["activation_fn"] = _activation(policy["activation_fn"])
    cell_features = policy.pop("cell_features", None)
    if cell_features is not None and layout.grid is not None:
        policy["features_extractor_class"] = CellFeatures
        policy["features_extractor_kwargs"] = {"layout": layout, "stack": stack, **cell_features}
    return {**arguments, "policy_kwargs": policy}


def schedule(value: Any) -> Any:
    """Return ``"lin_3e-4"`` as a linear schedule, and any other value as it is.

    SB3 calls a schedule with the fraction of the run that remains, from 1 to 0. A resumed run can
    be longer than planned, so the schedule ends at a twentieth and not at zero.
    """
    if not isinstance(value, str) or not value.startswith("lin_"):
        return value
    initial = float(value.removeprefix("lin_"))

    def decay(remaining: float) -> float:
        return initial * max(remaining, LAST_FRACTION)

    return decay


def _activation(name: str) -> type[torch.nn.Module]:
    if name not in ACTIVATIONS:
        raise ValueError(f"unknown activation_fn {name!r}; known: {', '.join(ACTIVATIONS)}")
    return ACTIVATIONS[name]
