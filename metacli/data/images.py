"""The one reader of images: bytes or a path in, uint8 pixels or a DataError out.

The rules never depend on what an image shows: EXIF rotation is applied; transparency is laid on
white; the first frame of an animation counts; 16-bit grey keeps its upper byte; 32-bit whole
numbers are read as 16-bit ones and floats as 0..1, values outside are errors; an image of another
size is resized (Lanczos) to exactly the wanted one, without keeping its aspect ratio, or, for
networks that were made for it, its middle is cut out after its shorter side was resized (bicubic).
Colour profiles are not applied. A recording is read as its log-mel spectrogram (`data.audio`).

Shape letters: C channels, H height, W width.
"""

from __future__ import annotations

import hashlib
import struct
import warnings
import zlib
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path, PurePath

import numpy as np
from PIL import (  # the plugins by name: otherwise Pillow would import all of its forty
    BmpImagePlugin,
    GifImagePlugin,
    Image,
    JpegImagePlugin,
    PngImagePlugin,
    PpmImagePlugin,
    TiffImagePlugin,
    UnidentifiedImageError,
    WebPImagePlugin,
)

from metacli.data.audio.recordings import AUDIO_SUFFIXES, is_wav, spectrogram
from metacli.data.files import read_regular, shown
from metacli.data.image_changes import Change, changed
from metacli.errors import DataError

# A phone's MPO is opened by the JPEG plugin.
FORMATS = tuple(
    plugin.format
    for plugin in (
        PngImagePlugin.PngImageFile,
        JpegImagePlugin.JpegImageFile,
        WebPImagePlugin.WebPImageFile,
        BmpImagePlugin.BmpImageFile,
        GifImagePlugin.GifImageFile,
        TiffImagePlugin.TiffImageFile,
        PpmImagePlugin.PpmImageFile,
    )
)
IMAGE_SUFFIXES = frozenset(
    (
        *(".png", ".jpg", ".jpeg", ".jpe", ".jfif", ".mpo", ".webp", ".bmp", ".dib", ".gif"),
        *(".tif", ".tiff", ".ppm", ".pgm", ".pbm", ".pnm", ".pfm"),
    )
)
FILE_SUFFIXES = IMAGE_SUFFIXES | AUDIO_SUFFIXES  # of what `read_pixels` reads
MAX_PIXELS = 50_000_000  # far below Pillow's own limit; 50 megapixels are 150 MB of RGB
LONGEST = 16  # times the shorter side, of what is kept of a strip before it is resized
MAX_SIDE = 65_535  # what JPEG can say; resizing a strip of millions of pixels would take gigabytes

# What Pillow's decoders raise on damaged files. OSError: cut off; SyntaxError: a bad header.
_DECODER_ERRORS = (
    OSError,
    SyntaxError,
    ValueError,
    TypeError,
    AttributeError,
    LookupError,
    ArithmeticError,
    AssertionError,
    EOFError,
    MemoryError,
    BufferError,
    RuntimeError,
    struct.error,
    zlib.error,
    Image.DecompressionBombError,
)

_ORIENTATION = 0x0112
_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


@dataclass(frozen=True, slots=True)
class ImageSpec:
    """The images that a model wants.

    Args:
        channels: 1 (grey) or 3 (RGB). height, width: in pixels.
        shorter: the image keeps its aspect ratio: its shorter side is resized (bicubic) to so many
            pixels, and the middle is cut out; None: it is resized (Lanczos) to exactly the size.
        changes: what is done to the image before.
    """

    channels: int
    height: int
    width: int
    shorter: int | None = None
    changes: tuple[Change, ...] = ()

    def __post_init__(self) -> None:
        if self.channels not in (1, 3) or self.height < 1 or self.width < 1:
            raise DataError(
                f"no image has {self.channels} channels and {self.height} x {self.width} pixels: "
                "channels must be 1 or 3, sides at least 1"
            )
        if self.shorter is not None and self.shorter < max(self.height, self.width):
            raise DataError(
                f"{self.height} x {self.width} pixels cannot be cut out of an image whose shorter "
                f"side has {self.shorter}"
            )


def read_image(source: bytes | Path, spec: ImageSpec) -> np.ndarray:
    """An image as uint8 [C, H, W].

    Raises:
        DataError: it cannot be read; the message names the file and what is wrong with it.
    """
    return fit(read_pixels(source), spec)


def read_pixels(source: bytes | Path) -> np.ndarray:
    """The decoded pixels at their own size, uint8: grey [H, W] or RGB [H, W, 3].

    Raises:
        DataError: it cannot be read; the message names the file and what is wrong with it.
    """
    if isinstance(source, PurePath):
        name, content = shown(source), read_regular(source)
        raw = _RAW_SUFFIXES.get(source.suffix.lower())
        if raw:  # TIFF inside, of which only a thumbnail would be read
            raise _unsupported(name, raw)
    else:
        name, content = "the image", source
    if is_wav(content) or is_recording(name):
        return spectrogram(content, name)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter(
                "ignore"
            )  # Pillow's remarks on metadata; pixels missing is an error, not a warning
            return _decode(content, name)
    except UnidentifiedImageError as error:
        raise _unidentified(content, name) from error
    except Image.DecompressionBombError as error:
        raise _too_many_pixels(name, "more pixels than Pillow decodes") from error
    except _DECODER_ERRORS as error:
        raise DataError(
            f"{name} is damaged or cut off: {_reason(error)}", code="data.damaged_image", where=name
        ) from error


def is_recording(name: str) -> bool:
    """By the ending of a file's name."""
    return PurePath(name).suffix.lower() in AUDIO_SUFFIXES


def image_or_recording(name: str) -> str:
    """What messages call the file of that name."""
    return "recording" if is_recording(name) else "image"


def fit(pixels: np.ndarray, spec: ImageSpec) -> np.ndarray:
    """Pixels [H, W] or [H, W, 3] in the channels and at the size of `spec`: uint8 [C, H, W]."""
    mode = "L" if spec.channels == 1 else "RGB"
    image = Image.fromarray(changed(pixels, spec.changes) if spec.changes else pixels)
    if image.mode != mode:
        image = image.convert(mode)
    if spec.shorter is not None:
        image = middle(image, spec.shorter, spec.height, spec.width)
    elif image.size != (spec.width, spec.height):
        image = image.resize((spec.width, spec.height), Image.Resampling.LANCZOS)
    array = np.asarray(image).reshape(spec.height, spec.width, spec.channels)
    return np.array(array.transpose(2, 0, 1), order="C")  # a copy: Pillow's own memory is read-only


def middle(image: Image.Image, shorter: int, height: int, width: int) -> Image.Image:
    """The middle of an image whose shorter side was resized, as torchvision's `Resize` and
    `CenterCrop` make it."""
    if max(image.size) > LONGEST * min(image.size):  # a strip would be resized to gigabytes
        sides = [min(side, LONGEST * min(image.size)) for side in image.size]
        image = cut(image, sides[0], sides[1])
    scale = shorter / min(image.size)
    if scale != 1:
        sides = [shorter if side == min(image.size) else int(side * scale) for side in image.size]
        image = image.resize((sides[0], sides[1]), Image.Resampling.BICUBIC)
    return cut(image, width, height)


def cut(image: Image.Image, width: int, height: int) -> Image.Image:
    """The middle, nothing resized."""
    left, top = round((image.width - width) / 2), round((image.height - height) / 2)
    return image.crop((left, top, left + width, top + height))


def pixel_hash(pixels: np.ndarray) -> str:
    """SHA-256 of decoded pixels [H, W] or [H, W, 3] and their size; grey equals itself as RGB."""
    if pixels.ndim == 2:
        pixels = np.repeat(pixels[:, :, None], 3, axis=2)
    digest = hashlib.sha256(f"{pixels.shape[0]}x{pixels.shape[1]};".encode())
    digest.update(np.ascontiguousarray(pixels).data)
    return digest.hexdigest()


def _decode(content: bytes, name: str) -> np.ndarray:
    with Image.open(BytesIO(content), formats=FORMATS) as image:
        width, height = image.size
        if width < 1 or height < 1:
            raise ValueError(f"its size is {width} x {height} pixels")
        if width * height > MAX_PIXELS or max(width, height) > MAX_SIDE:
            raise _too_many_pixels(name, f"{width} x {height} pixels")
        return pixels_of(image, name)


def pixels_of(image: Image.Image, name: str = "the image") -> np.ndarray:
    """The pixels of an open image at its own size, uint8: grey [H, W] or RGB [H, W, 3].

    Raises:
        DataError: values outside of what its mode allows.
    """
    image.load()  # before the orientation is looked at: TIFF images are turned while loading
    turn = _TURNS.get(image.getexif().get(_ORIENTATION, 1))
    return np.ascontiguousarray(_flatten(image if turn is None else image.transpose(turn), name))


def _flatten(image: Image.Image, name: str) -> np.ndarray:
    """Grey [H, W] or RGB [H, W, 3], uint8, from any mode that a decoder may give."""
    if image.mode in ("L", "RGB") and "transparency" not in image.info:
        return np.asarray(image)
    if image.mode.startswith("I;16"):
        return (np.asarray(image) >> 8).astype(np.uint8)
    if image.mode == "I":
        return (_within(image, 65_535, name) >> 8).astype(np.uint8)
    if image.mode == "F":
        return np.rint(_within(image, 1, name) * np.float32(255)).astype(np.uint8)
    if image.has_transparency_data:
        rgba = image if image.mode == "RGBA" else image.convert("RGBA")
        paper = Image.new("RGB", rgba.size, (255, 255, 255))
        paper.paste(rgba, (0, 0), rgba)  # half the memory of alpha_composite
        return np.asarray(paper)
    return np.asarray(image.convert("L" if image.mode in ("1", "L") else "RGB"))


def _within(image: Image.Image, top: int, name: str) -> np.ndarray:
    values = np.asarray(image)
    if not (values.min() >= 0 and values.max() <= top):  # a NaN fails too
        raise DataError(
            f"{name} has {'float' if top == 1 else '32-bit'} values from {values.min()} to "
            f"{values.max()}, wanted 0 to {top}",
            code="data.pixel_range",
            where=name,
            hint="save it as an 8-bit or 16-bit PNG",
        )
    return values


def _reason(error: BaseException) -> str:
    if isinstance(error, MemoryError):
        return "not enough memory to decode it"
    return shown(" ".join(str(error).split()))[:200] or type(error).__name__


def _too_many_pixels(name: str, size: str) -> DataError:
    return DataError(
        f"{name} is too large: {size}, at most {MAX_PIXELS:,} pixels and {MAX_SIDE:,} a side",
        code="data.image_too_large",
        where=name,
        hint="shrink it first",
    )


def _unsupported(name: str, what: str) -> DataError:
    return DataError(
        f"{name} is {what}, which is not supported",
        code="data.unsupported_format",
        where=name,
        hint="convert it to PNG or JPEG",
    )


def _unidentified(content: bytes, name: str) -> DataError:
    what = _sniff(content)
    if what:
        return _unsupported(name, what)
    return DataError(
        f"{name} is not an image in PNG, JPEG, WebP, BMP, GIF, TIFF or PPM format",
        code="data.not_an_image",
        where=name,
    )


def _sniff(content: bytes) -> str | None:
    """A familiar format that is not read here, from the first bytes."""
    if content[4:8] == b"ftyp":
        return _FTYP_BRANDS.get(content[8:12], "a video")
    if content[128:132] == b"DICM":
        return "a DICOM image"
    start = content[:512].lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    return next(
        (what for magic, what in _MAGIC if content.startswith(magic) or start.startswith(magic)),
        None,
    )


_RAW_SUFFIXES = dict.fromkeys(
    (".cr2", ".cr3", ".nef", ".arw", ".dng", ".orf", ".rw2", ".raf", ".pef", ".srw"),
    "a camera raw file",
)
_FTYP_BRANDS = dict.fromkeys(
    (b"heic", b"heix", b"hevc", b"hevx", b"heim", b"heis", b"mif1", b"msf1"), "a HEIC image"
) | dict.fromkeys((b"avif", b"avis"), "an AVIF image")
_MAGIC = (
    (b"\x00\x00\x00\x0cjP  ", "a JPEG 2000 image"),
    (b"\xff\x4f\xff\x51", "a JPEG 2000 image"),
    (b"\xff\x0a", "a JPEG XL image"),
    (b"\x00\x00\x00\x0cJXL ", "a JPEG XL image"),
    (b"8BPS", "a Photoshop file"),
    (b"%PDF", "a PDF"),
    (b"PK\x03\x04", "a ZIP archive"),
    (b"\x1f\x8b", "a gzip archive"),
    (b"\x76\x2f\x31\x01", "an OpenEXR image"),
    (b"SIMPLE  =", "a FITS image"),
    (b"\x93NUMPY", "a NumPy array"),
    (b"\x00\x00\x01\x00", "an ICO icon"),
    (b"version https://git-lfs", "a Git LFS pointer (`git lfs pull` fetches the image)"),
    (b"<svg", "an SVG drawing"),
    (b"<?xml", "an XML file or SVG drawing"),
    (b"<!doctype", "a web page"),
    (b"<html", "a web page"),
)
