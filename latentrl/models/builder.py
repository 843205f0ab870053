"""The options that every model function takes, and a model built from them."""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from typing import Any, TypedDict, get_type_hints

from gymnasium import spaces

from latentrl.models.autoencoder import Autoencoder
from latentrl.models.config import AutoencoderConfig, Spec
from latentrl.models.preprocessing import Preprocessing, is_image
from latentrl.types import as_space, shorten, space_to_json
from latentrl.utils.registry import Registry

Space = spaces.Space[Any] | Sequence[int]
Part = str | Spec
"""A registered name, or a spec: the name and its options."""

MODELS: Registry[Autoencoder] = Registry("model")
"""Model functions by name."""

POINT: Spec = {"name": "point"}
UNIT_POINT: Spec = {"name": "point", "unit_columns": True}
GAUSSIAN: Spec = {"name": "gaussian"}


class ModelOptions(TypedDict, total=False):
    """Options that every model function takes, beside its own."""

    likelihood: Part
    """Decoder's distribution: gaussian (default), bernoulli, diagonal_gaussian, or a spec."""
    backbone: Part | None
    """Networks, for example ``{"name": "conv", "channels": (32, 64)}``; None chooses by shape."""
    preprocessing: Preprocessing
    """Crop, size and greyscale of images."""
    losses: Part | Sequence[Part]
    """Further terms of the loss, after the model's own."""
    corruptions: Part | Sequence[Part]
    """Further corruptions of training inputs, after the model's own."""


def build(
    model: str, space: Space, latent_dim: int, options: ModelOptions, **own: Any
) -> Autoencoder:
    """Return a new model.

    Args:
        model: name of the model function, which must be registered.
        space: observation space or shape.
        latent_dim: size of the latent.
        options: what the caller of the model function gave.
        **own: fields of ``AutoencoderConfig`` that make this model what it is; its losses and
            corruptions come before those in ``options``, its backbone is a default.

    Raises:
        TypeError: an option is of another type.
        ValueError: an option is unknown, or components do not fit one another.
    """
    check_options(model, options)
    preprocessing = options.get("preprocessing")
    if not isinstance(preprocessing, Preprocessing | None):
        raise TypeError(f"preprocessing is a Preprocessing, got {shorten(preprocessing)}")
    given: dict[str, Any] = dict(options)
    for field in ("losses", "corruptions"):
        given[field] = [*map(as_spec, own.pop(field, ())), *as_specs(given.get(field, ()))]
    for field in ("likelihood", "backbone"):
        if given.get(field) is not None:
            given[field] = as_spec(given[field])
    fields = {key: value for key, value in given.items() if value is not None}
    space = as_space(space)
    if len(space.shape) == 2 and not is_image(space):
        # All sequences have one length: fully connected layers learn them better than recurrent
        # ones, and many times as fast.
        own = {"backbone": {"name": "mlp"}, **own}
    config = {**own, **fields}
    return Autoencoder(AutoencoderConfig(model, space_to_json(space), latent_dim, **config))


def as_spec(part: Part) -> Spec:
    """Return the spec that ``part`` abbreviates.

    Raises:
        TypeError: it is neither a name nor a spec, but perhaps the object itself.
    """
    if isinstance(part, str):
        return {"name": part}
    if not isinstance(part, Mapping):
        raise TypeError(
            "expected the name of a part or a dict such as {'name': 'mlp'}, got "
            f"{shorten(part)}: register your own parts, and give their names"
        )
    return part


def as_specs(parts: Part | Sequence[Part]) -> list[Spec]:
    """Return the specs of one part or of several."""
    return [as_spec(part) for part in ([parts] if isinstance(parts, str | Mapping) else parts)]


def check_options(model: str, options: Mapping[str, Any]) -> None:
    """Raise ``ValueError`` where an option is none of ``ModelOptions``; it lists the valid ones."""
    unknown = [name for name in options if name not in ModelOptions.__annotations__]
    if unknown:
        takes = ", ".join(name for name in arguments(model) if name != "space")
        raise ValueError(f"model {model!r} has no {unknown[0]!r}; it takes: {takes}")


def arguments(model: str) -> dict[str, Any]:
    """Return the annotation of each argument of the function called ``model``, by name.

    Raises:
        ValueError: the model is unknown.
    """
    function = MODELS[model]
    hints = get_type_hints(function)
    parameters = inspect.signature(function).parameters.values()
    own = {p.name: hints[p.name] for p in parameters if p.kind is not p.VAR_KEYWORD}
    takes_options = any(p.kind is p.VAR_KEYWORD for p in parameters)
    return own | get_type_hints(ModelOptions) if takes_options else own
