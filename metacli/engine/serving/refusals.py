"""Errors as a client reads them: a status, and the same words as on the command line."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from metacli.engine.results.base import Json
from metacli.engine.storage.serial import json_bytes
from metacli.errors import (
    DataError,
    EnvironmentProblem,
    MetacliError,
    RunFailed,
)

FEW = 20  # problems that are listed


class Refused(DataError):
    """A request that is not answered.

    Args:
        status: of HTTP.
        after: seconds after which it may be sent again.
    """

    def __init__(
        self,
        status: int,
        message: str,
        *,
        code: str,
        where: str | None = None,
        hint: str | None = None,
        after: int | None = None,
    ) -> None:
        super().__init__(message, code=code, where=where, hint=hint)
        self.status = status
        self.after = after


def status_of(error: MetacliError) -> int:
    """4xx for what the client can put right, 5xx for what it cannot."""
    if isinstance(error, Refused):
        return error.status
    if isinstance(error, EnvironmentProblem):
        return 503
    if isinstance(error, RunFailed):
        return 507
    return 500 if error.code == "bug" else 422


def document(error: MetacliError) -> bytes:
    """The answer: `error{code, message, where, hint, findings[]}`, and `result` where rows were
    answered."""
    said: dict[str, Json] = {
        "code": error.code,
        "message": error.message,
        "where": error.where,
        "hint": error.hint,
    }
    if error.findings:
        said["findings"] = [one.as_dict() for one in error.findings[:FEW]]
    whole: dict[str, Json] = {"error": said}
    if error.result is not None:
        whole["result"] = error.result
    return json_bytes(whole)


def bug(error: Exception) -> MetacliError:
    """An error that nobody foresaw."""
    name = f"{type(error).__name__}: {error}".strip().rstrip(":")[:200]
    return MetacliError(
        f"this is a bug in metacli: {name}", code="bug", hint="report it with the server's output"
    )


def in_words(error: DataError, say: Callable[[str], str]) -> DataError:
    """The same error where every text is changed, such as names of temporary files."""

    def maybe(text: str | None) -> str | None:
        return None if text is None else say(text)

    findings = [
        replace(one, message=say(one.message), where=maybe(one.where), hint=maybe(one.hint))
        for one in error.findings
    ]
    return DataError(
        say(error.message),
        code=error.code,
        where=maybe(error.where),
        hint=maybe(error.hint),
        findings=findings,
    )
