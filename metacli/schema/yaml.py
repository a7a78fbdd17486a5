"""The one reader of recipe text: bytes to plain values and their line numbers, or a RecipeError.

PyYAML follows YAML 1.1, where `1e-3` is text and `no` is False. This loader resolves plain scalars
by the core schema of YAML 1.2 (section 10.3.2), and refuses what a recipe never needs and an
attacker might like: anchors, aliases, merge keys, tags, duplicate keys, deep nesting, large files.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import yaml
from pydantic import JsonValue

from metacli.errors import Finding, RecipeError
from metacli.schema.scalars import CORE, PATTERNS, TAG, checked, scalar

MAX_BYTES = 1_000_000
MAX_DEPTH = 16
MAX_VALUES = 10_000  # about a second of reading

KeyPath = tuple[str, ...]


@dataclass(frozen=True)
class Document:
    """What a recipe file holds.

    Args:
        value: the mapping, of plain dicts, lists and scalars.
        lines: 1-based line of every key (and list item) by its path, such as ("train", "lr").
        header: the first comment block, without the `#`.
        findings: problems that leave the rest readable, such as a duplicate key.
    """

    value: Mapping[str, JsonValue]
    lines: Mapping[KeyPath, int]
    header: str
    findings: tuple[Finding, ...] = ()


def read(data: bytes, name: str) -> Document:
    """The document in `data`; `name` is how its file is called in messages.

    Raises:
        RecipeError: not UTF-8, too large, too deep, not YAML, several documents, not a mapping.
    """
    if len(data) > MAX_BYTES:
        raise RecipeError(
            f"a recipe of {len(data)} bytes: at most {MAX_BYTES} are read",
            code="recipe.too_large",
            where=name,
        )
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data[: error.start].count(b"\n") + 1
        raise RecipeError(
            "not UTF-8 text", code="recipe.syntax", where=f"{name}:{line}", hint="save it as UTF-8"
        ) from None
    node = _compose(text, name)
    if node is None:
        raise RecipeError(
            "an empty recipe",
            code="recipe.empty",
            where=name,
            hint="start from a copy: metacli recipes",
        )
    if not isinstance(node, yaml.MappingNode):
        raise RecipeError(
            f"a recipe is `key: value` lines, this is {_described(node)}",
            code="recipe.syntax",
            where=f"{name}:{node.start_mark.line + 1}",
            hint="start from a copy: metacli recipes",
        )
    builder = _Builder(name)
    value = builder.mapping(node, ())
    return Document(value, builder.lines, header_of(text), tuple(builder.findings))


def read_value(text: str, name: str) -> JsonValue:
    """The value of a KEY=VALUE override: a YAML 1.2 scalar, quoted or not, or a list `[3, 20]`.

    A value without quotes or brackets is taken whole, so that `data.source=*a: b #1` is that text.

    Raises:
        RecipeError: an unclosed list or quote, a mapping, a number with too many digits.
    """
    if not text.lstrip().startswith(("[", "{", '"', "'")):
        return scalar(text.strip(), name)
    if len(text) > MAX_BYTES:
        raise RecipeError("the value is too long", code="recipe.too_large", where=name)
    node = _compose(text, name, lines=False)
    if node is None or isinstance(node, yaml.MappingNode):
        raise RecipeError(
            "a value is a number, text, true, false, null or a list",
            code="recipe.syntax",
            where=name,
            hint="set the keys of a block one by one: block.key=value",
        )
    return _Builder(name, lines=False).build(node, ())


def header_of(text: str) -> str:
    """The comment lines that open a file, without their `#`; "" when it opens otherwise."""
    kept: list[str] = []
    for line in text.lstrip("\ufeff").splitlines():
        if line.startswith("#"):
            kept.append(line[1:].removeprefix(" ").rstrip())
        elif line.strip() or kept:
            break
    return "\n".join(kept)


def write(value: Mapping[str, JsonValue]) -> str:
    """YAML text of plain values: one line for each block; read() gives the same values back."""
    return yaml.dump(
        value,
        Dumper=_Writer,
        sort_keys=False,
        allow_unicode=True,
        default_flow_style=None,
        width=100,
    )


class _Reader(yaml.SafeLoader):
    """Composes nodes with a cap on the depth, and stops at whatever a recipe may not hold."""

    def __init__(self, text: str, name: str, lines: bool) -> None:
        super().__init__(text)
        self.display, self.with_lines = name, lines
        self.depth = self.values = 0

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        event = self.peek_event()  # type: ignore[no-untyped-call]  # as its stubs have it
        if isinstance(event, yaml.AliasEvent) or event.anchor is not None:
            raise self.refusal("recipe.alias", "anchors and aliases (& and *) are not allowed")
        if event.tag is not None:
            raise self.refusal("recipe.tag", f"tags such as {event.tag} are not allowed")
        if self.depth >= MAX_DEPTH:
            raise self.refusal("recipe.too_deep", f"nested more than {MAX_DEPTH} levels deep")
        self.values += 1
        if self.values > MAX_VALUES:
            raise self.refusal("recipe.too_large", f"more than {MAX_VALUES} keys and values")
        self.depth += 1
        node = super().compose_node(parent, index)
        self.depth -= 1
        return node

    def refusal(self, code: str, message: str) -> RecipeError:
        mark = self.peek_event().start_mark  # type: ignore[no-untyped-call]  # as its stubs have it
        hint = "write the value out; text that holds & * or ! goes in quotes"
        return RecipeError(
            message,
            code=code,
            where=f"{self.display}:{mark.line + 1}" if self.with_lines else self.display,
            hint=None if code.startswith("recipe.too_") else hint,
        )


class _Writer(yaml.SafeDumper):
    """Quotes text that either YAML 1.1 or 1.2 would read as something else; needs no aliases."""

    def ignore_aliases(self, data: object) -> bool:
        return True

    def text(self, value: str) -> yaml.ScalarNode:
        # Between single quotes PyYAML writes these line breaks raw, and reads them as a space.
        style = '"' if {"\x85", "\u2028", "\u2029", "\ufeff"} & set(value) else None
        return self.represent_scalar(TAG + "str", value, style=style)


_Writer.add_representer(str, _Writer.text)
_Reader.yaml_implicit_resolvers = {}  # our own resolution below: of the text, not of YAML 1.1
for _kind, _pattern, _first in CORE:
    # Copies the table of SafeDumper on first use, so that PyYAML's own classes stay as they are.
    _Writer.add_implicit_resolver(TAG + _kind, PATTERNS[_kind], list(_first))


def _compose(text: str, name: str, lines: bool = True) -> yaml.Node | None:
    loader = None
    try:
        loader = _Reader(text, name, lines)
        return loader.get_single_node()
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        message = " ".join(part for part in (error.context, error.problem) if part)
        line = mark.line + 1 if mark else 1
    except yaml.reader.ReaderError as error:
        message = f"character U+{error.character:04X} is not allowed"
        line = text[: error.position].count("\n") + 1
    except (ValueError, OverflowError):  # an escape beyond Unicode, a %YAML version of many digits
        message, line = "an escape or a directive that YAML does not know", 1
        if loader is not None:
            line = loader.line + 1
    finally:
        if loader is not None:
            loader.dispose()
    hint = "indent with spaces, not tabs" if "'\\t'" in message else None
    where = f"{name}:{line}" if lines else name
    raise RecipeError(f"not YAML: {message}", code="recipe.syntax", where=where, hint=hint)


class _Builder:
    """Nodes to plain values; remembers lines and problems on the way."""

    def __init__(self, name: str, lines: bool = True) -> None:
        self.name, self.with_lines = name, lines
        self.lines: dict[KeyPath, int] = {}
        self.findings: list[Finding] = []

    def build(self, node: yaml.Node, path: KeyPath) -> JsonValue:
        # Recursion is safe: the reader has capped the depth.
        if isinstance(node, yaml.MappingNode):
            return self.mapping(node, path)
        if isinstance(node, yaml.SequenceNode):
            for index, item in enumerate(node.value):
                self.lines[(*path, str(index))] = item.start_mark.line + 1
            return [self.build(n, (*path, str(i))) for i, n in enumerate(node.value)]
        assert isinstance(node, yaml.ScalarNode)  # the reader refuses anything else
        plain = node.style is None
        return (scalar if plain else checked)(node.value, self.where(node))

    def mapping(self, node: yaml.MappingNode, path: KeyPath) -> dict[str, JsonValue]:
        built: dict[str, JsonValue] = {}
        for key_node, value_node in node.value:
            key = self.key(key_node)
            here = (*path, key)
            if key in built:
                self.findings.append(
                    Finding(
                        "error",
                        "recipe.duplicate_key",
                        f"{'.'.join(here)} is given twice, first on line {self.lines[here]}",
                        self.where(key_node),
                        "keep one of the two",
                    )
                )
                continue
            self.lines[here] = key_node.start_mark.line + 1
            built[key] = self.build(value_node, here)
        return built

    def key(self, node: yaml.Node) -> str:
        if not isinstance(node, yaml.ScalarNode):
            raise RecipeError(
                f"a key is a word, this is {_described(node)}",
                code="recipe.syntax",
                where=self.where(node),
            )
        if node.style is None and node.value == "<<":
            raise RecipeError(
                "merge keys (<<) are not allowed",
                code="recipe.alias",
                where=self.where(node),
                hint="write the values out",
            )
        return checked(node.value, self.where(node))

    def where(self, node: yaml.Node) -> str:
        return f"{self.name}:{node.start_mark.line + 1}" if self.with_lines else self.name


def _described(node: yaml.Node) -> str:
    match node:
        case yaml.MappingNode():
            return "a block of keys"
        case yaml.SequenceNode():
            return "a list"
    return "a single value"
