from __future__ import annotations

import io
import os
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from metacli.data.images import ImageSpec, fit, pixel_hash, read_image, read_pixels
from metacli.errors import DataError

RGB4 = ImageSpec(3, 4, 4)
GREY4 = ImageSpec(1, 4, 4)


def encoded(image: Image.Image, kind: str = "PNG", **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def constant(mode: str, color: object, size: tuple[int, int] = (4, 4)) -> Image.Image:
    return Image.new(mode, size, color)


def test_a_image_of_the_wanted_size_keeps_every_pixel():
    pixels = np.arange(48, dtype=np.uint8).reshape(4, 4, 3)
    read = read_image(encoded(Image.fromarray(pixels)), RGB4)
    assert read.dtype == np.uint8
    np.testing.assert_array_equal(read, pixels.transpose(2, 0, 1))


def test_what_is_read_may_be_written_to_and_lies_in_order():
    for spec in (RGB4, GREY4, ImageSpec(3, 1, 1), ImageSpec(1, 1, 1)):
        read = read_image(encoded(constant("RGB", (1, 2, 3))), spec)
        assert read.flags.writeable
        assert read.flags.c_contiguous


def test_grey_becomes_three_equal_channels_and_colour_becomes_luma():
    assert read_image(encoded(constant("L", 7)), RGB4)[:, 0, 0].tolist() == [7, 7, 7]
    # ITU-R 601: 0.299 * 255 rounds to 76
    assert read_image(encoded(constant("RGB", (255, 0, 0))), GREY4)[0, 0, 0] == 76


def test_bilevel_images_are_black_0_and_white_255():
    image = Image.new("1", (2, 1))
    image.putpixel((1, 0), 1)
    assert read_image(encoded(image), ImageSpec(1, 1, 2)).tolist() == [[[0, 255]]]


@pytest.mark.parametrize(
    ("mode", "color", "expected"),
    [
        ("RGBA", (255, 0, 0, 0), [255, 255, 255]),
        ("RGBA", (255, 0, 0, 255), [255, 0, 0]),
        ("RGBA", (0, 0, 0, 51), [204, 204, 204]),  # a fifth of black over white
        ("LA", (0, 0), [255, 255, 255]),
        ("LA", (10, 255), [10, 10, 10]),
    ],
)
def test_transparency_is_laid_on_white(mode: str, color: object, expected: list[int]):
    assert read_image(encoded(constant(mode, color)), RGB4)[:, 1, 1].tolist() == expected


def test_a_transparent_palette_entry_is_white_and_an_opaque_one_its_colour():
    image = Image.new("P", (2, 1))
    image.putpalette([9, 9, 9, 30, 40, 50])
    image.putpixel((1, 0), 1)
    for kind in ("PNG", "GIF"):
        read = read_image(encoded(image, kind, transparency=0), ImageSpec(3, 1, 2))
        assert read.transpose(1, 2, 0).tolist() == [[[255, 255, 255], [30, 40, 50]]]


def test_a_transparent_colour_key_of_rgb_and_grey_is_white():
    rgb = read_image(encoded(constant("RGB", (1, 2, 3)), transparency=(1, 2, 3)), RGB4)
    assert (rgb == 255).all()
    assert (read_image(encoded(constant("L", 5), transparency=5), GREY4) == 255).all()


@pytest.mark.parametrize("kind", ["PNG", "TIFF"])
def test_16_bit_grey_keeps_its_upper_byte(kind: str):
    image = Image.fromarray(np.array([[0, 255, 256, 65535]], dtype=np.uint16))
    assert read_image(encoded(image, kind), ImageSpec(1, 1, 4)).tolist() == [[[0, 0, 1, 255]]]


def test_32_bit_pixels_are_read_as_16_bit_and_refused_outside():
    def tiff(values: list[int]) -> bytes:
        return encoded(Image.fromarray(np.array([values], dtype=np.int32)), "TIFF")

    assert read_image(tiff([0, 65535]), ImageSpec(1, 1, 2)).tolist() == [[[0, 255]]]
    for outside in ([0, 65536], [-1, 5]):
        with pytest.raises(DataError, match="wanted 0 to 65535"):
            read_image(tiff(outside), ImageSpec(1, 1, 2))


def test_float_pixels_are_read_as_0_to_1_and_refused_outside():
    def tiff(values: list[float]) -> bytes:
        return encoded(Image.fromarray(np.array([values], dtype=np.float32)), "TIFF")

    assert read_image(tiff([0, 0.5, 1]), ImageSpec(1, 1, 3)).tolist() == [[[0, 128, 255]]]
    for outside in ([0, 1.5], [float("nan"), 0], [-0.1, 0]):
        with pytest.raises(DataError, match="wanted 0 to 1"):
            read_image(tiff(outside), ImageSpec(1, 1, 2))


def test_cmyk_becomes_rgb():
    for color, expected in (((0, 0, 0, 0), 255), ((0, 0, 0, 255), 0)):
        read = read_image(encoded(constant("CMYK", color), "JPEG", quality=100), RGB4)
        assert np.abs(read.astype(int) - expected).max() <= 1


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "TIFF", "WEBP"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_rotation_is_applied(kind: str, orientation: int):
    upright = np.zeros((16, 32), dtype=np.uint8)
    upright[:8, :16] = 255  # only the top left quarter is white
    turns = {  # what a camera stored, so that the given orientation shows it upright
        1: lambda a: a,
        2: lambda a: a[:, ::-1],
        3: lambda a: a[::-1, ::-1],
        4: lambda a: a[::-1],
        5: lambda a: a.T,
        6: lambda a: np.rot90(a, 1),
        7: lambda a: a[::-1, ::-1].T,
        8: lambda a: np.rot90(a, -1),
    }
    stored = Image.fromarray(np.ascontiguousarray(turns[orientation](upright))).convert("RGB")
    exif = Image.Exif()
    exif[0x0112] = orientation
    options = {"lossless": True} if kind == "WEBP" else {}
    read = read_image(encoded(stored, kind, exif=exif, **options), ImageSpec(1, 16, 32))
    np.testing.assert_array_equal(read[0] > 127, upright > 127)


def test_another_size_is_resized_with_lanczos_to_exactly_the_wanted_one():
    pixels = np.arange(60, dtype=np.uint8).reshape(6, 10)
    image = Image.fromarray(pixels)
    expected = np.asarray(image.resize((3, 2), Image.Resampling.LANCZOS))
    np.testing.assert_array_equal(read_image(encoded(image), ImageSpec(1, 2, 3))[0], expected)


def test_of_an_animation_the_first_frame_is_read():
    frames = [constant("L", 10), constant("L", 200)]
    for kind in ("GIF", "TIFF", "PNG"):
        data = encoded(frames[0], kind, save_all=True, append_images=frames[1:])
        assert read_image(data, GREY4)[0, 0, 0] == 10, kind


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP", "BMP", "GIF", "TIFF", "PPM"])
def test_every_format_is_read_from_bytes_and_from_a_path_alike(kind: str, tmp_path: Path):
    data = encoded(constant("RGB", (200, 200, 200), (16, 16)), kind)
    file = tmp_path / "picture.of.unknown"
    file.write_bytes(data)
    read = read_image(data, RGB4)
    assert np.abs(read.astype(int) - 200).max() <= 2
    np.testing.assert_array_equal(read, read_image(file, RGB4))


def test_the_hash_is_of_pixels_and_size_not_of_the_file():
    grey = constant("L", 9, (3, 2))
    same = [encoded(grey), encoded(grey, "BMP"), encoded(grey.convert("RGB")), encoded(grey, "GIF")]
    assert len({pixel_hash(read_pixels(data)) for data in same}) == 1
    others = [constant("L", 8, (3, 2)), constant("L", 9, (2, 3)), constant("L", 9, (6, 1))]
    hashes = {pixel_hash(read_pixels(encoded(image))) for image in (grey, *others)}
    assert len(hashes) == 4


@pytest.mark.parametrize("channels", [0, 2, 4])
def test_a_spec_of_impossible_images_is_refused(channels: int):
    with pytest.raises(DataError, match="channels must be 1 or 3"):
        ImageSpec(channels, 4, 4)


def test_fit_turns_grey_pixels_into_rgb_of_another_size():
    assert (
        fit(np.full((5, 5), 3, dtype=np.uint8), ImageSpec(3, 2, 7)).tolist() == [[[3] * 7] * 2] * 3
    )


def test_reading_25_small_images_takes_milliseconds(tmp_path: Path):
    noise = np.random.Generator(np.random.PCG64(0)).integers(0, 256, (28, 28), dtype=np.uint8)
    for number in range(25):
        Image.fromarray(noise).save(tmp_path / f"{number}.png")
    files = sorted(tmp_path.iterdir())
    spec = ImageSpec(1, 28, 28)
    read_image(files[0], spec)  # loads Pillow's plugins
    start = time.process_time()
    for file in files:
        read_image(file, spec)
    assert time.process_time() - start < 0.1


def test_importing_the_reader_imports_no_torch():
    code = (
        "import sys, metacli.data.user.open; "
        "print([m for m in ('torch', 'torchvision', 'sklearn', 'polars') if m in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, env=os.environ
    )
    assert done.stdout.strip() == "[]"
