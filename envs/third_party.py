"""Installed packages that register an id with Gymnasium, found without importing others."""

from __future__ import annotations

import importlib
import importlib.util
import re
from collections.abc import Iterator
from importlib import metadata

import gymnasium as gym

WELL_KNOWN = {
    "ale-py": r"\w+(NoFrameskip|Deterministic)-v\d",
    "flappy-bird-gymnasium": r"FlappyBird-",
    "gym-pusht": r"gym_pusht/",
    "gymnasium-robotics": r"(Fetch|Hand|AdroitHand|AntMaze_|PointMaze_|FrankaKitchen)\w*-",
    "highway-env": r"(highway|intersection|merge|parking|racetrack|roundabout)-",
    "miniworld": r"MiniWorld-",
    "panda-gym": r"Panda\w+-",
}
"""Patterns of ids by the name of the package on PyPI, which is that of its module, too."""
GENERIC = {"gym", "gymnasium", "env", "envs", "py"}
"""Words in the names of modules and ids that distinguish nothing."""
SHORTEST = 3
"""Least number of letters by which a module's name is recognised at the beginning of an id."""


def register_id(env_id: str) -> None:
    """Import the installed package that registers ``env_id``, in this process, if there is one.

    No package is imported to find out what it registers. Candidates are the package in
    ``WELL_KNOWN`` for the id, and packages that require Gymnasium and whose module's name begins
    the id, such as ``highway_env`` and ``highway-fast-v0``.

    Raises:
        ValueError: the import of a candidate fails.
    """
    for module in [*_well_known(env_id), *_named_like(env_id, "gymnasium")]:
        try:
            importlib.import_module(module)
        except ImportError as error:
            raise ValueError(
                f"{env_id} is an id of the package {module}, whose import fails: {error}"
            ) from error
        if env_id in gym.registry:
            return


def advice(env_id: str) -> str:
    """Return what to do about an id that no import has registered, as a sentence."""
    for module in _named_like(env_id, "gym"):
        return (
            f"{module} registers with the old package gym: write a function that returns "
            "gymnasium.make('GymV21Environment-v0', env=...) of the package shimmy, and name it "
            "module:function"
        )
    for package, pattern in WELL_KNOWN.items():
        if re.match(pattern, env_id) and not _is_installed(_module(package)):
            return f"If it is that of {package}: pip install {package}"
    return (
        f"To import the package that registers it, write package:{env_id}, or name a module of "
        "your own that does by --plugin MODULE"
    )


def _well_known(env_id: str) -> Iterator[str]:
    for package, pattern in WELL_KNOWN.items():
        if re.match(pattern, env_id) and _is_installed(_module(package)):
            yield _module(package)


def _named_like(env_id: str, requirement: str) -> Iterator[str]:
    """Yield modules whose name begins ``env_id``, of packages that require ``requirement``."""
    stem = _stem(env_id)
    for package in metadata.distributions():
        if requirement in _requirements(package):
            names = [(_stem(module), module) for module in _modules(package)]
            yield from (
                module for name, module in names if len(name) >= SHORTEST and stem.startswith(name)
            )


def _requirements(package: metadata.Distribution) -> set[str]:
    words = (re.match(r"[\w.-]+", requirement) for requirement in package.requires or ())
    return {word[0].lower() for word in words if word}


def _modules(package: metadata.Distribution) -> list[str]:
    """Return the names of a package's modules; its own name where it lists none."""
    listed = (package.read_text("top_level.txt") or "").split()
    found = {
        path.parts[0]
        for path in package.files or ()
        if len(path.parts) == 2 and path.name == "__init__.py"
    }
    return listed or sorted(found) or [_module(package.name)]


def _module(package: str) -> str:
    return package.replace("-", "_")


def _is_installed(module: str) -> bool:
    return importlib.util.find_spec(module) is not None


def _stem(name: str) -> str:
    """Return the letters and digits of a name without generic words, ``highwayfastv0``."""
    words = re.split(r"[^a-z0-9]+", name.lower())
    return "".join(word for word in words if word not in GENERIC)
