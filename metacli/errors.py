"""What can go wrong, and the exit code each kind of wrong ends with. Imports nothing of the
project."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from enum import IntEnum
from typing import Any, ClassVar, Literal


class ExitCode(IntEnum):
    """The one list of exit codes; `--help` and the README print it."""

    DONE = 0
    BUG = 1
    USAGE = 2
    INVALID = 3
    ENVIRONMENT = 4
    CHECK_FAILED = 5
    DOWNLOAD = 6
    RUN_FAILED = 7
    HANGUP = 129
    INTERRUPTED = 130
    TERMINATED = 143
    PIPE_CLOSED = 141


EXIT_MEANINGS: dict[ExitCode, str] = {
    ExitCode.DONE: "done",
    ExitCode.BUG: "a bug in metacli",
    ExitCode.USAGE: "wrong usage",
    ExitCode.INVALID: "invalid recipe, task, model or input",
    ExitCode.ENVIRONMENT: (
        "environment: extra or device missing, run directory in use, no permission"
    ),
    ExitCode.CHECK_FAILED: "a check that was asked for failed",
    ExitCode.DOWNLOAD: "download failed, checksum differs, offline",
    ExitCode.RUN_FAILED: "the run failed: loss not finite, out of memory, disk full",
    ExitCode.HANGUP: "SIGHUP, state saved",
    ExitCode.INTERRUPTED: "Ctrl-C, state saved",
    ExitCode.TERMINATED: "SIGTERM, state saved",
    ExitCode.PIPE_CLOSED: "output pipe closed",
}


@dataclass(frozen=True)
class Finding:
    """One problem or remark about an input: what, where, and what to do about it."""

    level: Literal["error", "warning", "note"]
    code: str
    message: str
    where: str | None = None
    hint: str | None = None

    def as_dict(self) -> dict[str, str | None]:
        return asdict(self)


def place(where: str | None, message: str) -> str:
    """` - where`; nothing where the message names the place already."""
    if not where:
        return ""
    word = "stdin" if where == "-" else where
    named = re.search(rf"(?<![\w/.-]){re.escape(word)}(?![\w/-])", message)
    return "" if named else f" - {where}"


def first_names(names: Sequence[str], most: int) -> str:
    """As a message lists them: the first ones, and how many more there are."""
    more = len(names) - most
    return ", ".join(names[:most]) + (f" and {more} more" if more > 0 else "")


class MetacliError(Exception):
    """An error that a user can act on.

    Args:
        message: what was found and what was wanted, in one line.
        code: a stable dotted name for scripts, such as `recipe.unknown_key`.
        where: the file, `file:line`, key or row.
        hint: the command or edit to try next.
        findings: all problems when several were collected before raising.
        result: what had been computed before the failure, for the JSON document.
    """

    exit_code: ClassVar[ExitCode] = ExitCode.BUG
    default_code: ClassVar[str] = "error"

    def __init__(
        self,
        message: str,
        *,
        code: str | None = None,
        where: str | None = None,
        hint: str | None = None,
        findings: Iterable[Finding] = (),
        result: dict[str, Any] | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.code = code or self.default_code
        self.where = where
        self.hint = hint
        self.findings = tuple(findings)
        self.result = result

    def __str__(self) -> str:
        return f"{self.message}{place(self.where, self.message)}"


class UsageProblem(MetacliError):
    """The words of the command do not fit together."""

    exit_code = ExitCode.USAGE
    default_code = "usage"


class RecipeError(MetacliError):
    """A recipe that cannot be run as written."""

    exit_code = ExitCode.INVALID
    default_code = "recipe.invalid"


class DataError(MetacliError):
    """Files, tables or images that cannot be used."""

    exit_code = ExitCode.INVALID
    default_code = "data.invalid"


class PluginError(MetacliError):
    """Code of another package that a recipe or model names and that is not there, or not
    allowed."""

    exit_code = ExitCode.INVALID
    default_code = "plugin.invalid"


class BundleError(MetacliError):
    """A model, run or checkpoint that cannot be read."""

    exit_code = ExitCode.INVALID
    default_code = "model.invalid"


class EnvironmentProblem(MetacliError):
    """Something about this machine: an extra, a device, a permission, a lock."""

    exit_code = ExitCode.ENVIRONMENT
    default_code = "environment"


class CheckFailed(MetacliError):
    """A check that was asked for did not pass."""

    exit_code = ExitCode.CHECK_FAILED
    default_code = "check.failed"


class DownloadError(MetacliError):
    """An archive that did not arrive, or is not what it should be."""

    exit_code = ExitCode.DOWNLOAD
    default_code = "download.failed"


class RunFailed(MetacliError):
    """A training or computation that cannot go on."""

    exit_code = ExitCode.RUN_FAILED
    default_code = "run.failed"


class Interrupted(MetacliError):
    """A signal ended the run after its state was saved.

    Args:
        number: the signal's number; the exit code is 128 plus it.
    """

    exit_code = ExitCode.INTERRUPTED
    default_code = "run.interrupted"

    def __init__(self, message: str, *, number: int, **details: Any) -> None:
        super().__init__(message, **details)
        self.number = number
        self.exit_code = ExitCode(128 + number)  # type: ignore[misc]  # one class, three signals
