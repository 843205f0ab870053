"""Registries find by name, and the error of a wrong name lists the valid ones."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pytest

from latentrl.data.policies import EXPLORERS
from latentrl.latents.disentanglement import METRICS
from latentrl.models import MODELS
from latentrl.models.autoencoder import (
    BACKBONES,
    CORRUPTIONS,
    HEADS,
    INFERENCES,
    LIKELIHOODS,
    LOSSES,
)
from latentrl.utils.registry import Registry

REGISTRIES = [
    BACKBONES,
    HEADS,
    LIKELIHOODS,
    CORRUPTIONS,
    LOSSES,
    INFERENCES,
    MODELS,
    METRICS,
    EXPLORERS,
]


@dataclass
class Wheel:
    size: float = 1.0
    spokes: int = 3


def make_registry() -> Registry[Any]:
    registry: Registry[Any] = Registry("wheel")
    registry.register("round")(Wheel)
    registry.register("bare")(type("Bare", (), {}))
    registry.register("open")(lambda space, **parameters: (space, parameters))
    return registry


def test_builds_from_a_spec_and_context() -> None:
    assert make_registry().build({"name": "round", "size": 2.0}) == Wheel(2.0)
    assert make_registry().build({"name": "round", "size": 2.0}, spokes=5) == Wheel(2.0, 5)


def test_context_is_passed_to_signatures_that_have_it() -> None:
    registry = make_registry()
    assert registry.build({"name": "round"}, spokes=5, latent_dim=7) == Wheel(1.0, 5)
    assert type(registry.build({"name": "bare"}, spokes=5)).__name__ == "Bare"
    assert registry.build({"name": "open", "std": 0.5}, space=1, latent_dim=7) == (1, {"std": 0.5})


def test_any_option_is_passed_to_free_parameters() -> None:
    assert make_registry().build({"name": "open", "std": 0.5}, space=1) == (1, {"std": 0.5})


def test_the_error_of_an_unknown_name_lists_the_names() -> None:
    with pytest.raises(ValueError, match="unknown wheel 'rund'; known: bare, open, round"):
        make_registry().build({"name": "rund"})


def test_the_error_of_an_unknown_parameter_lists_the_parameters() -> None:
    with pytest.raises(ValueError, match="wheel 'round' has no 'sice'; it takes: size, spokes"):
        make_registry().build({"name": "round", "sice": 2.0})
    with pytest.raises(ValueError, match="wheel 'round' has no 'spokes'; it takes: size"):
        make_registry().build({"name": "round", "spokes": 4}, spokes=5)
    with pytest.raises(ValueError, match="wheel 'bare' has no 'size'; it takes: no parameters"):
        make_registry().build({"name": "bare", "size": 2.0})


def test_a_name_can_be_registered_once() -> None:
    with pytest.raises(ValueError, match="wheel 'round' is registered twice: choose another name"):
        make_registry().register("round")(Wheel)


@pytest.mark.parametrize("name", [Wheel, 3, None])
def test_a_name_is_a_string(name: Any) -> None:
    message = r'a wheel is registered under a name, got .*: write @.*register\("name"\), with paren'
    with pytest.raises(TypeError, match=message):
        make_registry().register(name)


@pytest.mark.parametrize("registry", REGISTRIES, ids=lambda registry: registry.kind)
def test_names_are_sorted_and_documented(registry: Registry[Any]) -> None:
    names = list(registry)
    assert names
    assert names == sorted(names)
    assert all(name in registry and registry[name].__doc__ for name in names)


@pytest.mark.parametrize(
    ("registry", "name"),
    [(r, name) for r in REGISTRIES if r not in (MODELS, EXPLORERS) for name in r],
    ids=lambda value: getattr(value, "kind", value),
)
def test_a_misspelt_parameter_is_named(registry: Registry[Any], name: str) -> None:
    with pytest.raises(
        ValueError, match=f"{registry.kind} '{name}' has no 'colour'; it takes: (?!args)"
    ):
        registry.build({"name": name, "colour": 1})
