from __future__ import annotations

import io
import os
import random
import socket
import struct
import subprocess
import sys
import zlib
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageFile

from metacli.data.files import shown
from metacli.data.images import MAX_PIXELS, ImageSpec, pixel_hash, read_image, read_pixels
from metacli.data.user.open import list_inputs, list_task, load_task, survey_task
from metacli.errors import DataError

GREY8 = ImageSpec(1, 8, 8)


def encoded(image: Image.Image, kind: str, **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def seeds() -> dict[str, bytes]:
    """Tiny pictures that reach every decoder and most modes."""
    noise = np.random.Generator(np.random.PCG64(1)).integers(0, 256, (9, 11, 4), dtype=np.uint8)
    rgba = Image.fromarray(noise)
    rgb, grey = rgba.convert("RGB"), rgba.convert("L")
    palette = rgb.quantize(16)
    deep = Image.fromarray(noise[:, :, 0].astype(np.uint16) * 257)
    exif = Image.Exif()
    exif[0x0112] = 6
    exif[0x010E] = "a description"
    frames = {"save_all": True, "append_images": [palette.rotate(90)]}
    made = {
        "rgba.png": encoded(rgba, "PNG", exif=exif),
        "interlaced.png": encoded(grey.convert("1"), "PNG"),
        "palette.png": encoded(palette, "PNG", transparency=b"\x00\x80\xff"),
        "deep.png": encoded(deep, "PNG"),
        "animated.png": encoded(rgb, "PNG", save_all=True, append_images=[rgb.rotate(180)]),
        "baseline.jpg": encoded(rgb, "JPEG", exif=exif, icc_profile=b"x" * 40),
        "progressive.jpg": encoded(grey, "JPEG", progressive=True),
        "cmyk.jpg": encoded(rgb.convert("CMYK"), "JPEG"),
        "animated.gif": encoded(palette, "GIF", **frames),
        "rgb.bmp": encoded(rgb, "BMP"),
        "palette.bmp": encoded(palette, "BMP"),
        "raw.tif": encoded(rgb, "TIFF", exif=exif),
        "float.tif": encoded(Image.fromarray(noise[:, :, 0].astype(np.float32) / 255), "TIFF"),
        "lossy.webp": encoded(rgb, "WEBP"),
        "lossless.webp": encoded(rgba, "WEBP", lossless=True, exif=exif),
        "animated.webp": encoded(rgba, "WEBP", save_all=True, append_images=[rgba.rotate(180)]),
        "binary.ppm": encoded(rgb, "PPM"),
        "deep.pgm": b"P5 4 2 65535\n" + bytes(range(16)),
        "plain.pbm": b"P1 # comment\n4 2\n0 1 0 1 1 0 1 0\n",
        "float.pfm": b"Pf\n2 2\n-1.0\n" + struct.pack("<4f", 0, 0.25, 0.5, 1),
    }
    for compression in ("tiff_lzw", "tiff_adobe_deflate", "jpeg", "group4", "packbits"):
        image = grey.convert("1") if compression == "group4" else rgb
        made[f"{compression}.tif"] = encoded(image, "TIFF", compression=compression)
    return made


def repair_png(content: bytes) -> bytes:
    """The same bytes with right checksums, so that a mutation gets past the first gate."""
    out, place = bytearray(content[:8]), 8
    while place + 12 <= len(content):
        size = struct.unpack(">I", content[place : place + 4])[0]
        if place + 12 + size > len(content):
            break
        body = content[place + 4 : place + 8 + size]
        out += content[place : place + 4] + body + struct.pack(">I", zlib.crc32(body))
        place += 12 + size
    return bytes(out + content[place:])


EDGES = (
    b"\x00",
    b"\xff",
    b"\x7f\xff\xff\xff",
    b"\xff\xff\xff\xff",
    b"\x00\x00\x00\x00",
    b"\x80\x00",
)


def mutated(content: bytes, draw: random.Random) -> bytes:
    """One to four random edits: flipped bits, edge values, cuts, copies."""
    data = bytearray(content)
    for _ in range(draw.randint(1, 4)):
        place = (
            draw.randrange(len(data)) if draw.random() < 0.5 else draw.randrange(min(64, len(data)))
        )
        edit = draw.randrange(5)
        if edit == 0:
            data[place] ^= 1 << draw.randrange(8)
        elif edit == 1:
            value = draw.choice(EDGES)
            data[place : place + len(value)] = value
        elif edit == 2:
            del data[place : place + draw.randint(1, 12)]
        elif edit == 3:
            data[place:place] = data[place // 2 : place // 2 + draw.randint(1, 12)]
        elif draw.random() < 0.3:
            del data[place:]
        data = data or bytearray(b"\x00")
    result = bytes(data)
    return repair_png(result) if result.startswith(b"\x89PNG") and draw.random() < 0.7 else result


@pytest.mark.parametrize(
    "count", [600, pytest.param(50_000, marks=[pytest.mark.slow, pytest.mark.timeout(1800)])]
)
def test_mutated_images_give_pixels_or_a_data_error(count: int):
    draw = random.Random(20)
    pictures = list(seeds().values())
    outcomes: Counter[str] = Counter()
    messages: set[str] = set()
    for number in range(count):
        content = mutated(pictures[number % len(pictures)], draw)
        try:
            read = read_image(content, GREY8)
        except DataError as error:
            outcomes["refused"] += 1
            messages.add(error.message)
        else:
            outcomes["read"] += 1
            assert (read.shape, read.dtype) == ((1, 8, 8), np.dtype(np.uint8))
    assert all(message.isprintable() for message in messages)
    assert not any(" at 0x" in message for message in messages)  # no address of an object
    # the mutations are neither all harmless nor all hopeless
    assert min(outcomes["read"], outcomes["refused"]) > count / 20


def test_every_seed_of_the_fuzzer_is_a_image():
    for name, content in seeds().items():
        assert read_image(content, GREY8).shape == (1, 8, 8), name


def test_a_image_that_is_cut_off_is_an_error_or_has_lost_no_pixel():
    for name, content in seeds().items():
        whole = pixel_hash(read_pixels(content))
        read = 0
        for end in range(len(content)):
            try:
                pixels = read_pixels(content[:end])
            except DataError:
                continue
            read += 1
            assert pixel_hash(pixels) == whole, (name, end)
        assert read < len(content) * 0.55, name


@pytest.mark.parametrize("progressive", [False, True])
def test_a_jpeg_whose_end_was_never_written_is_damaged(progressive: bool):
    noise = np.random.Generator(np.random.PCG64(1)).integers(0, 256, (30, 40), dtype=np.uint8)
    content = encoded(Image.fromarray(noise).resize((400, 300)), "JPEG", progressive=progressive)
    half = len(content) // 2
    with pytest.raises(DataError, match="damaged or cut off"):
        read_pixels(content[:half] + bytes(len(content) - half))


def test_pillow_is_not_told_to_accept_truncated_images():
    assert ImageFile.LOAD_TRUNCATED_IMAGES is False


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"\x00\x00\x00\x18ftypheic", "a HEIC image"),
        (b"\x00\x00\x00\x18ftypavif", "an AVIF image"),
        (b"\x00\x00\x00\x18ftypisom", "a video"),
        (b"\x00\x00\x00\x0cjP  \r\n", "a JPEG 2000 image"),
        (b"%PDF-1.7", "a PDF"),
        (b"  \n<SVG width='1'/>", "an SVG drawing"),
        (b"\xef\xbb\xbf<!DOCTYPE html>", "a web page"),
        (b"version https://git-lfs.github.com/spec/v1\n", "a Git LFS pointer"),
        (bytes(128) + b"DICM", "a DICOM image"),
    ],
)
def test_an_unsupported_format_is_named(content: bytes, words: str):
    with pytest.raises(DataError, match=f"is {words}.*not supported") as caught:
        read_pixels(content)
    assert caught.value.hint == "convert it to PNG or JPEG"


def test_other_formats_that_pillow_knows_are_not_decoded():
    for kind in ("TGA", "PCX", "ICO", "EPS", "SGI", "JPEG2000", "DDS"):
        with pytest.raises(DataError):
            read_pixels(encoded(Image.new("RGB", (16, 16)), kind))


def test_a_camera_raw_file_is_refused_although_a_thumbnail_could_be_read(tmp_path: Path):
    file = tmp_path / "photo.NEF"
    file.write_bytes(seeds()["raw.tif"])
    with pytest.raises(DataError, match="a camera raw file"):
        read_pixels(file)


def bomb(kind: str) -> bytes:
    def chunk(name: bytes, body: bytes) -> bytes:
        body = name + body
        return struct.pack(">I", len(body) - 4) + body + struct.pack(">I", zlib.crc32(body))

    def png(width: int, height: int) -> bytes:
        header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
        data = chunk(b"IDAT", zlib.compress(bytes(1_000_000)))
        return b"\x89PNG\r\n\x1a\n" + header + data + chunk(b"IEND", b"")

    return {
        "just too many pixels": lambda: png(10_000, MAX_PIXELS // 10_000 + 1),
        "a strip": lambda: png(65_536, 1),
        "all that a PNG can say": lambda: png(2**31 - 1, 2**31 - 1),
        "webp": lambda: (
            b"RIFF\x1e\x00\x00\x00WEBPVP8X\x0a\x00\x00\x00\x10\x00\x00\x00\xff\xff\x00\xff\x3f\x00"
        ),
        "gif": lambda: (
            b"GIF89a\xff\xff\xff\xff\x00\x00\x00,\x00\x00\x00\x00\xff\xff\xff\xff\x00\x02\x02D\x01\x00;"
        ),
        "ppm": lambda: b"P6 100000 100000 255\n",
    }[kind]()


@pytest.mark.parametrize(
    "kind", ["just too many pixels", "a strip", "all that a PNG can say", "webp", "gif", "ppm"]
)
def test_a_decompression_bomb_is_refused_before_it_takes_memory(kind: str, tmp_path: Path):
    file = tmp_path / "bomb"
    file.write_bytes(bomb(kind))
    code = (
        "import resource, sys; from pathlib import Path\n"
        "from metacli.data.images import read_pixels\n"
        "from metacli.errors import DataError\n"
        "peak = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss\n"
        "before = peak()\n"
        "try: read_pixels(Path(sys.argv[1]))\n"
        "except DataError as error: print(error.code, (peak() - before) // 1024)\n"
    )
    command = [sys.executable, "-c", code, str(file)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    outcome, megabytes = done.stdout.split()
    assert outcome in {"data.image_too_large", "data.damaged_image"}
    assert int(megabytes) < 40


def picture(path: Path, value: int) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("L", (2, 2), value).save(path, "PNG")
    return path


@pytest.fixture
def pets(tmp_path: Path) -> Path:
    root = tmp_path / "pets"
    for number, name in enumerate(("cat/1.png", "cat/2.png", "dog/1.png", "dog/2.png")):
        picture(root / name, number)
    return root


def codes(path: Path) -> list[str]:
    return [finding.code for finding in survey_task(path).findings]


def test_links_to_files_folders_and_nothing_are_refused_and_never_followed(pets: Path):
    secret = picture(pets.parent / "outside" / "secret.png", 99)
    (pets / "cat" / "file.png").symlink_to(secret)
    (pets / "cat" / "loop").symlink_to(pets)
    (pets / "cat" / "broken.png").symlink_to(pets / "nowhere")
    (pets / "owl").symlink_to(secret.parent)
    with pytest.raises(DataError, match="4 symbolic links"):
        list_task(pets)
    with pytest.raises(DataError, match="4 symbolic links"):
        load_task(pets, GREY8)
    task = load_task(pets, GREY8, skip_bad=True)
    assert task.skipped == 4
    assert task.labels == ("cat", "dog")
    assert len(task.support.names) == 4
    assert 99 not in task.support.x
    with pytest.raises(DataError, match="is a symbolic link"):
        read_pixels(pets / "cat" / "file.png")


def test_a_link_that_was_itself_named_is_followed(pets: Path, tmp_path: Path):
    (tmp_path / "here").symlink_to(pets)
    (tmp_path / "one.png").symlink_to(pets / "cat" / "1.png")
    assert list_task(tmp_path / "here").labels == ("cat", "dog")
    found = list(list_inputs([tmp_path / "here" / "dog", tmp_path / "one.png"]))
    assert [path.name for path in found] == ["1.png", "2.png", "1.png"]
    assert read_image(found[-1], GREY8)[0, 0, 0] == 0


def test_link_loops_among_inputs_end(pets: Path):
    (pets / "again").symlink_to(pets)
    (pets / "self").symlink_to(pets / "self")
    names = [path.relative_to(pets).as_posix() for path in list_inputs([pets])]
    assert names == ["again", "cat/1.png", "cat/2.png", "dog/1.png", "dog/2.png", "self"]
    with pytest.raises(DataError):
        list_task(pets / "self")


@pytest.mark.timeout(20)
def test_pipes_sockets_and_devices_are_never_opened(pets: Path):
    os.mkfifo(pets / "cat" / "pipe.png")
    with socket.socket(socket.AF_UNIX) as server:
        there = Path.cwd()
        os.chdir(pets / "dog")  # a socket's path must be short
        try:
            server.bind("socket.png")
        finally:
            os.chdir(there)
        with pytest.raises(DataError, match="2 pipes, sockets or devices"):
            load_task(pets, GREY8)
        assert load_task(pets, GREY8, skip_bad=True).skipped == 2
    for path in (pets / "cat" / "pipe.png", Path("/dev/zero")):
        with pytest.raises(DataError, match="a pipe, socket or device"):
            read_pixels(path)


ODD_NAMES = (
    b"caf\xe9",
    b"\xff\xfe",
    b"new\nline",
    b"\x1b[31mred",
    "\u202egnp".encode(),
    b"[bold]x",
)


def test_any_name_of_bytes_works_and_is_shown_without_control_characters(tmp_path: Path):
    for number, name in enumerate(ODD_NAMES):
        picture(tmp_path / os.fsdecode(name) / os.fsdecode(name + b".png"), number)
    task = load_task(tmp_path, GREY8)
    assert sorted(task.labels) == sorted(
        ["caf\\xe9", "\\xff\\xfe", "new\\nline", "\\x1b[31mred", "\\u202egnp", "[bold]x"]
    )
    for text in (*task.labels, *task.support.names):
        assert text.isprintable()
        assert text.encode("utf-8")
    assert task.support.x[:, 0, 0, 0].tolist() == [
        number for number, _ in sorted(enumerate(ODD_NAMES), key=lambda pair: pair[1])
    ]


def test_letters_of_any_script_are_shown_as_they_are():
    for name in ("café", "猫", "می‌خواهم", "🐈‍⬛", "a b"):
        assert shown(name) == name


def test_odd_names_in_errors_are_escaped(tmp_path: Path):
    picture(tmp_path / "cat" / "1.png", 1)
    (tmp_path / "cat" / os.fsdecode(b"\x1b]0;x\x07\xff.png")).write_bytes(b"no")
    picture(tmp_path / "dog" / "1.png", 2)
    with pytest.raises(DataError) as caught:
        load_task(tmp_path, GREY8)
    assert caught.value.where.endswith("\\x1b]0;x\\x07\\xff.png")
    assert caught.value.message.isprintable()


def test_two_classes_that_would_be_shown_alike_are_an_error(tmp_path: Path):
    for name in (b"a\xff", b"a\\xff"):
        picture(tmp_path / os.fsdecode(name) / "1.png", name[1])
    assert "data.same_name" in codes(tmp_path)


@pytest.mark.parametrize(
    ("content", "code"),
    [
        (b"", "data.empty_file"),
        (b"\x00" * 1000, "data.not_an_image"),
        (b"P6 4 4 255\n", "data.damaged_image"),
    ],
)
def test_empty_blank_and_mislabelled_files_are_distinguished(
    tmp_path: Path, content: bytes, code: str
):
    file = tmp_path / "x.png"
    file.write_bytes(content)
    with pytest.raises(DataError, match=r"x\.png") as caught:
        read_pixels(file)
    assert caught.value.code == code
    assert caught.value.where == str(file)


def test_a_file_of_a_terabyte_is_not_read(tmp_path: Path):
    file = tmp_path / "huge.png"
    file.touch()
    try:
        os.truncate(file, 2**40)
    except OSError:
        pytest.skip("this file system has no sparse files")
    with pytest.raises(DataError, match="larger than 512 MiB"):
        read_pixels(file)


@pytest.mark.parametrize("name", ["a\0b.png", "x" * 300 + ".png", "/".join(["y" * 200] * 30)])
def test_impossible_paths_are_data_errors(tmp_path: Path, name: str):
    for door in (read_pixels, list_task, lambda path: load_task(path, GREY8)):
        with pytest.raises(DataError):
            door(tmp_path / name)
    assert list(list_inputs([tmp_path / name])) == [tmp_path / name]


def test_a_folder_given_as_a_image_says_so(tmp_path: Path):
    with pytest.raises(DataError, match="is a folder"):
        read_pixels(tmp_path)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_what_may_not_be_read_is_named(pets: Path):
    (pets / "cat").chmod(0)
    (pets / "dog" / "1.png").chmod(0)
    try:
        assert codes(pets) == ["data.unreadable"]
        with pytest.raises(DataError, match="Permission denied"):
            read_pixels(pets / "dog" / "1.png")
    finally:
        (pets / "cat").chmod(0o700)


def test_deeply_nested_inputs_are_walked_without_recursion(tmp_path: Path):
    there, depth = Path.cwd(), 1500
    os.chdir(tmp_path)
    try:
        for _ in range(depth):
            Path("d").mkdir()
            os.chdir("d")
        found = list(list_inputs([tmp_path]))
    finally:  # pytest cannot remove so deep a tree
        for _ in range(depth):
            os.chdir("..")
            Path("d").rmdir()
        os.chdir(there)
    assert [len(path.relative_to(tmp_path).parts) for path in found] == [depth]


def test_the_listing_does_not_depend_on_hash_seed_or_locale(tmp_path: Path):
    for number, name in enumerate((b"B", b"a", b"caf\xc3\xa9", b"caf\xe9", b"Z")):
        picture(tmp_path / os.fsdecode(name) / "1.png", number)
    code = (
        "import sys; from pathlib import Path; from metacli.data.user.open import list_task\n"
        "found = list_task(Path(sys.argv[1]))\n"
        "print(ascii((found.labels, [row.label for row in found.support])))"
    )
    outputs = set()
    for number, locale in enumerate(("C", "C.UTF-8", "POSIX", "tr_TR.UTF-8")):
        setting = {**os.environ, "PYTHONHASHSEED": str(number), "LC_ALL": locale, "PYTHONUTF8": "0"}
        command = [sys.executable, "-c", code, str(tmp_path)]
        outputs.add(subprocess.run(command, env=setting, capture_output=True, check=True).stdout)
    assert len(outputs) == 1
    assert b"caf\\\\xe9" in outputs.pop()
