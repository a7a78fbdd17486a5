"""Errors as a person reads them, and the one JSON document that a script reads."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping
from typing import Any

import metacli
from metacli.cli import text
from metacli.engine.events import Notice
from metacli.engine.results.base import Json, Value
from metacli.errors import Finding, Interrupted, MetacliError, place

_SHOWN = 20


def error_lines(error: MetacliError) -> list[str]:
    """`error: what - where`, the findings below it, `hint: the command that helps`."""
    if isinstance(error, Interrupted) and error.result and error.result.get("resume_command"):
        return stopped_lines(error, error.result)
    lines = [f"error: {text.visible(error)}"]
    lines += finding_lines(error.findings)
    if error.hint:
        lines.append(f"hint: {text.visible(error.hint)}")
    return lines


_SIGNALS = {1: "SIGHUP", 2: "Ctrl-C", 15: "SIGTERM"}


def stopped_lines(error: Interrupted, result: Mapping[str, Value]) -> list[str]:
    """`Stopped (Ctrl-C) at step 50; progress saved.` and the one command that continues."""
    signal = _SIGNALS.get(error.number, f"signal {error.number}")
    lines = [f"Stopped ({signal}) at step {result.get('steps')}; progress saved."]
    return [*lines, f"continue: {text.visible(result['resume_command'])}"]


def finding_lines(findings: Iterable[Finding]) -> list[str]:
    """One indented line each, the first 20 and a count of the rest."""
    every = list(findings)
    lines = [_finding_line(finding) for finding in every[:_SHOWN]]
    if len(every) > _SHOWN:
        lines.append(f"  ... and {len(every) - _SHOWN} more")
    return lines


def _finding_line(finding: Finding) -> str:
    level = "" if finding.level == "error" else f"{finding.level}: "
    where = text.visible(place(finding.where, finding.message))
    hint = f" ({text.visible(finding.hint)})" if finding.hint else ""
    return f"  {level}{text.visible(finding.message)}{where}{hint}"


def success(
    command: str, result: Mapping[str, Value], seconds: float, warnings: Iterable[Notice]
) -> str:
    """The document of a command that did what was asked."""
    head = _head(command, True, seconds, warnings)
    return _dump({**head, "result": result})


def failure(command: str, error: MetacliError, seconds: float, warnings: Iterable[Notice]) -> str:
    """The document of a command that did not; it keeps what had been computed."""
    error_block: dict[str, Value] = {
        "code": error.code,
        "message": error.message,
        "where": error.where,
        "hint": error.hint,
    }
    if error.findings:
        error_block["findings"] = [finding.as_dict() for finding in error.findings]
    document = _head(command, False, seconds, warnings)
    document |= {"exit": int(error.exit_code), "error": error_block}
    if error.result is not None:
        document["result"] = error.result
    return _dump(document)


def _head(command: str, ok: bool, seconds: float, warnings: Iterable[Notice]) -> dict[str, Value]:
    return {
        "schema": 1,
        "metacli": metacli.__version__,
        "command": command,
        "ok": ok,
        "seconds": round(seconds, 3),
        "warnings": [{"code": each.code, "message": each.message} for each in warnings],
    }


def _dump(document: Mapping[str, Value]) -> str:
    # ASCII: a stream of any encoding carries it, and so it does file names that are not UTF-8
    return json.dumps(plain(document), ensure_ascii=True, allow_nan=False) + "\n"


def plain(value: Any) -> Json:  # whatever a result holds, numbers of NumPy too
    """The value in JSON's own types: NaN and infinities are null, paths are text."""
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [plain(item) for item in value]
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if value is None or isinstance(value, bool | int | str):
        return value
    if hasattr(value, "tolist"):  # a NumPy or torch number or array
        return plain(value.tolist())
    return str(value)
