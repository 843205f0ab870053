"""Video files of RGB frames: H.264 in ``.mp4``, which browsers play, and ``.gif``."""

from __future__ import annotations

import importlib.util
import itertools
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from latentrl.types import Array
from latentrl.utils.io import write_atomically, write_bytes
from latentrl.viz.images import gif

if TYPE_CHECKING:
    import av.container

SUFFIXES = (".mp4", ".gif")
QUALITY = 20
"""Constant rate factor of x264: 0 is lossless, 23 its default; captions stay sharp at 20."""
BT709 = 1
"""Number of ITU-R BT.709 in H.264, the colours that players assume where a file names none."""


def check_video(path: Path) -> None:
    """Check that ``write_video`` can write to ``path``, before there are frames.

    Raises:
        ValueError: the name ends in neither ``.mp4`` nor ``.gif``.
        ImportError: an ``.mp4`` needs PyAV (extra ``video``), which is not installed.
    """
    if path.suffix not in SUFFIXES:
        raise ValueError(
            f"cannot write a video to {path}; the name must end in {' or '.join(SUFFIXES)}"
        )
    if path.suffix == ".mp4" and importlib.util.find_spec("av") is None:
        raise ImportError(
            "an .mp4 needs PyAV: pip install 'latentrl[video]', or choose a name that ends in .gif"
        )


def write_video(path: Path, frames: Iterable[Array], fps: int) -> None:
    """Write a video atomically; frames are encoded as they come, so that few are in memory.

    Args:
        path: file that ends in ``.mp4`` or ``.gif``.
        frames: RGB frames of one size, uint8 ``(H, W, 3)``. H.264 takes even sides: an odd one is
            extended by a copy of its last pixels.
        fps: frames per second.

    Raises:
        ValueError: there is no frame; or as in ``check_video``.
        ImportError: as in ``check_video``.
    """
    check_video(path)
    first = next(iterator := iter(frames), None)
    if first is None:
        raise ValueError(f"a video has one frame or more, and none came for {path}")
    every = itertools.chain([first], iterator)
    if path.suffix == ".gif":
        write_bytes(path, gif(every, fps))
    else:
        write_atomically(path, lambda temporary: _write_mp4(temporary, map(_even, every), fps))


def _even(frame: Array) -> Array:
    height, width, _ = frame.shape
    return np.pad(frame, ((0, height % 2), (0, width % 2), (0, 0)), "edge")


def _write_mp4(path: Path, frames: Iterator[Array], fps: int) -> None:
    import av

    # faststart moves the index to the front: a browser plays before it has the whole file.
    with av.open(str(path), "w", format="mp4", options={"movflags": "faststart"}) as container:
        first = next(frames)
        stream = _h264(container, first, fps)
        for frame in itertools.chain([first], frames):
            rgb = av.VideoFrame.from_ndarray(frame, "rgb24")
            yuv = rgb.reformat(format=stream.pix_fmt, dst_colorspace="ITU709")
            container.mux(stream.encode(yuv))
        container.mux(stream.encode())


def _h264(container: av.container.OutputContainer, frame: Array, fps: int) -> Any:
    """Add a stream of 4:2:0 chroma, the one kind of H.264 that every browser decodes."""
    stream = container.add_stream("libx264", rate=fps, options={"crf": str(QUALITY)})
    stream.height, stream.width, _ = frame.shape
    stream.pix_fmt = "yuv420p"
    context = stream.codec_context
    context.colorspace = context.color_primaries = context.color_trc = BT709
    return stream
