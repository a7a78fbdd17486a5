"""A model as a file, made in a process of its own: a tracer keeps a gigabyte once it has run, and
would keep the threads of the server waiting."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from metacli.engine.serving.refusals import Refused
from metacli.errors import DataError, RunFailed


def exported(model: Path, file: Path, format: str, seconds: float) -> bytes:
    """The bytes of the file that `metacli export` makes; it has compared them with PyTorch.

    Raises:
        DataError: the model cannot be exported.
        Refused: it takes too long (504), or an extra is missing (501).
        RunFailed: the process ended without a word.
    """
    words = ["export", str(model), "--format", format, "-o", str(file), "--device", "cpu"]
    command = [sys.executable, "-m", "metacli", *words, "--json", "--quiet"]
    try:
        done = subprocess.run(command, capture_output=True, timeout=seconds, check=False)
    except subprocess.TimeoutExpired:
        raise Refused(
            504, f"no file within {seconds:g} seconds", code="serve.too_slow", where=format
        ) from None
    if done.returncode == 0:
        return file.read_bytes()
    raise failure(done.stdout, format)


def failure(document: bytes, format: str) -> DataError | RunFailed:
    """What the process said."""
    try:
        error = json.loads(document)["error"]
        code, message, hint = str(error["code"]), str(error["message"]), error["hint"]
    except (ValueError, KeyError, TypeError):
        return RunFailed("the export ended without a word", code="serve.export", where=format)
    said = None if hint is None else str(hint)
    if code == "environment.extra_missing":
        return Refused(501, message, code=code, where=format, hint=said)
    return DataError(message, code=code, where=format, hint=said)
