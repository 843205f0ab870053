"""Video files, decoded again by PyAV and Pillow."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from latentrl.viz import video
from latentrl.viz.video import check_video, write_video

av = pytest.importorskip("av")


def moving_bar(count: int, height: int, width: int) -> Any:
    """Frames on which an orange bar moves to the right, ``(count, height, width, 3)``."""
    frames = np.full((count, height, width, 3), (20, 60, 120), np.uint8)
    for i, frame in enumerate(frames):
        frame[:, 8 * i : 8 * i + 8] = (230, 120, 30)
    return frames


def decode(path: Path) -> tuple[Any, Any]:
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        frames = [frame.to_ndarray(format="rgb24") for frame in container.decode(stream)]
        return stream.codec_context, np.stack(frames)


def test_an_mp4_is_what_browsers_play(tmp_path: Path) -> None:
    frames = moving_bar(7, 64, 96)
    write_video(tmp_path / "deep" / "bar.mp4", iter(frames), fps=5)
    context, decoded = decode(tmp_path / "deep" / "bar.mp4")
    assert (context.name, context.pix_fmt, context.profile) == ("h264", "yuv420p", "High")
    assert decoded.shape == frames.shape
    # Chroma has half the resolution: colours are compared away from the edges of the bar.
    for i, frame in enumerate(decoded):
        inside = frame[16:48, 8 * i + 3 : 8 * i + 5].astype(int).mean((0, 1))
        assert np.abs(inside - (230, 120, 30)).max() < 12
        assert np.abs(frame[16:48, 70:90].astype(int) - (20, 60, 120)).mean() < 4
    data = (tmp_path / "deep" / "bar.mp4").read_bytes()
    assert data.index(b"moov") < data.index(b"mdat"), "the index comes first"
    assert [file.name for file in (tmp_path / "deep").iterdir()] == ["bar.mp4"]


def test_rate_and_duration(tmp_path: Path) -> None:
    write_video(tmp_path / "bar.mp4", moving_bar(6, 32, 64), fps=3)
    with av.open(str(tmp_path / "bar.mp4")) as container:
        assert container.streams.video[0].average_rate == 3
        assert container.duration == pytest.approx(2 * av.time_base, rel=0.01)


def test_odd_sides_are_extended(tmp_path: Path) -> None:
    write_video(tmp_path / "bar.mp4", moving_bar(2, 33, 47), fps=5)
    _, decoded = decode(tmp_path / "bar.mp4")
    assert decoded.shape == (2, 34, 48, 3)
    assert np.abs(decoded[:, 33].astype(int) - decoded[:, 32]).mean() < 3


def test_a_gif_has_the_same_frames(tmp_path: Path) -> None:
    frames = moving_bar(4, 24, 40)
    write_video(tmp_path / "bar.gif", iter(frames), fps=5)
    with Image.open(tmp_path / "bar.gif") as movie:
        assert (movie.n_frames, movie.size, movie.info["duration"]) == (4, (40, 24), 200)
        movie.seek(3)
        np.testing.assert_array_equal(np.asarray(movie.convert("RGB")), frames[3])


def test_an_error_between_two_frames_leaves_no_file(tmp_path: Path) -> None:
    def broken() -> Any:
        yield from moving_bar(2, 32, 32)
        raise RuntimeError("no more frames")

    with pytest.raises(RuntimeError, match="no more frames"):
        write_video(tmp_path / "bar.mp4", broken(), fps=5)
    assert list(tmp_path.iterdir()) == []


def test_mistakes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ValueError, match=r"cannot write a video to .*a\.avi; the name must end in"):
        check_video(tmp_path / "a.avi")
    with pytest.raises(ValueError, match=r"one frame or more, and none came for .*a\.mp4"):
        write_video(tmp_path / "a.mp4", [], fps=5)
    monkeypatch.setattr(video.importlib.util, "find_spec", lambda name: None)
    check_video(tmp_path / "a.gif")
    with pytest.raises(ImportError, match=r"PyAV: pip install 'latentrl\[video\]', or .* \.gif"):
        check_video(tmp_path / "a.mp4")
