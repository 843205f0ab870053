"""CarRacing from an empty folder: the recipe, and controls that differ from it in one thing."""

from scripts.studies.carracing.subject import CarRacing

__all__ = ["CarRacing"]
