"""Tests in a fork of this process, with one module changed.

A change inside of a function is made in a fork of a process that has imported metacli and collected
the tests: the function's code is exchanged before any of it has run (`exchange`). Any other change,
of a default or of a constant of the module, is made in a fork of a process that has imported
nothing of metacli: a finder puts the changed tree in the place of the source (`Replaced`). The fork
runs pytest in its own process and reports how that ended; one that needs more processor time than
it was given is killed by the kernel.
"""

from __future__ import annotations

import ast
import contextlib
import gc
import importlib
import importlib.abc
import importlib.machinery
import io
import json
import os
import resource
import shutil
import signal
import sys
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import CodeType, FrameType, FunctionType, ModuleType
from typing import Any

import pytest

NOT_EXCHANGED = 9  # exit status of a fork that could not make its change
ROOT = Path(__file__).resolve().parent.parent
BUILD = ROOT / "build" / "mutants"
SLOW_TO_IMPORT = (
    *("torch", "torch.func", "torch.export", "torch.fx.experimental.proxy_tensor"),
    *("torchvision", "numpy", "scipy.optimize", "scipy.stats", "sklearn.linear_model"),
    *("sklearn.ensemble", "sklearn.svm", "sklearn.neighbors", "pydantic", "yaml", "typer"),
    *("rich.console", "rich.table", "PIL.Image", "safetensors.torch", "hypothesis", "filelock"),
    *("sklearn.feature_extraction.text", "tokenizers", "jinja2", "onnx", "onnxscript"),
)
VERBS = ("meta_train", "multitask", "adapt", "predict", "evaluate", "export", "compare", "report")
ALONE = (
    *("-x", "-q", "-p", "no:cacheprovider", "-n", "0", "--no-header"),
    *("-W", "ignore::pytest.PytestAssertRewriteWarning"),  # hypothesis is imported already
)


@dataclass(frozen=True)
class Ended:
    """How the tests of one fork ended."""

    how: str  # passed, failed, error, timeout, stuck, not exchanged
    test: str | None  # that failed
    seconds: float  # of processor time


def preload() -> None:
    """Imports what is slow to import, and nothing of metacli."""
    for name in SLOW_TO_IMPORT:
        importlib.import_module(name)
    assert not any(name.split(".")[0] == "metacli" for name in sys.modules)


def preload_metacli(files: Sequence[str] = ()) -> None:
    """Imports metacli, and the tests of these files with it."""
    sys.path[:] = [str(ROOT), *(one for one in sys.path if one != str(ROOT))]
    os.chdir(ROOT)
    for name in ("metacli.cli.app", *(f"metacli.engine.{verb}" for verb in VERBS)):
        importlib.import_module(name)
    assert Path(sys.modules["metacli"].__file__ or "").is_relative_to(ROOT)
    if files:
        with contextlib.redirect_stdout(io.StringIO()):
            pytest.main([*ALONE, "--collect-only", *files])


def exchange(module: str, tree: ast.Module) -> bool:
    """Gives the functions of a module that is imported the code of a changed tree; False where the
    change is outside of them, or where not every one of them can be told from the others."""
    path = str(ROOT / module)
    before = compile(ast.parse(Path(path).read_text(encoding="utf-8")), path, "exec")
    after = compile(tree, path, "exec", dont_inherit=True)
    old, new = by_name(before), by_name(after)
    if old.keys() != new.keys():
        return False
    changed = {key for key in old if [*map(outline, old[key])] != [*map(outline, new[key])]}
    functions: dict[tuple[str, int], list[FunctionType]] = {}
    for one in gc.get_objects():
        if type(one) is FunctionType and one.__code__.co_filename == path:
            key = (one.__code__.co_qualname, one.__code__.co_firstlineno)
            functions.setdefault(key, []).append(one)
    holders = {holder(key, functions) for key in changed}
    if not holders or None in holders:
        return False
    for key in holders:
        (code, *others) = new[key]
        if others or any(one.__code__.co_freevars != code.co_freevars for one in functions[key]):
            return False
        for one in functions[key]:
            one.__code__ = code
    return True


def by_name(code: CodeType) -> dict[tuple[str, int], list[CodeType]]:
    """Every body of a module; two on one line, such as lambdas, may have the same name."""
    found: dict[tuple[str, int], list[CodeType]] = {}
    for key, one in bodies(code):
        found.setdefault(key, []).append(one)
    return found


def bodies(code: CodeType) -> Iterator[tuple[tuple[str, int], CodeType]]:
    """Every body below a module's code with the name and line that tell which it is."""
    yield (code.co_qualname, code.co_firstlineno), code
    for one in code.co_consts:
        if isinstance(one, CodeType):
            yield from bodies(one)


def outline(code: CodeType) -> tuple[Any, ...]:
    """What a body does by itself, without the bodies inside of it."""
    constants = [repr(one) for one in code.co_consts if not isinstance(one, CodeType)]
    return code.co_code, constants, code.co_names, code.co_varnames, code.co_freevars


def holder(
    key: tuple[str, int], functions: dict[tuple[str, int], list[FunctionType]]
) -> tuple[str, int] | None:
    """The function that has a body inside: itself, or the innermost one around it."""
    if key in functions:
        return key
    name, _, inside = key[0].rpartition(".<locals>.")
    if not inside:
        return None
    around = [one for one in functions if one[0] == name and one[1] <= key[1]]
    found = max(around, key=lambda one: one[1], default=None)
    return found or holder((name, key[1]), functions)


class Replaced(importlib.abc.MetaPathFinder):
    """Finds one module as always, and has its code made of another tree."""

    def __init__(self, name: str, tree: ast.Module) -> None:
        self.name, self.tree = name, tree

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        if fullname != self.name:
            return None
        spec = importlib.machinery.PathFinder.find_spec(fullname, path)
        assert spec is not None
        assert spec.origin is not None
        spec.loader = TreeLoader(fullname, spec.origin, self.tree)
        return spec


class TreeLoader(importlib.machinery.SourceFileLoader):
    def __init__(self, fullname: str, path: str, tree: ast.Module) -> None:
        super().__init__(fullname, path)
        self.tree = tree

    def get_code(self, fullname: str) -> CodeType:
        return compile(self.tree, self.path, "exec", dont_inherit=True)


def module_name(path: str) -> str:
    """`metacli/nn/problem.py` as `metacli.nn.problem`."""
    return ".".join(Path(path).with_suffix("").parts).removesuffix(".__init__")


@dataclass(eq=False)  # pytest wants a plugin that can be hashed
class Witness:
    """A plugin that keeps the first test that failed, or else the lines that each one ran."""

    watched: frozenset[str] = frozenset()  # files
    failed: str | None = None
    lines: dict[str, dict[str, list[int]]] = field(default_factory=dict)
    seconds: dict[str, float] = field(default_factory=dict)

    @pytest.hookimpl
    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.failed and self.failed is None:
            self.failed = report.nodeid

    @pytest.hookimpl
    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        if report.failed and self.failed is None:
            self.failed = report.nodeid

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> Iterator[None]:
        if not self.watched:
            return (yield)
        seen: set[tuple[str, int]] = set()
        begun = time.process_time()
        with traced(self.watched, seen):
            outcome = yield
        self.seconds[item.nodeid] = round(time.process_time() - begun, 3)
        files: dict[str, list[int]] = {}
        for name, line in sorted(seen):
            files.setdefault(str(Path(name).relative_to(ROOT)), []).append(line)
        self.lines[item.nodeid] = files
        return outcome


@contextlib.contextmanager
def traced(files: frozenset[str], seen: set[tuple[str, int]]) -> Iterator[None]:
    """Writes down the lines of these files that this thread runs."""

    def inside(frame: FrameType, event: str, arg: Any) -> Any:
        if event == "line":
            seen.add((frame.f_code.co_filename, frame.f_lineno))
        return inside

    def outside(frame: FrameType, event: str, arg: Any) -> Any:
        return inside if frame.f_code.co_filename in files else None

    sys.settrace(outside)
    try:
        yield
    finally:
        sys.settrace(None)


Change = tuple[str, ast.Module]
"""A module's path from the root, and its changed tree."""


def started(arguments: Sequence[str], limit: int, change: Change, name: str, *, warm: bool) -> int:
    """Forks; the child runs pytest on these arguments and ends. Its process id.

    Args:
        limit: seconds of processor time.
        warm: whether metacli is imported already.
        name: of the file in `BUILD` that takes its report, and of its folder for what tests write.
    """

    def body() -> None:
        module, tree = change
        if not warm:
            sys.meta_path.insert(0, Replaced(module_name(module), tree))
        elif not exchange(module, tree):
            os._exit(NOT_EXCHANGED)
        report = in_child(arguments, limit, name)
        (BUILD / f"{name}.json").write_text(json.dumps(report))

    return forked(body)


def forked(body: Callable[[], None]) -> int:
    """The process id of a fork that runs `body` and ends, whatever comes of it."""
    if child := os.fork():
        return child
    try:
        body()
    except BaseException:  # noqa: BLE001  a fork must not go on with what its parent does
        traceback.print_exc()
    finally:
        os._exit(0)


def in_child(
    arguments: Sequence[str], limit: int, name: str, witness: Witness | None = None
) -> dict[str, Any]:
    resource.setrlimit(resource.RLIMIT_CPU, (limit, limit + 5))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    silence(BUILD / f"{name}.txt")
    os.chdir(ROOT)
    sys.path[:] = [str(ROOT), *(one for one in sys.path if one != str(ROOT))]
    witness = witness or Witness()
    scratch = BUILD / f"{name}-tmp"
    code = pytest.main([*ALONE, f"--basetemp={scratch}", *arguments], plugins=[witness])
    shutil.rmtree(scratch, ignore_errors=True)
    return {
        "code": int(code),
        "failed": witness.failed,
        "seconds": time.process_time(),
        "lines": witness.lines,
        "each": witness.seconds,
    }


def silence(path: Path) -> None:
    """What tests print goes to a file."""
    output = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    os.dup2(output, 1)
    os.dup2(output, 2)


def ended(status: int, used: resource.struct_rusage, name: str) -> Ended:
    """What a child left, or why it left nothing."""
    report, seconds = BUILD / f"{name}.json", round(used.ru_utime + used.ru_stime, 2)
    if os.WIFSIGNALED(status):
        return Ended("timeout" if os.WTERMSIG(status) == signal.SIGXCPU else "stuck", None, seconds)
    if os.WIFEXITED(status) and os.WEXITSTATUS(status) == NOT_EXCHANGED:
        return Ended("not exchanged", None, seconds)
    if not report.is_file():
        return Ended("error", None, seconds)
    told = json.loads(report.read_text())
    report.unlink()
    if told["code"] == 0:
        return Ended("passed", None, seconds)
    return Ended("failed" if told["failed"] else "error", told["failed"], seconds)
