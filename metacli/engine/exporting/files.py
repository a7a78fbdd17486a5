"""The files of an export: the model, a README and an example."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from metacli import __version__
from metacli.data.tables.coded import Encoder
from metacli.data.tables.static_text import tokenizer_text
from metacli.data.tables.text import SentenceText
from metacli.engine.exporting import companion
from metacli.engine.exporting.exportable import Exportable
from metacli.engine.exporting.exporters import FORMATS
from metacli.engine.models.model import AnyModel, Model
from metacli.engine.models.opening import Opened
from metacli.engine.models.sentence_encoder import files_of
from metacli.engine.results.base import Json
from metacli.engine.results.export import ExportResult
from metacli.engine.storage.paths import STAMP
from metacli.engine.storage.writer import write_file
from metacli.errors import BundleError, UsageProblem


def chosen_format(format: str | None, out: str | Path | None) -> str:
    """The format that was asked for; else that in which the file's name ends, else `pt2`."""
    if format is not None:
        return format
    ending = Path(out).suffix.removeprefix(".").lower() if out else ""
    return ending if ending in FORMATS else "pt2"


def refuse_what_does_not_fit(format: str, tolerance: float | None, out: str | Path | None) -> None:
    """Raises UsageProblem: an unknown format, a negative tolerance, a file of another format."""
    if format not in FORMATS:
        raise UsageProblem(f"unknown format {format!r}", hint=f"there are {', '.join(FORMATS)}")
    if tolerance is not None and not (tolerance >= 0 and math.isfinite(tolerance)):
        raise UsageProblem(f"--tolerance must be 0 or more, found {tolerance}")
    ending = Path(out).suffix.removeprefix(".").lower() if out else ""
    if ending in FORMATS and ending != format:
        raise UsageProblem(
            f"-o ends in .{ending} and the format is {format}", hint=f"--format {ending}"
        )


def target(opened: Opened[AnyModel], format: str, out: str | Path | None, *, force: bool) -> Path:
    """The file to write. Raises BundleError when something is there."""
    return free_file(Path(out or f"{name_of(opened)}.{format}"), force=force)


def free_file(path: Path, *, force: bool) -> Path:
    """The absolute path of a file to write. Raises BundleError when something is there."""
    if path.is_dir():
        raise BundleError(
            "a folder is in the way",
            code="output.exists",
            where=str(path),
            hint="give a file with -o",
        )
    require_free(path, force=force)
    return path.absolute()


def require_free(file: Path, *, force: bool) -> None:
    """Raises BundleError when an export, its README or its example is there."""
    for one in (file, *companion.names(file)):
        if one.exists() and not force:
            raise BundleError(
                "already exists", code="output.exists", where=str(one), hint="--force replaces it"
            )


def name_of(opened: Opened[AnyModel]) -> str:
    """The model's folder; for `RUN/model` its recipe; for a folder named by the time its parent."""
    if opened.run is not None:
        return str(opened.model.provenance.get("recipe") or opened.run.name)
    folder = opened.path.resolve()
    return folder.parent.name if STAMP.fullmatch(folder.name) else folder.name


def about(model: Model, made: Exportable) -> dict[str, Json]:
    """What the file holds in addition to the graph: of the user's files only the class names."""
    return {
        "metacli": __version__,
        "recipe": str(model.provenance.get("recipe", "")),
        "labels": list(made.labels),
        "inputs": [one.as_dict() for one in made.graph.inputs],
        "outputs": [one.as_dict() for one in made.graph.outputs],
    }


def write_together(files: Mapping[Path, bytes]) -> None:
    """All of the files, or none of those that were not there before."""
    fresh = [path for path in files if not path.exists()]
    try:
        for path, data in files.items():
            write_file(path, data)
    except BaseException:
        for path in fresh:
            path.unlink(missing_ok=True)
        raise


def encoder_files(result: ExportResult, encoder: Encoder | None) -> dict[Path, bytes]:
    """What reads texts in the example: a tokenizer, or a sentence-transformers model.

    Raises:
        EnvironmentProblem: that model is not on this machine.
    """
    file = companion.file_of(result)
    found: dict[Path, bytes] = {}
    if (name := companion.tokenizer_of(result)) is not None:
        found[companion.tokenizer_file(file)] = tokenizer_text(name).encode()
    if companion.embeds(result) and isinstance(encoder, SentenceText):
        folder = companion.encoder_folder(file)
        found |= {folder / path: content for path, content in files_of(encoder).items()}
    return found


def written(opened: Opened[AnyModel], result: ExportResult, data: bytes) -> ExportResult:
    """As `written_with`."""
    made = companion.companion_of(result, name_of(opened))
    return written_with(made, result, data, encoder_files(result, opened.model.inputs.encoder))


def written_with(
    made: companion.Companion,
    result: ExportResult,
    data: bytes,
    more: Mapping[Path, bytes] | None = None,
) -> ExportResult:
    """The result with its README and example, after all files were written.

    Args:
        more: files that the example reads.
    """
    file = companion.file_of(result)
    readme, example = companion.names(file)
    pages = {example: made.example.encode(), readme: made.readme.encode()}
    write_together({**(more or {}), **pages, file: data})
    return replace(result, readme=readme, example=example, usage=made.usage)
