"""Folders of images: order, size, colour, orientation, damage."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from gymnasium import spaces
from PIL import Image
from torch.nn import functional as F

import latentrl as lrl
from latentrl.data.images import ImageFolder, image_files
from tests.latentrl.data.writers import save_image, write


def test_folders_are_read_recursively_in_order(images: Any, tmp_path: Path) -> None:
    names = ["a.png", "cats/0.PNG", "cats/deeper/1.bmp", "dogs/0.png"]
    for name, image in zip(names, images, strict=False):
        save_image(tmp_path / name, image)
    for name in (".hidden.png", "cats/._0.png", ".cache/0.png", "notes.txt"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        write(tmp_path / name, b"no image")
    assert [path.relative_to(tmp_path).as_posix() for path in image_files(tmp_path)] == names
    with pytest.warns(UserWarning, match=r"files of other kinds in .* were left out: \.txt 1$"):
        frames = lrl.as_frames(tmp_path)
    np.testing.assert_array_equal(frames[:], images[:4])


def test_a_single_image_is_read(images: Any, tmp_path: Path) -> None:
    np.testing.assert_array_equal(
        lrl.as_frames(save_image(tmp_path / "one.png", images[0]))[:], images[:1]
    )


@pytest.mark.parametrize(
    ("sizes", "common"),
    [
        ([(20, 30)], (20, 30)),
        ([(20, 30), (40, 30), (100, 90)], (40, 30)),
        ([(20, 30), (31, 40)], (26, 35)),
        ([(512, 300)], (256, 150)),
        ([(100, 1000)], (26, 256)),
        ([(1, 2000)], (1, 256)),
        ([(500, 100), (100, 500), (100, 100)], (100, 100)),
    ],
)
def test_images_are_resized_to_the_median_size(
    sizes: list[tuple[int, int]], common: tuple[int, int], tmp_path: Path
) -> None:
    for number, (height, width) in enumerate(sizes):
        save_image(tmp_path / f"{number}.png", np.zeros((height, width, 3), np.uint8))
    frames = lrl.as_frames(tmp_path)
    assert frames.space.shape == (*common, 3)
    assert frames[:].shape == (len(sizes), *common, 3)


def test_at_most_256_headers_are_read_at_opening(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = save_image(tmp_path / "a.png", np.zeros((8, 8, 3), np.uint8))
    opened: list[Path] = []
    plain = Image.open
    monkeypatch.setattr(
        Image, "open", lambda path, **options: opened.append(path) or plain(path, **options)
    )
    assert ImageFolder([path] * 10_000).shape == (10_000, 8, 8, 3)
    assert len(opened) == 256


@pytest.mark.parametrize("size", [(96, 64), (20, 48), (64, 64), (10, 12)])
def test_resizing_is_antialiased_and_bilinear(
    size: tuple[int, int], images: Any, tmp_path: Path
) -> None:
    pixels = torch.from_numpy(images[:1]).permute(0, 3, 1, 2).float()
    resized = F.interpolate(pixels, size, mode="bilinear").round().byte()
    other = save_image(tmp_path / "other.png", resized[0].permute(1, 2, 0).numpy())
    first = save_image(tmp_path / "first.png", images[0])
    expected = F.interpolate(resized.float(), (32, 32), mode="bilinear", antialias=True)[0].permute(
        1, 2, 0
    )
    frames = ImageFolder([first, first, other])[np.arange(3)]
    np.testing.assert_array_equal(frames[0], images[0])
    assert np.abs(frames[2] - expected.numpy()).max() <= 1.5


def gradient(channels: int = 1) -> Any:
    ramp = np.linspace(0, 255, 32 * 32 * channels).astype(np.uint8).reshape(32, 32, channels)
    return ramp[..., 0] if channels == 1 else ramp


@pytest.mark.parametrize(
    ("pixels", "mode", "expected"),
    [
        (gradient(), None, gradient()),
        (gradient(), "LA", gradient()),
        (gradient() > 99, "1", (gradient() > 99) * 255),
        (gradient().astype(np.uint16) * 257, None, gradient().astype(np.uint16) * 257),
        (gradient(3), None, gradient(3)),
        (gradient(4), None, gradient(4)[..., :3]),
        (gradient(), "P", gradient()[..., None].repeat(3, -1)),
    ],
    ids=[
        "grey",
        "grey with alpha",
        "black and white",
        "16 bits",
        "colour",
        "colour with alpha",
        "palette",
    ],
)
def test_pixel_formats(pixels: Any, mode: str | None, expected: Any, tmp_path: Path) -> None:
    save_image(tmp_path / "0.png", pixels, mode)
    np.testing.assert_array_equal(lrl.as_frames(tmp_path)[0], expected)


def test_palettes_with_transparency(tmp_path: Path) -> None:
    image = Image.fromarray(gradient()).convert("P")
    image.save(tmp_path / "0.png", transparency=bytes(range(256)))
    np.testing.assert_array_equal(lrl.as_frames(tmp_path)[0], gradient()[..., None].repeat(3, -1))


def test_one_file_in_colour_makes_all_rgb(images: Any, tmp_path: Path) -> None:
    save_image(tmp_path / "0.png", images[0, ..., 0])
    assert lrl.as_frames(tmp_path).space == spaces.Box(0, 255, (32, 32), np.uint8)
    save_image(tmp_path / "1.png", images[1])
    np.testing.assert_array_equal(lrl.as_frames(tmp_path)[0], images[0, ..., :1].repeat(3, -1))


def test_large_photographs_are_shrunk(tmp_path: Path) -> None:
    rows, columns = np.mgrid[:768, :1024] / 4
    save_image(
        tmp_path / "0.jpg",
        np.stack([rows, columns, 255 - columns], -1).astype(np.uint8),
        quality=95,
    )
    image = lrl.as_frames(tmp_path)[0].astype(float)
    rows, columns = np.mgrid[:192, :256] + 0.5
    assert np.abs(image - np.stack([rows, columns, 255 - columns], -1)).mean() < 2


def test_photographs_are_rotated_by_their_exif_record(images: Any, tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # the viewer rotates by 90 degrees clockwise
    wide = np.ascontiguousarray(images[0, :16])
    save_image(tmp_path / "0.jpg", wide, quality=100, subsampling=0, exif=exif)
    image = lrl.as_frames(tmp_path)[0]
    assert image.shape == (32, 16, 3)
    assert np.abs(image.astype(int) - np.rot90(wide, -1)).mean() < 2


@pytest.mark.parametrize("suffix", ["png", "jpg"])
@pytest.mark.parametrize("fraction", [0, 0.1, 0.5, 0.9])
def test_damaged_images_are_named(suffix: str, fraction: float, tmp_path: Path) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8)
    data = save_image(tmp_path / f"1.{suffix}", pixels).read_bytes()
    save_image(tmp_path / f"0.{suffix}", pixels)
    write(tmp_path / f"1.{suffix}", data[: int(fraction * len(data))])
    with pytest.raises(ValueError, match=rf"1.{suffix} cannot be read as an image: "):
        lrl.as_frames(tmp_path)[:]


def test_files_that_are_no_images_are_named_on_opening(images: Any, tmp_path: Path) -> None:
    save_image(tmp_path / "0.png", images[0])
    write(tmp_path / "1.png", b"no image")
    with pytest.raises(ValueError, match=r"1.png cannot be read as an image: "):
        lrl.as_frames(tmp_path)


def test_folders_without_images(tmp_path: Path) -> None:
    message = r"holds neither a frame store nor images \(\.png, \.jpg, .*, \.gif\), but "
    with pytest.raises(ValueError, match=rf"{message}nothing"):
        lrl.as_frames(tmp_path)
    for name in "fbadec":
        write(tmp_path / f"{name}.mp4", b"")
    with pytest.raises(ValueError, match=rf"{message}a.mp4, b.mp4, c.mp4, d.mp4, e.mp4$"):
        image_files(tmp_path)


@pytest.mark.parametrize("suffix", ["tif", "tiff", "webp", "gif", "bmp"])
def test_other_formats_are_read(suffix: str, images: Any, tmp_path: Path) -> None:
    options = {"lossless": True} if suffix == "webp" else {}
    grey = images[0, ..., :1].repeat(3, -1)  # which the palette of a GIF holds
    save_image(tmp_path / f"0.{suffix}", grey, **options)
    np.testing.assert_array_equal(lrl.as_frames(tmp_path)[0], grey)


@pytest.mark.parametrize("suffix", ["png", "tif"])
def test_files_of_16_bits_keep_them(suffix: str, tmp_path: Path) -> None:
    depth = np.arange(32 * 24, dtype=np.uint16).reshape(32, 24) * 80 + 3
    for i in range(3):
        save_image(tmp_path / f"{i}.{suffix}", depth + i)
    frames = lrl.as_frames(tmp_path)
    assert frames.space == spaces.Box(0, 65535, (32, 24), np.uint16)
    np.testing.assert_array_equal(frames[:], depth + np.arange(3, dtype=np.uint16)[:, None, None])


def test_files_of_16_bits_are_resized_in_16_bits(tmp_path: Path) -> None:
    for i, size in enumerate([16, 16, 32]):
        ramp = np.linspace(0, 60_000, size).astype(np.uint16)
        save_image(tmp_path / f"{i}.png", np.tile(ramp[:, None], (1, size)))
    small, _, large = lrl.as_frames(tmp_path)[:].astype(int)
    assert np.abs(large - small).max() < 2_500
    assert np.abs(np.diff(large[:, 0])[1:-1] - np.diff(small[:, 0])[1:-1]).max() < 200


def test_files_of_8_and_of_16_bits_are_told_apart(tmp_path: Path) -> None:
    for i in range(9):
        save_image(tmp_path / f"{i}.png", gradient())
    save_image(tmp_path / "9.png", gradient().astype(np.uint16) * 257)
    with pytest.raises(ValueError, match=r"9.png has 16 bits, .*0.png has 8: keep images of one"):
        lrl.as_frames(tmp_path)
    folder = ImageFolder(image_files(tmp_path)[:9])
    folder.paths.append(tmp_path / "9.png")  # as a file that is not among the sampled ones
    with pytest.raises(ValueError, match=r"9.png cannot be read as an image: .* not 8 bits"):
        folder.verify()


def test_float_images_are_refused(tmp_path: Path) -> None:
    save_image(tmp_path / "0.tif", gradient().astype(np.float32))
    with pytest.raises(ValueError, match=r"0.tif .*: its pixels are floats: save such images as"):
        lrl.as_frames(tmp_path)


@pytest.mark.parametrize("value", [-1, 70_000])
def test_integers_that_do_not_fit_16_bits_are_refused(value: int, tmp_path: Path) -> None:
    save_image(tmp_path / "0.tif", np.full((16, 16), value, np.int32))
    with pytest.raises(ValueError, match=r"0.tif .*: its values do not fit 16 bits"):
        lrl.as_frames(tmp_path)[0]


def test_files_of_several_images_are_counted_aloud(tmp_path: Path) -> None:
    pages = [Image.fromarray(np.roll(gradient(), i)) for i in range(3)]
    pages[0].save(tmp_path / "0.gif", save_all=True, append_images=pages[1:])
    with pytest.warns(UserWarning, match="0.gif hold several images, of which the first is read"):
        frames = lrl.as_frames(tmp_path)
    np.testing.assert_array_equal(frames[0], np.asarray(pages[0].convert(frames_mode(frames))))


def frames_mode(frames: Any) -> str:
    return "L" if len(frames.space.shape) == 2 else "RGB"


def test_colours_of_16_bits_are_counted_aloud(tmp_path: Path) -> None:
    import cv2

    cv2.imwrite(str(tmp_path / "0.png"), gradient(3).astype(np.uint16) * 257)
    with pytest.warns(UserWarning, match="0.png have colours of 16 bits, of which 8 are read"):
        assert lrl.as_frames(tmp_path).space.dtype == np.uint8


def test_damaged_images_are_named_before_training(images: Any, tmp_path: Path) -> None:
    paths = [save_image(tmp_path / f"{i:03}.png", images[i % 50]) for i in range(300)]
    data = paths[250].read_bytes()
    write(paths[250], data[: len(data) // 2])
    model = lrl.ae((32, 32, 3), latent_dim=2)
    with pytest.raises(ValueError, match=r"250.png cannot be read as an image: "):
        lrl.fit(model, tmp_path, callbacks=[no_training()], progress=False)


def no_training() -> Any:
    def on_epoch_end(*_: Any) -> None:
        raise AssertionError("trained")

    return type("NoTraining", (), {"on_epoch_end": staticmethod(on_epoch_end)})()
