"""Hyperparameters as data: YAML defaults, the command line's overrides, SB3's arguments."""

from __future__ import annotations

import inspect
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import torch
import yaml
from gymnasium import spaces

from agents.algorithms.base import AlgorithmSpec, Hyperparameters, Space
from agents.features import FEATURES
from envs.names import registered_id
from latentrl.cli.options import parse_value
from latentrl.types import LatentLayout
from latentrl.utils.decoding import Between, Layers, decode

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
OF_FEATURES_BY_BUILD = ("self", "observation_space", "layout", "stack")
UNTUNED: Hyperparameters = {"n_envs": 8, "timesteps": 500_000, "gamma": 0.99}
"""Defaults that a YAML file may replace; training needs them, and SB3's constructor lacks two."""
NEEDED: dict[str, Any] = {
    "n_envs": Annotated[int, Between(1, 10_000)],
    "timesteps": Annotated[int, Between(1, 10**15)],
    "gamma": Annotated[float, Between(0, 1)],
}
"""Hyperparameters that every agent has."""
KINDS = {bool: "true or false", int: "a whole number", float: "a number"}
"""Kinds of values that are checked before training, in which a wrong one would fail."""
ACTIVATIONS = {
    "elu": torch.nn.ELU,
    "gelu": torch.nn.GELU,
    "relu": torch.nn.ReLU,
    "silu": torch.nn.SiLU,
    "tanh": torch.nn.Tanh,
}
CONTINUOUS = "continuous"
"""Key in a YAML file of the hyperparameters for continuous actions."""
LINEAR = "lin_"
"""Beginning of a linear schedule; its initial value follows."""
LAST_FRACTION = 0.05
"""Fraction of its initial value that a linear schedule ends with."""


def read_defaults(
    spec: AlgorithmSpec, env_id: str, latent: bool, action_space: Space
) -> Hyperparameters:
    """Return the tuned defaults of an algorithm for an environment, the longest prefix's.

    Those under ``continuous`` replace the others where actions are continuous.

    Raises:
        ValueError: the file is missing, is not YAML, or has other levels than the two above.
    """
    if spec.hyperparams is None:
        return dict(UNTUNED)
    section = _read_section(spec.hyperparams, "latents" if latent else "pixels")
    # As for families: a prefix matches the whole name, or the id after a package's name.
    names = (env_id, registered_id(env_id))
    prefixes = [prefix for prefix in section if any(name.startswith(prefix) for name in names)]
    prefix = max(prefixes, key=len, default="default")
    found = {
        **UNTUNED,
        **_mapping_at(section, prefix, f"the hyperparameters in {spec.hyperparams}"),
    }
    own = found.pop(CONTINUOUS, {})
    if not own or not isinstance(action_space, spaces.Box):
        return found
    policy = {**found.get("policy_kwargs", {}), **own.get("policy_kwargs", {})}
    return {**found, **own, "policy_kwargs": policy}


def _read_section(path: Path, name: str) -> Mapping[str, Any]:
    """Return one of the sections ``latents`` and ``pixels`` of a file of tuned defaults."""
    where = f"the hyperparameters in {path}"
    try:
        tuned = yaml.safe_load(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise ValueError(f"there is no file of hyperparameters {path}") from error
    except yaml.YAMLError as error:
        raise ValueError(f"{where} are not YAML: {' '.join(str(error).split())}") from error
    return _mapping_at(tuned, name, where)


def _mapping_at(tree: Any, name: str, where: str) -> Mapping[str, Any]:
    if not isinstance(tree, Mapping) or not isinstance(tree.get(name), Mapping):
        raise ValueError(
            f"{where} lack a mapping {name!r}: the file has the sections latents and pixels, each "
            "with default, and with prefixes of ids, of which each has hyperparameters"
        )
    found: Mapping[str, Any] = tree[name]
    return found


def override(
    defaults: Mapping[str, Any], words: Sequence[str], spec: AlgorithmSpec, latent: bool
) -> Hyperparameters:
    """Return ``defaults`` with the command line's values.

    Args:
        defaults: hyperparameters of an algorithm.
        words: ``name:value`` or ``name=value`` each, the value in YAML; dots reach into mappings,
            as in ``policy_kwargs.net_arch:[64,64]``. Of equal names the last counts, so that the
            command line takes precedence over a file.
        spec: the algorithm.
        latent: whether the agent observes latents, which decides the policy's class.

    Raises:
        ValueError: a word has no colon, has a flag of its own or a value of the wrong kind, or
            names no hyperparameter; the message lists the valid names.
    """
    changed: Hyperparameters = dict(defaults)
    for word in words:
        # A file of flags gives a mapping as name=value, like that of every other flag.
        name, *value = re.split("[:=]", word, maxsplit=1)
        if not value or not name:
            raise ValueError(f"expected --hyperparams NAME:VALUE, got {word!r}")
        if name in FLAGS:
            raise ValueError(f"{name} has a flag of its own: {FLAGS[name]}")
        _set(changed, name.split("."), parse_value(value[0]))
    check_names(changed, spec, latent)
    check_kinds(changed, spec)
    return changed


def with_n_envs(defaults: Mapping[str, Any], n_envs: int) -> Hyperparameters:
    """Return ``defaults`` for another number of environments, with as many updates per transition.

    SB3 counts ``train_freq`` in steps of all environments, and ``gradient_steps`` after each.
    """
    changed = {**defaults, "n_envs": n_envs}
    steps = defaults.get("gradient_steps", -1)
    if steps > 0 and isinstance(defaults.get("train_freq", 1), int):
        changed["gradient_steps"] = max(1, round(steps * n_envs / defaults["n_envs"]))
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
    policy = inspect.signature(spec.policy_class(latent).__init__).parameters
    known = [key for key in policy if key not in OF_THE_POLICY_BY_BUILD]
    policy_kwargs = hyperparameters.get("policy_kwargs") or {}
    _refuse_unknown(f"policy_kwargs of {name}", policy_kwargs, [*known, *FEATURES])
    for features, extractor in FEATURES.items():
        parameters = inspect.signature(extractor.__init__).parameters
        known = [key for key in parameters if key not in OF_FEATURES_BY_BUILD]
        _refuse_unknown(features, policy_kwargs.get(features) or {}, known)
    both = [features for features in FEATURES if policy_kwargs.get(features) is not None]
    if len(both) > 1:
        raise ValueError(
            f"policy_kwargs of {name} has {' and '.join(both)}, of which a network has one: remove "
            f"the default by --hyperparams policy_kwargs.{both[0]}:null, or {both[1]}:null"
        )


def check_kinds(hyperparameters: Mapping[str, Any], spec: AlgorithmSpec) -> None:
    """Refuse values that are not what the algorithm's constructor declares.

    Raises:
        ValueError: a value is no number, or not true or false, where the constructor takes that.
    """
    parameters = inspect.signature(spec.cls.__init__).parameters
    hints = {name: parameter.annotation for name, parameter in parameters.items()}
    for name, value in hyperparameters.items():
        kind = bool if name == "normalize_latents" else hints.get(name)
        # bool is a subclass of int, and no number to people.
        fits = type(value) is kind or (kind is float and type(value) is int)
        if kind in KINDS and not fits:
            raise ValueError(f"hyperparameter {name!r} takes {KINDS[kind]}, got {value!r}")


def check_saved(hyperparameters: Mapping[str, Any], spec: AlgorithmSpec, latent: bool) -> None:
    """Check the hyperparameters of a file, which may have been edited.

    Raises:
        ValueError: one that training needs is missing or out of range, or one is unknown or of the
            wrong kind.
    """
    for name, limits in NEEDED.items():
        decode(limits, hyperparameters.get(name), f"hyperparameter {name!r}")
    check_names(dict(hyperparameters), spec, latent)
    check_kinds(hyperparameters, spec)
    net_arch = (hyperparameters.get("policy_kwargs") or {}).get("net_arch", [])
    kind: Any = Mapping[str, Layers] if isinstance(net_arch, Mapping) else Layers
    decode(kind, net_arch, "hyperparameter 'net_arch'")


def check_episodic_training(hyperparameters: Mapping[str, Any]) -> None:
    """Refuse to train after whole episodes of several environments, which SB3 cannot.

    Raises:
        ValueError: ``train_freq`` counts episodes, and there is more than one environment.
    """
    frequency, n_envs = hyperparameters.get("train_freq"), hyperparameters["n_envs"]
    if isinstance(frequency, list | tuple) and "episode" in frequency and n_envs > 1:
        raise ValueError(
            f"train_freq counts episodes, which needs one environment, got {n_envs}: add "
            "--n-envs 1, or count steps with --hyperparams train_freq:4"
        )


def _refuse_unknown(subject: str, given: Any, known: Sequence[str]) -> None:
    if not isinstance(given, Mapping):
        raise ValueError(f"{subject} must be a mapping, got {given!r}")
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
    for name, extractor in FEATURES.items():
        options = policy.pop(name, None)
        if options is not None and layout.grid is not None:
            policy["features_extractor_class"] = extractor
            policy["features_extractor_kwargs"] = {"layout": layout, "stack": stack, **options}
    return {**arguments, "policy_kwargs": policy}


def schedule(value: Any) -> Any:
    """Return ``"lin_3e-4"`` as a linear schedule, a list as a tuple, other values as they are.

    SB3 calls a schedule with the fraction of the run that remains, from 1 to 0. A resumed run can
    be longer than planned, so the schedule ends at a twentieth and not at zero.
    """
    if isinstance(value, list):
        return tuple(value)  # SB3 takes train_freq=(1, "episode"), and YAML has no tuples
    if not isinstance(value, str) or not value.startswith(LINEAR):
        return value
    try:
        initial = float(value.removeprefix(LINEAR))
    except ValueError:
        raise ValueError(f"expected a linear schedule such as lin_3e-4, got {value!r}") from None

    def decay(remaining: float) -> float:
        return initial * max(remaining, LAST_FRACTION)

    return decay


def _activation(name: Any) -> type[torch.nn.Module]:
    if not isinstance(name, str) or name not in ACTIVATIONS:
        raise ValueError(f"unknown activation_fn {name!r}; known: {', '.join(ACTIVATIONS)}")
    return ACTIVATIONS[name]
