"""Paths: the cache, runs, models by what a user types for them; and devices."""

from __future__ import annotations

import os
import re
import stat
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from metacli.engine.storage.disk import is_stream, writing
from metacli.engine.storage.lock import is_stillborn
from metacli.errors import BundleError, DataError, EnvironmentProblem, UsageProblem

if TYPE_CHECKING:
    import torch

RUNS = Path("runs")
HUB_PREFIX = "hf:"  # before ORG/NAME
ADAPTED = "adapted"  # the folder below it for adapted models
MODEL_FILE = "model.json"
STAMP = re.compile(r"\d{8}T\d{6}Z(-\w+)?")


def cache_root() -> Path:
    """METACLI_CACHE, or the platform's cache folder.

    Raises:
        EnvironmentProblem: there is no home folder to put a cache in.
    """
    if given := os.environ.get("METACLI_CACHE"):
        return Path(given).absolute()
    import platformdirs

    try:
        return Path(platformdirs.user_cache_dir("metacli", appauthor=False)).expanduser().absolute()
    except (RuntimeError, KeyError, OSError):
        raise EnvironmentProblem(
            "no home folder for the cache",
            code="environment.no_cache",
            hint="set METACLI_CACHE to a folder that can be written",
        ) from None


def mirror() -> str | None:
    return os.environ.get("METACLI_MIRROR") or None


def offline() -> bool:
    return os.environ.get("METACLI_OFFLINE", "") not in ("", "0")


def stamp() -> str:
    """UTC time as a folder's name, to the second."""
    return datetime.now(UTC).strftime("%Y%m%dT%H%M%SZ")


def new_folder(parent: Path) -> Path:
    """`parent/<UTC time>`, with a number behind it when two start in one second. Not created."""
    base, path, number = stamp(), parent / stamp(), 1
    while path.exists():
        number += 1
        path = parent / f"{base}-{number}"
    return path


def claim_folder(path: Path) -> Path:
    """Make a new folder, or the next one by number when another process was faster."""
    number = 1
    while True:
        chosen = path if number == 1 else path.with_name(f"{path.name}-{number}")
        with writing(chosen, 0):
            chosen.parent.mkdir(parents=True, exist_ok=True)
            try:
                chosen.mkdir()
            except FileExistsError:
                number += 1
                continue
        return chosen


def target(out: str | Path | None, fallback: Path, *, force: bool, hint: str = "") -> Path:
    """The folder a command writes: `-o`, which must be new or empty without `--force`, or a new
    one below `runs`.

    Args:
        hint: what else to do where the folder is not empty.
    """
    if out is None:
        return fallback.absolute()
    path = Path(out).absolute()
    if exists(path) and not path.is_dir():
        raise BundleError(
            "a file is in the way", code="output.exists", where=str(out), hint="give another -o"
        )
    if path.is_dir() and any(path.iterdir()) and not is_stillborn(path) and not force:
        raise BundleError(
            "the output folder is not empty",
            code="output.exists",
            where=str(out),
            hint=f"{hint}give another -o, or --force to replace what metacli wrote there",
        )
    return path


def exists(path: Path) -> bool:
    """Whether something is there; a name too long for the file system, or with a NUL in it, is
    not."""
    try:
        return path.exists()
    except (OSError, ValueError):
        return False


def require_output_file(out: Path, *, force: bool) -> None:
    """Checks `-o FILE` before any work: a file with content needs `--force`, a stream never does.

    Raises:
        DataError: a folder, a block device, or a file with content.
    """
    if is_stream(out) or not exists(out):
        return
    mode = out.stat().st_mode
    if stat.S_ISDIR(mode):
        raise DataError("is a folder", code="out.exists", where=str(out), hint="name a file")
    if not stat.S_ISREG(mode):
        raise DataError("is a disk", code="out.exists", where=str(out), hint="name a file")
    if out.stat().st_size and not force:
        raise DataError(
            "the file exists", code="out.exists", where=str(out), hint="--force replaces it"
        )


def last_run() -> Path:
    """`@last`: the newest training run below ./runs, made with `-o` or not.

    Raises:
        BundleError: there is none.
    """
    found = [path for path in _saved("run.json") if ADAPTED not in path.parts]
    hint = "metacli meta-train glyphs-5w1s-protonet"
    return _newest(found, "@last", "there is no run below ./runs yet", hint)


def last_adapted() -> Path:
    """`@model`: the newest adapted model below ./runs or in the current folder.

    Raises:
        BundleError: there is none.
    """
    found = [path for path in _saved(MODEL_FILE) if not (path.parent / "run.json").is_file()]
    hint = "metacli adapt MODEL YOUR_FOLDER"
    return _newest(found, "@model", "there is no adapted model here yet", hint)


def _saved(name: str) -> list[Path]:
    """Folders with a file of that name: below ./runs, and in the current folder for models."""
    depths = ("*", "*/*", "*/*/*")
    found = [path.parent for depth in depths for path in RUNS.glob(f"{depth}/{name}")]
    if name == MODEL_FILE:
        found += [path.parent for path in Path().glob(f"*/{name}")]
    return [path for path in found if "baselines" not in path.parts]


def _newest(found: list[Path], name: str, message: str, hint: str) -> Path:
    if not found:
        raise BundleError(message, code="model.not_found", where=name, hint=hint)
    return max(found, key=_age)


def _age(path: Path) -> tuple[str, int]:
    """When a run or model was made: the time in its name where it has one, else of its file."""
    files = [path / "run.json", path / MODEL_FILE]
    changed = max(file.stat().st_mtime_ns for file in files if file.is_file())
    if STAMP.fullmatch(path.name):
        return path.name, changed
    return datetime.fromtimestamp(changed / 1e9, UTC).strftime("%Y%m%dT%H%M%SZ"), changed


def find_run_or_model(name: str) -> Path:
    """The folder that a user means by a path, `@last` or `@model`.

    Raises:
        BundleError: nothing of that name.
    """
    if name in NAMED:
        return NAMED[name]().absolute()
    if name.startswith(HUB_PREFIX):
        return fetched_model(name)
    path = Path(name)
    if not exists(path):
        hint = "MODEL is a folder with model.json or run.json, @last (newest run) or @model"
        raise BundleError("no such model or run", code="model.not_found", where=name, hint=hint)
    return path.absolute()


def fetched_model(name: str) -> Path:
    """The folder of a model that was fetched from a hub.

    Raises:
        BundleError: it was not.
    """
    folder = hub_folder(name)
    if not exists(folder):
        hint = f"metacli fetch {name}"
        raise BundleError("not fetched yet", code="model.not_found", where=name, hint=hint)
    return folder


def hub_folder(name: str) -> Path:
    """Where the cache keeps `hf:ORG/NAME[@REVISION]`."""
    return cache_root().absolute() / "models" / name.removeprefix(HUB_PREFIX).replace("/", "--")


NAMED = {"@last": last_run, "@model": last_adapted}


def run_of(path: Path) -> Path | None:
    """The run that a folder is, or whose model it is."""
    for candidate in (path, path.parent):
        if (candidate / "run.json").is_file() and candidate.parent != path:
            return candidate
    return None


def split_assignment(text: str, option: str) -> tuple[str, float]:
    """`accuracy=0.9` of --fail-under and --fail-over. Raises UsageProblem."""
    name, equals, value = text.partition("=")
    try:
        if name.strip() and equals:
            return name.strip(), float(value)
    except ValueError:
        pass
    raise UsageProblem(f"{option} wants METRIC=VALUE, found {text!r}", where="command line")


def require_device(name: str) -> torch.device:
    """`auto`, `cpu`, `cuda`, `cuda:N` or `mps`.

    Raises:
        UsageProblem: no such kind of device.
        EnvironmentProblem: it is not on this machine.
    """
    import torch

    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    match = re.fullmatch(r"(cpu|mps|cuda)(?::(\d+))?", name)
    if match is None:
        raise UsageProblem(f"unknown device {name!r}", hint="auto, cpu, cuda, cuda:0 or mps")
    kind, number = match[1], int(match[2] or 0)
    there = {
        "cpu": number == 0,
        "mps": torch.backends.mps.is_available(),
        "cuda": number < torch.cuda.device_count(),
    }
    if not there[kind]:
        raise EnvironmentProblem(
            f"device {name} is not on this machine",
            code="environment.no_device",
            hint="metacli doctor lists the devices",
        )
    return torch.device(name)
