"""The app: which commands there are, and how every way to end becomes an exit code."""

from __future__ import annotations

import contextlib
import errno
import functools
import os
import signal
import sys
import tempfile
import traceback
from collections.abc import Callable, Sequence
from pathlib import Path
from types import FrameType
from typing import Annotated, Any, cast

import typer

import metacli
from metacli.cli import (
    adapt,
    compare,
    doctor,
    evaluate,
    export,
    fetch,
    inspect,
    merge,
    meta_train,
    multitask,
    predict,
    push,
    recipes,
    report,
    sample,
    serve,
    tune,
)
from metacli.cli.errors import error_lines
from metacli.cli.frame import Session, framed
from metacli.cli.layout import Page, Pages, usage_problem
from metacli.cli.streams import (
    PipeClosed,
    abandon,
    end_loading,
    hold_standard_descriptors,
    loading_ends,
    stdout_problem,
    write_stderr,
    write_stdout,
)
from metacli.engine.machine import is_out_of_memory
from metacli.engine.training.dropping import leaving
from metacli.errors import (
    EnvironmentProblem,
    ExitCode,
    Interrupted,
    MetacliError,
    RunFailed,
    UsageProblem,
)

COMMANDS: dict[str, tuple[str, Callable[..., None]]] = {  # name: (group, body), in the order shown
    "doctor": ("Start", doctor.doctor),
    "fetch": ("Start", fetch.fetch),
    "sample": ("Start", sample.sample),
    "recipes": ("Start", recipes.recipes),
    "inspect": ("Start", inspect.inspect),
    "meta-train": ("Learn", meta_train.meta_train),
    "multitask": ("Learn", multitask.multitask),
    "tune": ("Learn", tune.tune),
    "adapt": ("Use", adapt.adapt),
    "predict": ("Use", predict.predict),
    "evaluate": ("Use", evaluate.evaluate),
    "merge": ("Use", merge.merge),
    "serve": ("Use", serve.serve),
    "report": ("Share", report.report),
    "compare": ("Share", compare.compare),
    "export": ("Share", export.export),
    "push": ("Share", push.push),
}

LONG = 300  # letters of a path that are shown
app = typer.Typer(
    name="metacli",
    cls=Pages,
    rich_markup_mode=None,  # Typer's Rich pages draw boxes even into a file
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
for _name, (_group, _body) in COMMANDS.items():
    app.command(_name, cls=Page, rich_help_panel=_group)(framed(_name, _body))


def _print_version(wanted: bool) -> None:
    if wanted:
        write_stdout(f"metacli {metacli.__version__}\n")
        raise typer.Exit


@app.callback(invoke_without_command=True)
def _front(
    ctx: typer.Context,
    version: Annotated[
        bool,
        typer.Option(
            "--version", help="Print the version.", callback=_print_version, is_eager=True
        ),
    ] = False,
) -> None:
    """Learn from many small tasks, then teach a model a new one from a handful of examples.

    \b
      metacli adapt my_folder/ -o my_model        photographs by class, a table or texts
      metacli predict my_model new.jpg            label new ones
      metacli meta-train glyphs-5w1s-protonet     learn from many tasks; no download
      metacli adapt @last my_classes/             use that on new classes
    """
    if ctx.invoked_subcommand is None:
        write_stderr(f"{ctx.get_help()}\n")
        raise typer.Exit(ExitCode.USAGE)


def main(argv: Sequence[str] | None = None, session: Session | None = None) -> int:
    """Run one command line and return its exit code; nothing is raised."""
    words = list(sys.argv[1:] if argv is None else argv)
    session = Session() if session is None else session
    try:
        return _settle(words, session)
    except PipeClosed:
        return ExitCode.PIPE_CLOSED


def _settle(words: list[str], session: Session) -> int:
    try:
        with loading_ends():
            return _invoke(words, session)
    except PipeClosed:
        raise
    except MetacliError as error:
        return _fail(error, session)
    except KeyboardInterrupt as error:
        number = error.number if isinstance(error, _Stopped) else signal.SIGINT
        return _fail(_interrupted(number), session)
    except Exception as error:
        if isinstance(error, OSError) and error.errno == errno.ENAMETOOLONG:
            return _fail(_too_long(error), session)
        if is_out_of_memory(error):
            hint = "fewer or smaller inputs, or a machine with more memory"
            return _fail(RunFailed("out of memory", code="run.out_of_memory", hint=hint), session)
        return _fail(_bug(error, words, session), session)


def _invoke(words: list[str], session: Session) -> int:
    if "_METACLI_COMPLETE" in os.environ:
        app(words, prog_name="metacli")  # Typer answers the shell and exits
    root = _root()
    try:
        with root.make_context("metacli", words, obj=session) as context:
            root.invoke(context)
    except typer.Exit as done:
        return done.exit_code
    except typer.TyperException as error:
        raise usage_problem(error, root, words) from error
    except OSError as error:
        if session.frame is not None or not _about_stdout(error):
            raise
        if sys.stdout is not None:  # a help page that nobody reads to its end
            abandon(sys.stdout)
        raise stdout_problem(error) from error
    return ExitCode.DONE


@functools.cache
def _root() -> Pages:
    return cast(Pages, typer.main.get_command(app))


def _about_stdout(error: OSError) -> bool:
    return error.filename is None and error.errno in (errno.EPIPE, errno.ENOSPC, errno.EBADF)


def _too_long(error: OSError) -> MetacliError:
    """A path that no file can have, whoever was the first to look it up."""
    name = os.fsdecode(error.filename or "")
    return EnvironmentProblem(
        f"a path or a name in it is longer than this system allows: {len(name)} letters",
        code="environment.path",
        where=name if len(name) <= LONG else f"{name[:LONG]}...",
        hint="give a shorter one",
    )


def _fail(error: MetacliError, session: Session) -> int:
    if session.frame is None or isinstance(error, UsageProblem):
        if session.frame is not None and session.frame.launch.follows:
            return int(error.exit_code)
        write_stderr("".join(f"{line}\n" for line in error_lines(error)))
    else:
        session.frame.fail(error)
    return int(error.exit_code)


class _Stopped(KeyboardInterrupt):
    """SIGTERM or SIGHUP, raised where Ctrl-C would be, so that half-written output is removed."""

    def __init__(self, number: int) -> None:
        super().__init__()
        self.number = number


def _interrupted(number: int) -> MetacliError:

    return Interrupted(f"stopped by {signal.Signals(number).name}", number=number)


def _bug(error: Exception, words: Sequence[str], session: Session) -> MetacliError:
    """An unexpected exception as an error with a log file; the traceback itself only under -v."""
    trace = "".join(traceback.format_exception(error))
    if session.frame is not None and session.frame.verbose:
        write_stderr(trace)
    log = _write_log(f"metacli {metacli.__version__}, Python {sys.version}\n{words}\n\n{trace}")
    name = f"{type(error).__name__}: {error}".strip().rstrip(":")
    return MetacliError(
        f"this is a bug in metacli: {name}",
        code="bug",
        where=log,
        hint="report it with that file; -v shows the traceback",
    )


def _write_log(content: str) -> str | None:
    try:
        descriptor, log = tempfile.mkstemp(prefix="metacli-bug-", suffix=".txt")
        with os.fdopen(descriptor, "w", encoding="utf-8", errors="backslashreplace") as file:
            file.write(content)
    except OSError:
        return None  # a full or missing temporary folder must not hide the bug
    return str(Path(log))


def _stop(number: int, frame: FrameType | None) -> Any:
    raise _Stopped(number)


def run() -> None:
    """The command line of this process, with its signals; exits."""
    hold_standard_descriptors()
    for name in ("SIGTERM", "SIGHUP"):
        number = getattr(signal, name, None)
        if number is not None and signal.getsignal(number) is signal.SIG_DFL:  # not under nohup
            signal.signal(number, _stop)
    session = Session()
    leaving.append(functools.partial(_leave, session))
    code = main(session=session)
    frame = session.frame
    if code in STOPPED or (frame is not None and frame.launch.size > 1):
        _end(code)  # workers may be in an operation that takes minutes, or another rank be gone
    sys.exit(code)


STOPPED = (ExitCode.HANGUP, ExitCode.INTERRUPTED, ExitCode.TERMINATED)


def _leave(session: Session, error: MetacliError) -> None:
    """Say what happened and end the process, from a thread beside one that cannot be stopped."""
    end_loading()
    _end(_fail(error, session))


def _end(code: int) -> None:
    for stream in (sys.stdout, sys.stderr):
        if stream is not None:
            with contextlib.suppress(OSError, ValueError):
                stream.flush()
    os._exit(code)
