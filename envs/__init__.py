"""Environments and how to make them; the import of this package registers all families."""

# Each family is one module or folder, which registers itself and its ids.
from envs import (
    ale,
    car_racing,
    crafter,
    highway,
    key_rooms,
    minigrid,
    minigrid_shifted,
    miniworld,
    pixel_reach,
    procgen,
    vizdoom,
)
from envs.families import (
    FAMILIES,
    EnvDefaults,
    EnvFamily,
    EnvPoolSupport,
    defaults_for,
    family_of,
    register_family,
)
from envs.make import Environment, make_env, make_vector
from envs.names import make_by_name

__all__ = [
    "FAMILIES",
    "EnvDefaults",
    "EnvFamily",
    "EnvPoolSupport",
    "Environment",
    "ale",
    "car_racing",
    "crafter",
    "defaults_for",
    "family_of",
    "highway",
    "key_rooms",
    "make_by_name",
    "make_env",
    "make_vector",
    "minigrid",
    "minigrid_shifted",
    "miniworld",
    "pixel_reach",
    "procgen",
    "register_family",
    "vizdoom",
]
