"""Environments that misbehave, each in one way, and the outcome that is right for each."""

from scripts.studies.reliability.strange import (
    episodes,
    formats,
    interfaces,
    observations,
    processes,
    wrapped,
)
from scripts.studies.reliability.strange.kinds import HOSTS, KINDS, Kind, Ordinary

__all__ = [
    "HOSTS",
    "KINDS",
    "Kind",
    "Ordinary",
    "episodes",
    "formats",
    "interfaces",
    "observations",
    "processes",
    "wrapped",
]
