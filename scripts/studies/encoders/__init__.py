"""Encoders that are chosen from frames: their initial weights, and their rate."""

from scripts.studies.encoders.rate import Rate
from scripts.studies.encoders.weights import WarmStart

__all__ = ["Rate", "WarmStart"]
