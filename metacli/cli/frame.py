"""The frame that every command runs in: its common options, its clock, its two streams."""

from __future__ import annotations

import inspect
import re
import sys
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypedDict

import typer

from metacli.cli import errors, options, text
from metacli.cli.progress import Bars, Plain, Silent, View
from metacli.cli.streams import (
    end_loading,
    is_terminal,
    show_loading,
    stdout_kept_clean,
    write_stderr,
    write_stdout,
)
from metacli.cli.views.ranks import signed, speaks
from metacli.engine.events import Event, Notice, Reporter
from metacli.engine.ranks.launched import Launch, launched, require_divided
from metacli.engine.results.base import Json
from metacli.engine.storage.paths import require_output_file
from metacli.engine.storage.writer import write_output
from metacli.errors import ExitCode, Interrupted, MetacliError, RunFailed, UsageProblem

Result = dict[str, Json]
Work = Callable[[Reporter], Result]
Show = Callable[[Result], Iterable[str]]
Value = Callable[[Result], Json]


class Shared(TypedDict):
    """The common options that the engine's writing verbs take."""

    out: str | None
    force: bool
    device: str
    seed: int | None
    dry_run: bool
    report: Reporter


@dataclass
class Session:
    """What `main` knows about the command that is running, for when it fails."""

    frame: Frame | None = None


@dataclass
class Frame:
    """One command: its common options, the warnings so far, and when it began."""

    command: str
    json: bool = False
    quiet: bool = False
    verbose: bool = False
    out: str | None = None
    force: bool = False
    device: str = "auto"
    seed: int | None = None
    dry_run: bool = False
    launch: Launch = field(default_factory=launched)
    warnings: list[Notice] = field(default_factory=list)
    started: float = field(default_factory=time.monotonic)

    def answer(self, work: Work, show: Show, value: Value) -> None:
        """Do the work, then print its result in the form that was asked for.

        Args:
            work: calls one function of the engine.
            show: the result as lines for a person.
            value: the one value that `-q` prints.
        """
        result = self._run_and_show_what_failed(work, show, value)
        self.print_result(result, lambda: self._human(result, show, value))

    def _run_and_show_what_failed(self, work: Work, show: Show, value: Value) -> Result:
        try:
            return self.run(work)
        except MetacliError as error:
            # A check that failed: the score first, then why. What was stopped needs one line only.
            shown = not self.json and not isinstance(error, Interrupted)
            if error.result and shown and not self.launch.follows:
                write_stdout(self._human(error.result, show, value))
            raise

    def run(self, work: Work) -> Result:
        """The engine's part: progress on stderr, nothing on stdout, warnings collected."""
        view = self._view()

        def report(event: Event) -> None:
            end_loading()
            if isinstance(event, Notice):
                self.warnings.append(event)
            view(event)

        if not (self.quiet or self.launch.follows):
            show_loading()  # again, where a check before it had something to say
        try:
            with stdout_kept_clean():
                result = work(report)
                return {**result, "dry_run": True} if self.dry_run else result
        finally:
            view.close()

    def print_result(self, result: Result, human: Callable[[], str]) -> None:
        """One JSON document, or the text for people."""
        if self.launch.follows:
            return
        if self.json:
            write_stdout(errors.success(self.command, result, self.seconds, self.warnings))
        else:
            write_stdout(human())

    def fail(self, error: MetacliError) -> None:
        """The message on stderr; with `--json` the document on stdout, except for wrong usage."""
        error.hint = in_words_of(self.command, error.hint)
        if not speaks(error, self.launch):
            return
        lines = signed(errors.error_lines(error), self.launch)
        write_stderr("".join(f"{line}\n" for line in lines))
        if self.launch.follows:
            return
        if self.json and error.exit_code != ExitCode.USAGE and error.code != "stdout":
            document = errors.failure(self.command, error, self.seconds, self.warnings)
            try:
                write_stdout(document)
            except RunFailed as second:  # the first error decides the exit code
                write_stderr("".join(f"{line}\n" for line in errors.error_lines(second)))

    def answer_into_file(
        self,
        work: Work,
        show: Show,
        value: Value,
        draw: Callable[[Result, Path], bool] = lambda result, target: False,
    ) -> None:
        """`answer` for the commands whose result is text: `-o` is the file that it goes to.

        Args:
            draw: writes the file itself where its name asks for a plot, and says whether it did.
        """
        target = self.text_target()
        result = self._run_and_show_what_failed(work, show, value)
        human = self._human(result, show, value)
        if target is None or self.dry_run:
            self.print_result(result, lambda: human)
            return
        if not draw(result, target):
            document = errors.success(self.command, result, self.seconds, self.warnings)
            write_text(target, document if self.json else human)
        self.print_result(result, lambda: f"{target}\n")

    def text_target(self) -> Path | None:
        """The file of `-o`, checked before any work; None for stdout.

        Raises:
            DataError: a folder, or a file with content and no `--force`.
        """
        if self.out in (None, "-"):
            return None
        target = Path(str(self.out))
        require_output_file(target, force=self.force)
        return target

    @property
    def place(self) -> str | None:
        """`-o` of the commands that write files or folders.

        Raises:
            UsageProblem: it is stdout.
        """
        if self.out == "-":
            hint = "name a file or a folder"
            raise UsageProblem(f"{self.command} cannot write to stdout: -o -", hint=hint)
        return self.out

    def shared(self, report: Reporter) -> Shared:
        """The common options that the engine's writing verbs take."""
        return Shared(
            out=self.place,
            force=self.force,
            device=self.device,
            seed=self.seed,
            dry_run=self.dry_run,
            report=report,
        )

    @property
    def seconds(self) -> float:
        return time.monotonic() - self.started

    def _human(self, result: Result, show: Show, value: Value) -> str:
        if self.quiet:
            single = value(result)
            every = single if isinstance(single, list) else [] if single is None else [single]
            return "".join(f"{text.visible(one)}\n" for one in every)
        dry = ["dry run: nothing was written"] if self.dry_run else []
        return "".join(f"{line}\n" for line in [*dry, *show(result)])

    def _view(self) -> View:
        if self.quiet or self.launch.follows:
            return Silent()
        return Bars(self.verbose) if is_terminal(sys.stderr) else Plain(self.verbose)


def in_words_of(command: str, hint: str | None) -> str | None:
    """The engine speaks of a recipe's keys; `evaluate` has options for some of them."""
    if hint is None or command != "evaluate":
        return hint
    return re.sub(r"\bepisodes\.(way|shot|query)=", r"--\1 ", hint)


def write_text(target: Path, content: str) -> None:
    """The whole file or none of it; a device or pipe gets the text as a stream.

    Raises:
        RunFailed: no space left.
        EnvironmentProblem: the folder cannot be written.
    """
    write_output(target, content.encode("utf-8", "surrogateescape"))


def framed(name: str, body: Callable[..., None]) -> Callable[..., None]:
    """`body(frame, **own)` as the function Typer wants: own options, then the common ones.

    Written once here, so that no command can be without them.
    """
    own = inspect.signature(body, eval_str=True).parameters
    common = inspect.signature(_common, eval_str=True).parameters

    def command(ctx: typer.Context, **values: Any) -> None:  # of any command
        frame = Frame(name, **{key: values.pop(key) for key in common})
        if isinstance(ctx.obj, Session):
            ctx.obj.frame = frame
        require_divided(name, frame.launch)
        body(frame, **values)

    context = inspect.Parameter(
        "ctx", inspect.Parameter.POSITIONAL_OR_KEYWORD, annotation=typer.Context
    )
    parameters = [context, *list(own.values())[1:], *common.values()]
    keyword = [each.replace(kind=inspect.Parameter.KEYWORD_ONLY) for each in parameters]
    command.__signature__ = inspect.Signature(keyword)  # type: ignore[attr-defined]
    command.__annotations__ = {each.name: each.annotation for each in keyword}
    command.__doc__, command.__name__ = body.__doc__, body.__name__
    return command


def _common(
    json: options.Json = False,
    quiet: options.Quiet = False,
    verbose: options.Verbose = False,
    out: options.Out = None,
    force: options.Force = False,
    device: options.Device = "auto",
    seed: options.Seed = None,
    dry_run: options.DryRun = False,
) -> None:
    """Never called: its signature is the list of common options."""
