"""Observations: collected into stores, read from files, drawn by index or in windows."""

from latentrl.data.collect import collect
from latentrl.data.frames import Frames, as_frames
from latentrl.data.minari import write_minari
from latentrl.data.readers import read_labels
from latentrl.data.windows import Window, Windows

__all__ = ["Frames", "Window", "Windows", "as_frames", "collect", "read_labels", "write_minari"]
