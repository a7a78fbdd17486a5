"""CIFAR-100 as its authors pack it: two files of records inside a tar.gz, of which the images of
the CIFAR-FS subset are found by what they show.

A record is a superclass, a class and 3072 bytes of pixels, red, green and blue. Which images are
wanted, and in which order, is in `lists/cifar_pixels.bin`: the first 6 bytes of the SHA-256 of the
pixels of each. Nothing is unpacked to disk.
"""

from __future__ import annotations

import hashlib
import tarfile
import zlib
from importlib.resources import files
from pathlib import Path

from metacli.errors import DownloadError

PIXELS, RECORD = 3072, 3074
RECORDS = {"train.bin": 50_000, "test.bin": 10_000}
SHORT = 6  # bytes of a digest; the whole is checked afterwards
LIST = "cifar_pixels.bin"


def read_binary(path: Path) -> dict[str, bytes]:
    """The pixels of the wanted images, by the number of their row in the cache.

    Raises:
        DownloadError: not that archive, or damaged.
    """
    wanted = wanted_rows()
    found: dict[str, bytes] = {}
    try:
        with tarfile.open(path, "r:gz") as archive:
            for one in archive:
                count = RECORDS.get(one.name.rpartition("/")[2])
                opened = archive.extractfile(one) if count and one.isreg() else None
                for _ in range((count or 0) if opened else 0):
                    assert opened is not None
                    pixels = opened.read(RECORD)[2:]
                    for row in wanted.get(hashlib.sha256(pixels).digest()[:SHORT], ()):
                        found[f"{row:05d}"] = pixels
    except (tarfile.TarError, zlib.error, EOFError, OSError) as error:
        raise DownloadError(
            f"{path.name}: no whole tar.gz archive: {error}",
            code="download.bad_archive",
            where=str(path),
        ) from error
    return found


def wanted_rows() -> dict[bytes, list[int]]:
    """Rows of the cache by the beginning of their pixels' digest; a few images are there twice."""
    packed = files("metacli.data.catalogue.lists").joinpath(LIST).read_bytes()
    rows: dict[bytes, list[int]] = {}
    for row in range(len(packed) // SHORT):
        rows.setdefault(packed[row * SHORT : (row + 1) * SHORT], []).append(row)
    return rows
