"""Suite: agents on latents, on pixels and on random latents, over twelve environments."""

from scripts.studies.suite.subject import Suite

__all__ = ["Suite"]
