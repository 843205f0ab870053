"""CarRacing from an empty folder: the recipe, and its controls."""

from scripts.studies.carracing.subject import CarRacing

__all__ = ["CarRacing"]
