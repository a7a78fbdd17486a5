"""Who may import whom, read off every file; and what must not be imported, or called, at all."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from sources import tree_of

import metacli

ROOT = Path(metacli.__file__).parent
FILES = sorted(ROOT.rglob("*.py"))
# What each layer may import of the project besides itself and `metacli.__version__`.
MAY_IMPORT = {
    "errors": set(),
    "plugins": {"errors"},
    "types": {"errors"},
    "trees": {"errors", "types"},
    "threads": set(),
    "autodiff": {"errors", "types", "trees", "threads"},
    "compiled": {"errors", "types", "autodiff"},
    "nn": {"errors", "plugins", "types", "trees", "autodiff"},
    "algorithms": {"errors", "plugins", "types", "trees", "threads", "autodiff", "compiled", "nn"},
    "data": {"errors", "types", "schema"},  # the one reader of YAML
    "schema": {"errors"},
    "engine": {
        "errors",
        "plugins",
        "types",
        "trees",
        "threads",
        "autodiff",
        "compiled",
        "nn",
        "algorithms",
        "data",
        "schema",
    },
    "cli": {"errors", "types", "schema", "engine"},
    "version": set(),
    "__main__": {"cli"},
}
ONLY_IN = {"typer": "cli", "rich": "cli"}
NOWHERE = {"click", "pickle", "cPickle", "dill", "cloudpickle", "joblib", "shelve", "marshal"}
TORCH = {"torch", "torchvision", "safetensors", "sklearn"}
# What opens a socket, and the files that may: of `fetch`, `push` and `serve`. Two more have use of
# the module: a host's name in a lock, and a socket of this machine that a user named with -o.
NETWORK = {
    *("socket", "ssl", "asyncio", "http", "ftplib", "requests", "httpx", "aiohttp", "xmlrpc"),
    *("fastapi", "uvicorn", "starlette", "huggingface_hub"),
}
NETWORK_PARTS = ("urllib.request", "urllib.error", "torch.distributed", "torch.hub")
MAY_OPEN_SOCKETS = {
    "metacli/data/cache/download.py",
    "metacli/data/cache/networks.py",
    "metacli/engine/hub.py",
    "metacli/engine/ranks/team.py",  # the processes that torchrun started, among themselves
    *(
        f"metacli/engine/serving/{name}.py"
        for name in ("app", "arrivals", "guard", "lanes", "server")
    ),
    "metacli/engine/storage/disk.py",
    "metacli/engine/storage/lock.py",
}
FORBIDDEN_CALLS = {"print", "eval", "exec", "breakpoint"}
FORBIDDEN_ATTRIBUTES = {("torch", "load"), ("torch", "save")}
READS_PICKLES = "metacli/data/cache/pickled.py"  # after a hash matched, and with weights_only


def layer_of(path: Path) -> str:
    """`data` of metacli/data/few_shot/pools.py; `version` is metacli/__init__.py."""
    first = path.relative_to(ROOT).parts[0]
    return "version" if first == "__init__.py" else first.removesuffix(".py")


def name_of(path: Path) -> str:
    return path.relative_to(ROOT.parent).as_posix()


def imports(tree: ast.AST, path: Path) -> Iterator[str]:
    """Every module that is imported, wherever in the file, by its full dotted name."""
    package = list(path.relative_to(ROOT.parent).parts[:-1])
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else []
            module = ".".join([*base, *([node.module] if node.module else [])])
            # The last part may be a module (`from metacli import trees`) or a name in one.
            yield from (f"{module}.{alias.name}" for alias in node.names)


def layers(tree: ast.AST, path: Path) -> Iterator[str]:
    """The project's layers that a file imports."""
    for module in imports(tree, path):
        parts = module.split(".")
        if parts[0] == "metacli":
            known = len(parts) > 1 and parts[1] in MAY_IMPORT
            yield parts[1] if known else "version"


def test_files_are_found_and_every_one_is_in_a_known_layer() -> None:
    assert len(FILES) > 60
    assert {layer_of(path) for path in FILES} == set(MAY_IMPORT)


@pytest.mark.parametrize("path", FILES, ids=name_of)
def test_a_file_imports_its_own_layer_and_lower_ones_only(path: Path) -> None:
    own = layer_of(path)
    allowed = MAY_IMPORT[own] | {own, "version"}
    assert set(layers(tree_of(path), path)) - allowed == set()


def test_the_order_of_the_layers_has_no_circle() -> None:
    done: list[str] = []
    while len(done) < len(MAY_IMPORT):
        ready = [one for one, lower in MAY_IMPORT.items() if one not in done and lower <= set(done)]
        assert ready
        done += ready
    assert "data" not in MAY_IMPORT["algorithms"]
    assert "algorithms" not in MAY_IMPORT["data"]
    assert [one for one, lower in MAY_IMPORT.items() if "cli" in lower] == ["__main__"]


def test_the_terminal_libraries_are_imported_in_cli_alone_and_some_modules_nowhere() -> None:
    wrong = []
    for path in FILES:
        for module in imports(tree_of(path), path):
            first = module.split(".")[0]
            if first in NOWHERE or ONLY_IN.get(first, layer_of(path)) != layer_of(path):
                wrong.append((name_of(path), module))
    assert wrong == []


def test_sockets_are_opened_by_the_few_files_that_fetch_push_and_serve_go_through() -> None:
    found = {
        name_of(path)
        for path in FILES
        for module in imports(tree_of(path), path)
        if module.split(".")[0] in NETWORK or module.startswith(NETWORK_PARTS)
    }
    assert found == MAY_OPEN_SOCKETS, "only fetch, push, serve and ranks talk to a network"


@pytest.mark.parametrize("layer", ["errors", "schema", "cli", "version", "__main__"])
def test_layers_without_torch_import_none_of_it_even_inside_functions(layer: str) -> None:
    paths = [path for path in FILES if layer_of(path) == layer]
    assert paths
    firsts = {module.split(".")[0] for path in paths for module in imports(tree_of(path), path)}
    assert firsts & TORCH == set()


@pytest.mark.parametrize("package", ["engine", "data", "nn", "schema", "cli", "algorithms.meta"])
def test_a_package_file_that_should_be_empty_imports_nothing(package: str) -> None:
    path = ROOT / package.replace(".", "/") / "__init__.py"
    assert [type(node) for node in tree_of(path).body] == [ast.Expr]  # its docstring


def test_nothing_prints_runs_text_or_reads_a_pickle() -> None:
    wrong = []
    for path in FILES:
        for node in ast.walk(tree_of(path)):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
                if node.func.id in FORBIDDEN_CALLS:
                    wrong.append(f"{name_of(path)}:{node.lineno} {node.func.id}()")
            elif isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
                found = (node.value.id, node.attr)
                excepted = found == ("torch", "load") and name_of(path) == READS_PICKLES
                if found in FORBIDDEN_ATTRIBUTES and not excepted:
                    wrong.append(f"{name_of(path)}:{node.lineno} {node.value.id}.{node.attr}")
            elif isinstance(node, ast.keyword) and ast.unparse(node) == "allow_pickle=True":
                wrong.append(f"{name_of(path)}:{node.value.lineno} allow_pickle")
    assert wrong == []


def test_the_one_reader_of_pickles_reads_tensors_alone() -> None:
    (call,) = [
        node
        for node in ast.walk(tree_of(ROOT.parent / READS_PICKLES))
        if isinstance(node, ast.Call) and ast.unparse(node.func) == "torch.load"
    ]
    assert "weights_only=True" in [ast.unparse(one) for one in call.keywords]


def test_only_autodiff_differentiates_an_algorithm() -> None:
    """`torch.func.grad`, `vmap` and `autograd.grad` are named in one file of the lower layers."""
    found = set()
    for path in FILES:
        for node in ast.walk(tree_of(path)):
            if isinstance(node, ast.Attribute) and ast.unparse(node) in (
                "torch.func.grad",
                "torch.vmap",
                "torch.func.vmap",
                "torch.autograd.grad",
            ):
                found.add(name_of(path))
    assert found == {"metacli/autodiff.py"}


@pytest.mark.parametrize(
    "statement",
    [
        "import metacli",
        "import metacli.cli.app",
        "import metacli.engine.events",
        "import metacli.schema.load",
        "import metacli.algorithms; metacli.algorithms.names('meta')",
    ],
)
def test_an_import_does_not_pull_in_torch(statement: str) -> None:
    code = f"{statement}\nimport sys\nsys.exit(sorted({TORCH!r} & set(sys.modules)) or 0)"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=60
    )
    assert (done.returncode, done.stderr) == (0, "")
