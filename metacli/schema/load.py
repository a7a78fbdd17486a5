"""A recipe by name, file or run folder, with the command line's changes, checked as a whole."""

from __future__ import annotations

import difflib
import errno
import json
import os
import re
import shlex
import stat
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from pydantic import JsonValue

from metacli.errors import (
    EnvironmentProblem,
    Finding,
    MetacliError,
    RecipeError,
    UsageProblem,
)
from metacli.schema import yaml as reader
from metacli.schema.check import Trouble, check, is_block, is_open, unknown_key
from metacli.schema.recipe import Recipe, valid_keys

COMMAND_LINE = "command line"
RUN_FILE = "recipe.yaml"
LONG = 300  # letters of a name that are shown
_RUN_STAMP = re.compile(r"\d{4}-?\d{2}-?\d{2}[T_-]?\d{2}")


@dataclass(frozen=True)
class Loaded:
    """A recipe and where each of its keys was written.

    Args:
        recipe: checked, overrides applied.
        name: what the run folder is called after: the shipped name, or the file's name.
        path: the file it came from.
        header: the comment lines that open the file.
        display: how the file is called in messages.
        lines: 1-based line of each dotted key of the file.
        overridden: dotted keys that the command line set.
        source: the data of the file, which the command line may have replaced.
    """

    recipe: Recipe
    name: str
    path: Path | None
    header: str
    display: str
    lines: Mapping[str, int] = field(default_factory=dict)
    overridden: frozenset[str] = frozenset()
    source: str | None = None

    def locate(self, key: str) -> str:
        """`my.yaml:7` or `command line` for a dotted key; that of its block if it is not given."""
        return _locate(key, self.display, self.lines, self.overridden)

    def finding(
        self, key: str, message: str, *, code: str = "recipe.invalid", hint: str | None = None
    ) -> Finding:
        """A problem with one key, placed where the key was written."""
        return Finding("error", code, message, self.locate(key), hint)

    def error(self, findings: Iterable[Finding]) -> RecipeError:
        """One error for problems found later, reported like those of the schema."""
        return collected(self.display, findings)


def load(recipe: str | os.PathLike[str], overrides: Sequence[str] = ()) -> Loaded:
    """The recipe with `KEY=VALUE` overrides applied over it.

    Args:
        recipe: a shipped name, a path to a .yaml or .yml file, or a run folder with recipe.yaml.
        overrides: `key.sub=value`; the value is a YAML 1.2 scalar or a flow list. Later ones win.

    Raises:
        RecipeError: not found, not readable, or not valid; all problems are in `findings`.
        UsageProblem: an override without `=`.
        EnvironmentProblem: no permission to read the file.
    """
    parsed = [_split(text) for text in overrides]
    name, path, display = _find(os.fspath(recipe))
    return _load_bytes(_contents(path, display), name, path, display, parsed)


def shipped() -> list[tuple[str, Path]]:
    """The recipes that come with metacli, by name."""
    here = Path(__file__).resolve()
    for folder in (here.parents[1] / "recipes", here.parents[2] / "recipes"):  # wheel; checkout
        if folder.is_dir():
            return sorted((path.stem, path) for path in folder.glob("*.yaml"))
    return []


def dump(recipe: Recipe, header: str = "") -> str:
    """YAML text with every setting, under `header` as comments; load() gives an equal recipe."""
    comments = "".join(f"# {line}".rstrip() + "\n" for line in header.splitlines())
    return comments + reader.write(recipe.plain())


def collected(display: str, findings: Iterable[Finding]) -> RecipeError:
    """One RecipeError for one or several findings of the recipe called `display`."""
    findings = tuple(findings)
    first = findings[0]
    if len(findings) == 1:
        return RecipeError(first.message, code=first.code, where=first.where, hint=first.hint)
    return RecipeError(
        f"{len(findings)} problems in {display}", code=first.code, where=display, findings=findings
    )


def _load_bytes(
    data: bytes, name: str, path: Path | None, display: str, parsed: Sequence[tuple[str, str]]
) -> Loaded:
    document = reader.read(data, display)
    raw, overridden, troubles = _override(document.value, parsed)
    recipe, more = check(raw)
    lines = {".".join(keys): line for keys, line in document.lines.items()}

    def located(trouble: Trouble) -> Finding:
        where = _locate(trouble.key, display, lines, overridden)
        return Finding("error", trouble.code, trouble.message, where, trouble.hint)

    findings = [*document.findings, *troubles, *(located(trouble) for trouble in more)]
    if findings or recipe is None:
        raise collected(display, sorted(findings, key=_line_order))
    block = document.value.get("data")
    source = block.get("source") if isinstance(block, Mapping) else None
    own = source if isinstance(source, str) else None
    return Loaded(recipe, name, path, document.header, display, lines, overridden, own)


def _line_order(finding: Finding) -> int:
    line = (finding.where or "").rpartition(":")[2]
    return int(line) if line.isdigit() else 0  # what was just typed comes first


def _locate(key: str, display: str, lines: Mapping[str, int], overridden: Iterable[str]) -> str:
    parts = key.split(".")
    for length in range(len(parts), 0, -1):
        prefix = ".".join(parts[:length])
        if prefix in overridden:
            return COMMAND_LINE
        if prefix in lines:
            return f"{display}:{lines[prefix]}"
    return display


def _split(text: str) -> tuple[str, str]:
    key, equals, value = text.partition("=")
    if not equals:
        raise UsageProblem(
            f"{text!r} is not KEY=VALUE",
            code="usage.override",
            where=COMMAND_LINE,
            hint="settings of the recipe are changed as in train.steps=2000",
        )
    return key.strip(), value


def _override(
    value: Mapping[str, JsonValue], parsed: Sequence[tuple[str, str]]
) -> tuple[dict[str, JsonValue], frozenset[str], list[Finding]]:
    raw = {key: dict(item) if isinstance(item, Mapping) else item for key, item in value.items()}
    done: set[str] = set()
    findings: list[Finding] = []
    for key, text in parsed:
        block, dot, inner = key.partition(".")
        known = key in valid_keys() or (dot and inner and "." not in inner and is_open(block))
        if not known:
            trouble = unknown_key(key)
            findings.append(_on_command_line(trouble.code, trouble.message, trouble.hint))
            continue
        if not dot and is_block(key) and text.strip() not in ("null", "~", ""):
            hint = f"set its keys, such as {_keys_of(key, text)}"
            findings.append(_on_command_line("recipe.invalid", f"{key} is a block of keys", hint))
            continue
        try:
            parsed_value = reader.read_value(text, COMMAND_LINE)
        except RecipeError as error:
            findings.append(_on_command_line(error.code, f"{key}: {error.message}", error.hint))
            continue
        if not dot:
            raw[key] = parsed_value
        else:
            inside = raw.setdefault(block, None)
            if isinstance(inside, dict | None):
                raw[block] = {**(inside or {}), inner: parsed_value}
        done.add(key)
    return raw, frozenset(done), findings


def _keys_of(block: str, text: str) -> str:
    """How to give what was given for the whole block."""
    first = next(name for name in valid_keys() if name.startswith(f"{block}."))
    if not text.lstrip().startswith("{"):
        return f"{first}={text}"
    try:
        value = reader.read(text.encode(), COMMAND_LINE).value
    except RecipeError:
        return f"{first}=VALUE"
    items = value.items() if isinstance(value, dict) else ()
    told = {key: one if isinstance(one, str) else json.dumps(one) for key, one in items}
    return " ".join(shlex.quote(f"{block}.{key}={one}") for key, one in told.items()) or first


def _on_command_line(code: str, message: str, hint: str | None) -> Finding:
    return Finding("error", code, message, COMMAND_LINE, hint)


def _find(recipe: str) -> tuple[str, Path, str]:
    """Name, file and display of a recipe given by whatever the user typed."""
    names = dict(shipped())
    if recipe in names:
        return recipe, names[recipe], names[recipe].name
    path = Path(recipe)
    if "\0" in recipe or not recipe:
        raise _not_found(recipe, names)
    try:
        if path.is_dir():
            path = path / RUN_FILE
            if not path.is_file():
                raise RecipeError(
                    f"no {RUN_FILE} in this folder",
                    code="recipe.not_found",
                    where=recipe,
                    hint="give a shipped name, a .yaml file or a run folder: metacli recipes",
                )
        elif path.suffix.lower() not in (".yaml", ".yml") or not os.path.lexists(path):
            raise _not_found(recipe, names)
    except (OSError, ValueError) as error:  # a name that no file can have is not there
        if not isinstance(error, OSError) or error.errno in (errno.ENAMETOOLONG, errno.EINVAL):
            raise _not_found(recipe[:LONG], names) from None
        raise _unreadable(str(path), error) from None
    return _name_of(path), path, str(path)


def _name_of(path: Path) -> str:
    if path.name != RUN_FILE:
        return path.stem
    # runs/<recipe>/<UTC time>/recipe.yaml is named by <recipe>, a run made with -o by its folder.
    run = path.resolve().parent
    return (run.parent if _RUN_STAMP.match(run.name) else run).name or path.stem


def _not_found(recipe: str, names: Mapping[str, Path]) -> RecipeError:
    word = Path(recipe).stem if recipe.endswith((".yaml", ".yml")) else recipe
    near = difflib.get_close_matches(word, names, n=3, cutoff=0.5)
    ask = "metacli recipes lists all"
    hint = f"did you mean {' or '.join(near)}? {ask}" if near else ask
    return RecipeError("no such recipe or file", code="recipe.not_found", where=recipe, hint=hint)


def _contents(path: Path, display: str) -> bytes:
    """The file's bytes; only of a regular file, and never more than the reader takes."""
    try:
        handle = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0))  # a fifo never blocks
        with os.fdopen(handle, "rb") as file:
            if not stat.S_ISREG(os.fstat(handle).st_mode):
                raise RecipeError("not a regular file", code="recipe.unreadable", where=display)
            return file.read(reader.MAX_BYTES + 1)
    except OSError as error:
        raise _unreadable(display, error) from None


def _unreadable(display: str, error: OSError) -> MetacliError:
    if isinstance(error, PermissionError):
        return EnvironmentProblem(
            "no permission to read this recipe", code="environment.permission", where=display
        )
    return RecipeError(
        f"cannot read this recipe: {error.strerror}", code="recipe.unreadable", where=display
    )
