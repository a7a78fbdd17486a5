"""The two streams: results to stdout, everything else to stderr, and what to do when one breaks."""

from __future__ import annotations

import contextlib
import ctypes
import errno
import os
import shutil
import sys
from collections.abc import Iterator
from typing import Any, TextIO, cast

from metacli.errors import RunFailed

_ASCII = str.maketrans({"±": "+-", "…": "...", "–": "-", "—": "-", "×": "x", "→": "->", "·": "-"})


class PipeClosed(Exception):
    """The reader of stdout went away; not an error of anybody."""


def encodable(text: str, stream: TextIO) -> str:
    """The text in characters that the stream can carry: ASCII look-alikes, then escapes."""
    encoding = getattr(stream, "encoding", None) or "utf-8"
    try:
        text.encode(encoding)
    except UnicodeEncodeError:
        plain = text.translate(_ASCII)
        return plain.encode(encoding, "backslashreplace").decode(encoding)
    return text


_LOADING = "loading ..."
_loading = False  # whether that word stands on the terminal now


def show_loading() -> None:
    """On a terminal, a word that stands until the first other one."""
    global _loading
    if is_terminal(sys.stderr) and not _loading:
        write_stderr(_LOADING)
        _loading = True


def end_loading() -> None:
    """Take the word away again, if it is there."""
    global _loading
    if _loading:
        _loading = False
        write_stderr("\r" + " " * len(_LOADING) + "\r")


@contextlib.contextmanager
def loading_ends() -> Iterator[None]:
    """Whatever happens in here, the word is gone afterwards."""
    try:
        yield
    finally:
        end_loading()


def write_stdout(text: str) -> None:
    """Write and flush.

    Raises:
        PipeClosed: nobody reads any more.
        RunFailed: the stream is closed or the disk behind it is full.
    """
    end_loading()
    stream = sys.stdout
    if stream is None:
        raise RunFailed("standard output is closed: the result could not be written", code="stdout")
    try:
        stream.write(encodable(text, stream))
        stream.flush()
    except OSError as error:
        abandon(stream)
        raise stdout_problem(error) from error


def stdout_problem(error: OSError) -> PipeClosed | RunFailed:
    """What an error while writing to stdout means for the exit code."""
    if isinstance(error, BrokenPipeError) or error.errno == errno.EPIPE:
        return PipeClosed()
    full = error.errno in (errno.ENOSPC, errno.EDQUOT)
    message = "no space left" if full else (error.strerror or str(error))
    return RunFailed(f"standard output could not be written: {message}", code="stdout")


def write_stderr(text: str) -> None:
    """Write and flush; a stderr that is closed or full must not hide the result."""
    end_loading()
    stream = sys.stderr
    if stream is None:
        return
    try:
        stream.write(encodable(text, stream))
        stream.flush()
    except (OSError, ValueError):
        abandon(stream)


def abandon(stream: TextIO) -> None:
    """Send what is still buffered nowhere: the interpreter's last flush must not complain."""
    with contextlib.suppress(OSError, ValueError):
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, stream.fileno())
        os.close(nowhere)


def is_terminal(stream: TextIO | None) -> bool:
    try:
        return stream is not None and stream.isatty() and os.environ.get("TERM") != "dumb"
    except ValueError:  # closed
        return False


def terminal_columns() -> int | None:
    """How wide the terminal is that stdout goes to; None for a file or a pipe."""
    return shutil.get_terminal_size().columns if is_terminal(sys.stdout) else None


@contextlib.contextmanager
def stdout_kept_clean() -> Iterator[None]:
    """Whatever prints to stdout in here, in Python or in C, prints to stderr."""
    with contextlib.ExitStack() as stack:
        if sys.stdout is not None and sys.stdout is sys.__stdout__:
            stack.enter_context(_descriptor_redirected())
        stack.enter_context(contextlib.redirect_stdout(cast(TextIO, _ToStderr())))
        yield


class _ToStderr:
    """Whatever stderr is at the moment: while a bar is shown, the part that prints above it."""

    def __getattr__(self, name: str) -> Any:
        return getattr(sys.stderr, name)

    def write(self, text: str) -> int:
        write_stderr(text)
        return len(text)

    def flush(self) -> None:
        """`write` has flushed."""


@contextlib.contextmanager
def _descriptor_redirected() -> Iterator[None]:
    try:
        sys.stdout.flush()
        kept = os.dup(1)
        os.dup2(2, 1)
    except OSError:  # one of the two is closed: there is nothing to protect
        yield
        return
    try:
        yield
    finally:
        if os.name == "posix":
            ctypes.CDLL(None).fflush(
                None
            )  # C's own buffer would otherwise come out on stdout later
        os.dup2(kept, 1)
        os.close(kept)


def hold_standard_descriptors() -> None:
    """With `>&-` the next file that is opened would become stdout: fill the free places first."""
    while True:
        descriptor = os.open(os.devnull, os.O_RDWR)
        if descriptor > 2:
            os.close(descriptor)
            return
