"""Agents on latents, on pixels and on random latents, over twelve environments or on one."""

from scripts.studies.suite.compare import Compare
from scripts.studies.suite.subject import Suite

__all__ = ["Compare", "Suite"]
