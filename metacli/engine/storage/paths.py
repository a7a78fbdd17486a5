"""Where things are: the cache, runs, models by what a user types for them, and devices."""

from __future__ import annotations

import os
import re
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from metacli.engine.storage.disk import writing
from metacli.errors import BundleError, EnvironmentProblem, UsageProblem

if TYPE_CHECKING:
    import torch

RUNS = Path("runs")
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


def target(out: str | None, fallback: Path, *, force: bool) -> Path:
    """The folder a command writes: `-o`, which must be new or empty without `--force`, or a new
    one below `runs`."""
    if out is None:
        return fallback.absolute()
    path = Path(out).absolute()
    if path.exists() and not path.is_dir():
        raise BundleError(
            "a file is in the way", code="output.exists", where=out, hint="give another -o"
        )
    # A lock alone is what a run leaves that was killed before it began.
    if (
        path.is_dir()
        and any(not one.name.startswith(".lock") for one in path.iterdir())
        and not force
    ):
        raise BundleError(
            "the output folder is not empty",
            code="output.exists",
            where=out,
            hint="give another -o, or --force to replace what metacli wrote there",
        )
    return path


def last_run() -> Path:
    """`@last`: the newest training run below ./runs; never an adapted model, never a run made with
    -o."""
    found = [
        path
        for path in RUNS.glob("*/*")
        if STAMP.fullmatch(path.name)
        and (path / "run.json").is_file()
        and path.parent.name != "adapted"
    ]
    if not found:
        raise BundleError(
            "there is no run below ./runs yet",
            code="model.not_found",
            where="@last",
            hint="metacli meta-train glyphs-5w1s-protonet",
        )
    return max(found, key=lambda path: (path.name, path.stat().st_mtime_ns))


def find_run_or_model(name: str) -> Path:
    """The folder that a user means by a path or `@last`."""
    path = last_run() if name == "@last" else Path(name)
    if not path.exists():
        hint = "a model is a folder with model.json, a run is below ./runs, @last is the newest run"
        raise BundleError("no such model or run", code="model.not_found", where=name, hint=hint)
    return path.absolute()


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
