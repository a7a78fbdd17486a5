"""Small wrong changes of a module, made on its syntax tree: what a careful reader might get wrong.

`mutants(module)` lists every one that this file can make, in the order of the source, and
`mutated(mutant)` is the tree with that one change, ready to be compiled. Nothing is written to the
source. Left alone: annotations, decorators, docstrings, f-strings, what a `raise` says, messages
of `assert`, imports, and the bodies of protocols: a change there is no wrong computation.
"""

from __future__ import annotations

import ast
import copy
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
FLIPPED: dict[type[ast.cmpop], type[ast.cmpop]] = {
    ast.Eq: ast.NotEq,
    ast.NotEq: ast.Eq,
    ast.Lt: ast.Gt,
    ast.Gt: ast.Lt,
    ast.LtE: ast.GtE,
    ast.GtE: ast.LtE,
    ast.Is: ast.IsNot,
    ast.IsNot: ast.Is,
    ast.In: ast.NotIn,
    ast.NotIn: ast.In,
}
BOUNDARY: dict[type[ast.cmpop], type[ast.cmpop]] = {
    ast.Lt: ast.LtE,
    ast.LtE: ast.Lt,
    ast.Gt: ast.GtE,
    ast.GtE: ast.Gt,
}
ARITHMETIC: dict[type[ast.operator], type[ast.operator]] = {
    ast.Add: ast.Sub,
    ast.Sub: ast.Add,
    ast.Mult: ast.Div,
    ast.Div: ast.Mult,
    ast.FloorDiv: ast.Mult,
    ast.Mod: ast.FloorDiv,
    ast.Pow: ast.Mult,
}
BOUNDING = frozenset({"abs", "min", "max"})
BOUNDING_METHODS = frozenset({"abs", "clamp", "clamp_min", "clamp_max", "relu"})
# The order means nothing to some, and stops the program in others wherever they stand.
UNSWAPPED = frozenset(
    {"min", "max", "minimum", "maximum", "logaddexp", "isinstance", "issubclass", "cast"}
    | {"transpose", "swapaxes"}
)
OPERATORS = (
    "comparison",
    "boundary",
    "arithmetic",
    "constant",
    "sign",
    "dropped bound",
    "swapped arguments",
    "negated condition",
    "deleted statement",
    "and for or",
)


@dataclass(frozen=True)
class Mutant:
    """One change: where it is, what it changes, and which of the module's changes it is."""

    module: str  # path from the root of the repository
    line: int
    operator: str  # of OPERATORS
    before: str
    after: str
    number: int  # among all of the module's

    @property
    def key(self) -> str:
        return f"{self.module}:{self.number}:{self.line}: {self.before} -> {self.after}"

    def as_dict(self) -> dict[str, str | int]:
        return asdict(self)


@dataclass(frozen=True)
class Change:
    """A node of a tree and what takes its place there."""

    operator: str
    parent: ast.AST
    field: str
    index: int | None
    new: ast.AST

    def old(self) -> ast.AST:
        found = getattr(self.parent, self.field)
        return found if self.index is None else found[self.index]

    def apply(self) -> None:
        if self.index is None:
            setattr(self.parent, self.field, self.new)
        else:
            getattr(self.parent, self.field)[self.index] = self.new


def mutants(module: str) -> list[Mutant]:
    """Every change of a module, in the order of its source."""
    tree = ast.parse((ROOT / module).read_text(encoding="utf-8"))
    found = []
    for number, change in enumerate(changes(tree)):
        old = change.old()
        line = getattr(old, "lineno", getattr(change.parent, "lineno", 0))
        before, after = (text_of(change.parent, change, one) for one in (old, change.new))
        found.append(Mutant(module, line, change.operator, before, after, number))
    return found


def mutated(mutant: Mutant) -> ast.Module:
    """The module's tree with this one change.

    Raises:
        ValueError: if the module has changed since the mutant was made.
    """
    tree = ast.parse((ROOT / mutant.module).read_text(encoding="utf-8"))
    for number, change in enumerate(changes(tree)):
        if number == mutant.number:
            if text_of(change.parent, change, change.old()) != mutant.before:
                break
            change.apply()
            return ast.fix_missing_locations(tree)
    raise ValueError(f"{mutant.module} is not what it was: no mutant {mutant.key}")


def in_function(mutant: Mutant) -> bool:
    """Whether only the body of a function is changed: defaults belong to the module."""
    for node in ast.walk(ast.parse((ROOT / mutant.module).read_text(encoding="utf-8"))):
        if isinstance(node, ast.FunctionDef):
            last = node.end_lineno or 0
            if node.body[0].lineno <= mutant.line <= last:
                return True
    return False


def text_of(parent: ast.AST, change: Change, node: ast.AST) -> str:
    """An expression as a person reads it: an operator with its operands."""
    if isinstance(node, (ast.cmpop, ast.operator, ast.boolop)):
        seen = copy.deepcopy(parent)
        if change.index is None:
            setattr(seen, change.field, node)
        else:
            getattr(seen, change.field)[change.index] = node
        node = seen
    return " ".join(ast.unparse(ast.fix_missing_locations(copy.deepcopy(node))).split())[:160]


def changes(tree: ast.Module) -> list[Change]:
    """In the order of a walk from the top, which is the same for the same source."""
    return [
        change
        for parent, field, index, node in places(tree)
        for change in of_node(parent, field, index, node)
    ]


def places(node: ast.AST) -> Iterator[tuple[ast.AST, str, int | None, ast.AST]]:
    """Every node that may be changed, with its place in its parent."""
    for field, value in ast.iter_fields(node):
        if field in LEFT_OUT.get(type(node).__name__, ()):
            continue
        several = isinstance(value, list)
        for index, child in enumerate(value if several else [value]):
            if not isinstance(child, ast.AST) or untouched(child):
                continue
            yield node, field, index if several else None, child
            yield from places(child)


LEFT_OUT = {
    "FunctionDef": ("decorator_list", "returns"),
    "AsyncFunctionDef": ("decorator_list", "returns"),
    "ClassDef": ("decorator_list", "bases", "keywords"),
    "AnnAssign": ("annotation", "target"),
    "arg": ("annotation",),
    "Assert": ("msg",),
}


def untouched(node: ast.AST) -> bool:
    """Whether a change below this node is no change of what is computed."""
    match node:
        case ast.Raise() | ast.JoinedStr() | ast.Import() | ast.ImportFrom():
            return True
        case ast.Expr(value=ast.Constant()):
            return True
        case ast.ClassDef(bases=bases):
            return any(ast.unparse(base).startswith("Protocol") for base in bases)
        case ast.If(test=ast.Name(id="TYPE_CHECKING")):
            return True
        case ast.Assign(targets=[ast.Name(id="__all__")]):
            return True
        case ast.Call(func=ast.Name(id=name)):
            return name.endswith(("Error", "Problem", "Failed", "TypeVar", "Literal"))
    return False


def of_node(parent: ast.AST, field: str, index: int | None, node: ast.AST) -> Iterator[Change]:
    def made(operator: str, new: ast.AST) -> Change:
        if "lineno" in getattr(node, "_attributes", ()):
            ast.copy_location(new, node)
        return Change(operator, parent, field, index, new)

    match node:
        case ast.cmpop():
            if type(node) in FLIPPED:
                yield made("comparison", FLIPPED[type(node)]())
            if type(node) in BOUNDARY and counts(parent):
                yield made("boundary", BOUNDARY[type(node)]())
        case ast.operator() if type(node) in ARITHMETIC and not of_text(parent):
            yield made("arithmetic", ARITHMETIC[type(node)]())
        case ast.boolop():
            yield made("and for or", ast.Or() if isinstance(node, ast.And) else ast.And())
        case ast.Constant():
            yield from (made("constant", ast.Constant(new)) for new in other_values(node.value))
        case ast.UnaryOp(op=ast.USub(), operand=operand) if not isinstance(operand, ast.Constant):
            yield made("sign", operand)
        case ast.Call():
            yield from (made(operator, new) for operator, new in of_call(node))
        case ast.Expr(value=ast.Call()) | ast.AugAssign():
            yield made("deleted statement", ast.Pass())
        case ast.Assign(targets=[ast.Attribute() | ast.Subscript()]):
            yield made("deleted statement", ast.Pass())
    if field == "test" and not isinstance(parent, ast.Assert) and isinstance(node, ast.expr):
        yield made("negated condition", ast.UnaryOp(ast.Not(), copy.deepcopy(node)))


def of_call(call: ast.Call) -> Iterator[tuple[str, ast.AST]]:
    """A bound that is dropped: what it bounds is left. And the first two arguments swapped."""
    match call.func:
        case ast.Name(id=name) if name in BOUNDING:
            free = [one for one in call.args if not isinstance(one, ast.Constant)]
            several = any(isinstance(one, (ast.GeneratorExp, ast.Starred)) for one in free)
            if free and not several and (name == "abs" or len(call.args) > 1):
                yield "dropped bound", free[0]
        case ast.Attribute(value=ast.Name(id="torch" | "np" | "F" | "math" | "self"), attr=name):
            if name in BOUNDING_METHODS and call.args:
                yield "dropped bound", call.args[0]
        case ast.Attribute(value=value, attr=name) if name in BOUNDING_METHODS:
            yield "dropped bound", value
    starred = any(isinstance(one, ast.Starred) for one in call.args)
    if len(call.args) > 1 and not starred and named(call) not in UNSWAPPED:
        one, two = call.args[:2]
        if ast.dump(one) != ast.dump(two):
            swapped = copy.deepcopy(call)
            swapped.args[:2] = [copy.deepcopy(two), copy.deepcopy(one)]
            yield "swapped arguments", swapped


def named(call: ast.Call) -> str:
    """`max` of `max(...)` and of `np.max(...)`."""
    match call.func:
        case ast.Name(id=name) | ast.Attribute(attr=name):
            return name
    return ""


def counts(parent: ast.AST) -> bool:
    """Whether a comparison is of whole numbers, as far as its text tells: real numbers are hardly
    ever equal, and then it does not matter what a boundary belongs to."""
    sides = [parent.left, *parent.comparators] if isinstance(parent, ast.Compare) else []
    return any(
        (isinstance(side, ast.Constant) and type(side.value) is int and side.value != 0)
        or (isinstance(side, ast.Call) and named(side) in ("len", "numel", "sum"))
        for side in sides
    )


def of_text(parent: ast.AST) -> bool:
    """Whether an operator joins texts."""
    return isinstance(parent, ast.BinOp) and any(
        isinstance(side, ast.JoinedStr)
        or (isinstance(side, ast.Constant) and isinstance(side.value, str))
        for side in (parent.left, parent.right)
    )


def other_values(value: object) -> list[bool | int | float]:
    if isinstance(value, bool):
        return [not value]
    if isinstance(value, (int, float)):
        return [value + 1, value - 1]
    return []
