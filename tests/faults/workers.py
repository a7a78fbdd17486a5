"""`subprocess.run` of a Python program, by a process that has imported what the program needs."""

from __future__ import annotations

import contextlib
import pickle
import subprocess
import sys
import weakref
from collections.abc import Callable, Sequence

# Answers on a copy of standard output, for what a program prints is an answer of the program.
_LOOP = """
import io, os, pickle, sys
import polars
from types import SimpleNamespace
asked, answers = sys.stdin.buffer, os.fdopen(os.dup(1), "wb")
while True:
    try:
        program, content = pickle.load(asked)
    except EOFError:
        break
    out, err, code = io.BytesIO(), io.StringIO(), 0
    sys.stdin, sys.stdout = SimpleNamespace(buffer=io.BytesIO(content)), SimpleNamespace(buffer=out)
    sys.stderr = err
    try:
        exec(program, {"__name__": "__main__"})
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else 1
    except BaseException as error:
        err.write(repr(error))
        code = 1
    pickle.dump((code, out.getvalue(), err.getvalue().encode("utf-8", "replace")), answers)
    answers.flush()
"""


class Worker:
    """One process for many programs, and the next one where a program ended its own process."""

    def __init__(self) -> None:
        self.process: subprocess.Popen[bytes] | None = None
        self.end: Callable[[], object] = int

    def run(
        self, command: Sequence[str], input: bytes, **_: bool
    ) -> subprocess.CompletedProcess[bytes]:
        """As `subprocess.run` answers. command: a Python, its options and, last, the program."""
        if self.process is None:
            self.process = subprocess.Popen(
                [sys.executable, "-I", "-c", _LOOP],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
            )
            self.end = weakref.finalize(self, _ended, self.process)
        asked, answers = self.process.stdin, self.process.stdout
        assert asked is not None
        assert answers is not None
        try:
            pickle.dump((command[-1], input), asked)
            asked.flush()
            code, out, err = pickle.load(answers)
        except (EOFError, BrokenPipeError):
            code, out, err = self.process.wait(), b"", b"ended without an answer"
            self.end()
            self.process = None
        return subprocess.CompletedProcess(list(command), code, out, err)


def _ended(process: subprocess.Popen[bytes]) -> None:
    """Ends it where it waits for the next program."""
    for stream in (process.stdin, process.stdout):
        assert stream is not None
        with contextlib.suppress(BrokenPipeError):
            stream.close()
    process.wait()
