"""What every file of the package keeps to: no circle of imports, no crowded folder, no long file,
no long function, no function with more parameters than a reader can hold; how often a type is left
open, and where attributes are asked for by name.

Each list below names who is over a limit today and by how much. The lists only get shorter: what is
on one may not grow, and what has come under the limit is taken off.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path

import pytest
from sources import tree_of

import metacli

ROOT = Path(metacli.__file__).parent
MOST_FILES, MOST_LINES, MOST_OF_A_FUNCTION, MOST_PARAMETERS = 30, 350, 60, 12

# Of annotations with `Any` or a bare `object`, and of casts, in the whole package.
MOST_OPEN_TYPES = 70
# What may be asked by name whether it has an attribute: (file, what). None of it is a type of ours.
ASKED_BY_NAME = {
    # Flags and signals that not every system has.
    ("data/files.py", "os"),
    ("engine/storage/disk.py", "os"),
    ("schema/load.py", "os"),
    ("threads.py", "os"),
    ("cli/app.py", "signal"),
    ("engine/training/signals.py", "signal"),
    # Errors and streams of Python, Typer's errors and parameters: some kinds of them have it.
    ("data/cache/download.py", "error"),
    ("data/files.py", "error"),
    ("cli/layout.py", "error"),
    ("cli/layout.py", "param"),
    ("cli/layout.py", "command"),
    ("cli/streams.py", "stream"),
    ("cli/streams.py", "sys.stderr"),
    # Layers of torchvision, numbers of NumPy and torch.
    ("nn/backbones/torchvision_backbones.py", "layer"),
    ("cli/errors.py", "value"),
    # A tensor of an nn.Module, as torch's exporters follow it.
    ("engine/exporting/graph.py", "self"),
    ("engine/exporting/graph_support.py", "self"),
    ("engine/exporting/graph_tasks.py", "self"),
    # The classes of the library, which its root imports on first use.
    ("algorithms/entry.py", "import_module('metacli')"),
}
CIRCLES: list[set[str]] = []
FOLDERS: dict[str, int] = {}
LONG_FILES: dict[str, int] = {}
LONG_FUNCTIONS: dict[str, int] = {}
# `cli/` is apart: a command has one parameter for each of its options.
MANY_PARAMETERS: dict[str, int] = {}


def modules(root: Path) -> dict[str, Path]:
    """Every module below a package by its dotted name."""
    found = {}
    for path in sorted(root.rglob("*.py")):
        parts = path.relative_to(root.parent).with_suffix("").parts
        found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


def imported(path: Path, known: Mapping[str, Path], own: str) -> set[str]:
    """Modules of the package that a file imports anywhere, also inside functions.

    The package's root is left out: it holds the version, and looks everything else up by name.
    """
    package = own if path.name == "__init__.py" else own.rpartition(".")[0]
    found: set[str] = set()
    for node in ast.walk(tree_of(path)):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            parts = package.split(".")
            above = parts[: len(parts) - node.level + 1] if node.level else []
            base = ".".join([*above, *([node.module] if node.module else [])])
            names = {f"{base}.{alias.name}" for alias in node.names}
            found |= {name if name in known else base for name in names}
    return {name for name in found if name in known and "." in name} - {own}


def circles(graph: Mapping[str, set[str]]) -> list[set[str]]:
    """The sets of more than one module each of which reaches the others."""
    reached: dict[str, set[str]] = {}
    for start in graph:
        seen, todo = set(), [start]
        while todo:
            for name in graph[todo.pop()] - seen:
                seen.add(name)
                todo.append(name)
        reached[start] = seen
    found: list[set[str]] = []
    for name, seen in reached.items():
        circle = {other for other in seen if name in reached[other]}
        if name in seen and circle not in found:
            found.append(circle)
    return found


def circles_of(root: Path) -> list[set[str]]:
    known = modules(root)
    cli = f"{root.name}.cli"
    own = {name: path for name, path in known.items() if not name.startswith(cli)}
    return circles({name: imported(path, own, name) for name, path in own.items()})


Function = ast.FunctionDef | ast.AsyncFunctionDef


def functions(path: Path) -> Iterator[Function]:
    for node in ast.walk(tree_of(path)):
        if isinstance(node, Function):
            yield node


def length(node: Function) -> int:
    return (node.end_lineno or node.lineno) - node.lineno + 1


def parameters(node: Function) -> int:
    """How many, `self` and `cls` aside."""
    positional = [*node.args.posonlyargs, *node.args.args]
    rest = [node.args.vararg, node.args.kwarg]
    own = positional[:1] and positional[0].arg in ("self", "cls")
    count = len(positional) + len(node.args.kwonlyargs) + sum(one is not None for one in rest)
    return count - bool(own)


@cache
def over_limits(root: Path) -> dict[str, dict[str, int]]:
    """What is over each limit, with its size; of two functions of one name the larger."""
    over: dict[str, dict[str, int]] = {"folder": {}, "file": {}, "function": {}, "parameters": {}}

    def note(kind: str, name: str, size: int, most: int) -> None:
        if size > most:
            over[kind][name] = max(size, over[kind].get(name, 0))

    for path in modules(root).values():
        note("file", path.name, len(path.read_text(encoding="utf-8").splitlines()), MOST_LINES)
        in_cli = path.relative_to(root).parts[0] == "cli"
        for node in functions(path):
            note("function", node.name, length(node), MOST_OF_A_FUNCTION)
            if not in_cli:
                note("parameters", node.name, parameters(node), MOST_PARAMETERS)
    for folder in {path.parent for path in modules(root).values()}:
        name = folder.relative_to(root.parent).as_posix()
        note("folder", name, len(list(folder.glob("*.py"))), MOST_FILES)
    return over


def open_types(root: Path) -> int:
    """How often a type is left open: `Any` and `object` in annotations, and casts."""
    count = 0
    for path in modules(root).values():
        for node in ast.walk(tree_of(path)):
            said = [getattr(node, name, None) for name in ("annotation", "returns")]
            for one in said:
                names = ast.walk(one) if isinstance(one, ast.AST) else ()
                count += sum(isinstance(n, ast.Name) and n.id in ("Any", "object") for n in names)
            count += isinstance(node, ast.Call) and ast.unparse(node.func) in (
                "cast",
                "typing.cast",
            )
    return count


def asked_by_name(root: Path) -> set[tuple[str, str]]:
    """(file, of what) of every `hasattr` and `getattr`."""
    found = set()
    for path in modules(root).values():
        for node in ast.walk(tree_of(path)):
            if isinstance(node, ast.Call) and ast.unparse(node.func) in ("getattr", "hasattr"):
                found.add((path.relative_to(root).as_posix(), ast.unparse(node.args[0])))
    return found


def test_open_types_only_get_fewer() -> None:
    assert open_types(ROOT) <= MOST_OPEN_TYPES, "say it: a Protocol, plain.Record"


def test_no_type_of_ours_is_asked_whether_it_has_an_attribute() -> None:
    found = asked_by_name(ROOT)
    assert found - ASKED_BY_NAME == set(), "declare it: a base class or a Protocol has a property"
    assert ASKED_BY_NAME - found == set(), "gone: take it off the list"


def test_no_two_files_import_each_other() -> None:
    found = circles_of(ROOT)
    assert [one for one in found if one not in CIRCLES] == []
    assert [one for one in CIRCLES if one not in found] == [], "gone: take it off the list"


ALLOWED = {
    "folder": FOLDERS,
    "file": LONG_FILES,
    "function": LONG_FUNCTIONS,
    "parameters": MANY_PARAMETERS,
}


@pytest.mark.parametrize("kind", list(ALLOWED))
def test_nothing_is_over_a_limit(kind: str) -> None:
    found, allowed = over_limits(ROOT)[kind], ALLOWED[kind]
    grown = {name: size for name, size in found.items() if size > allowed.get(name, 0)}
    assert grown == {}, f"divide it: there is a limit for each {kind}"
    assert set(allowed) - set(found) == set(), "under the limit now: take it off the list"


# The rules themselves, on packages made for them.


def package(folder: Path, files: Mapping[str, str]) -> Path:
    root = folder / "made"
    for name, text in {"__init__.py": "", **files}.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return root


def test_a_circle_is_found_through_a_function_a_type_and_a_relative_import(tmp_path: Path) -> None:
    files = {
        "a.py": "def late():\n    from made.room import b\n",
        "room/__init__.py": "",
        "room/b.py": "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from ..c import C\n",
        "c.py": "import made.a\nfrom made import a\nclass C: ...\n",
        "d.py": "from made.c import C\nfrom made import __version__\n",
    }
    assert circles_of(package(tmp_path, files)) == [{"made.a", "made.room.b", "made.c"}]


def test_files_that_only_lean_on_each_other_and_commands_are_no_circle(tmp_path: Path) -> None:
    files = {
        "a.py": "import made.b, os\n",
        "b.py": "from made import c\n",
        "c.py": "",
        "cli/one.py": "from made.cli import two\n",
        "cli/two.py": "def late():\n    from made.cli import one\n",
    }
    assert circles_of(package(tmp_path, files)) == []


def test_what_is_over_a_limit_is_named_with_its_size(tmp_path: Path) -> None:
    names = [f"p{number}" for number in range(MOST_PARAMETERS)]
    at_most = f"def fits({', '.join(names)}):\n" + "    pass\n" * (MOST_OF_A_FUNCTION - 1)
    files = {
        "long.py": "\n" * (MOST_LINES + 1),
        "fits.py": at_most,
        "over.py": f"class C:\n  def over(self, x, *, {', '.join(names)}):\n" + "   pass\n" * 60,
        "cli/verb.py": f"def verb(x, {', '.join(names)}): ...\n",
        **{f"room/f{number}.py": "" for number in range(MOST_FILES + 1)},
    }
    assert over_limits(package(tmp_path, files)) == {
        "folder": {"made/room": 31},
        "file": {"long.py": 351},
        "function": {"over": 61},
        "parameters": {"over": 13},
    }


def test_open_types_and_attributes_asked_for_by_name_are_found(tmp_path: Path) -> None:
    files = {
        "a.py": "x: dict[str, Any]\ndef f(y: object) -> Any:\n    return cast(int, y)\n",
        "room/b.py": "def g(y: int) -> int:\n    return getattr(y, 'z', 0) or hasattr(y.a, 'b')\n",
    }
    root = package(tmp_path, files)
    assert open_types(root) == 4
    assert asked_by_name(root) == {("room/b.py", "y"), ("room/b.py", "y.a")}
