"""The generator of mutants: what it changes, what it leaves alone, and what its results say."""

from __future__ import annotations

import ast
import json
import sys
from collections import Counter
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "benchmarks"))

import mutants  # noqa: E402
import mutations  # noqa: E402

SOURCE = '''"""A module."""

from __future__ import annotations

LIMIT: int = 5


def f(x: float, y: float, name: str = "a") -> float:
    """Docstring 7."""
    if x < y and len(name) > 7:
        raise ValueError(f"{x} is below {y + 1}")
    total = abs(x) + max(y, 2.5)
    total += g(x, y)
    h(total)
    return -total
'''
WANTED = {
    "constant": {"5 -> 6", "5 -> 4", "2.5 -> 3.5", "2.5 -> 1.5", "7 -> 8", "7 -> 6"},
    "negated condition": {"x < y and len(name) > 7 -> not (x < y and len(name) > 7)"},
    "and for or": {"x < y and len(name) > 7 -> x < y or len(name) > 7"},
    "comparison": {"x < y -> x > y", "len(name) > 7 -> len(name) < 7"},
    "boundary": {"len(name) > 7 -> len(name) >= 7"},
    "arithmetic": {
        "abs(x) + max(y, 2.5) -> abs(x) - max(y, 2.5)",
        "total += g(x, y) -> total -= g(x, y)",
    },
    "dropped bound": {"abs(x) -> x", "max(y, 2.5) -> y"},
    "swapped arguments": {"g(x, y) -> g(y, x)"},
    "deleted statement": {"total += g(x, y) -> pass", "h(total) -> pass"},
    "sign": {"-total -> total"},
}


@pytest.fixture
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setattr(mutations, "ROOT", tmp_path)
    (tmp_path / "small.py").write_text(SOURCE)
    return "small.py"


def test_every_operator_makes_its_changes_and_nothing_else_is_touched(module: str) -> None:
    """No annotation, docstring, f-string or error is changed, and no two changes are the same."""
    found: dict[str, list[str]] = {}
    for one in mutations.mutants(module):
        found.setdefault(one.operator, []).append(f"{one.before} -> {one.after}")
    assert {operator: set(ones) for operator, ones in found.items()} == WANTED
    assert all(len(ones) == len(set(ones)) for ones in found.values())
    assert set(WANTED) == set(mutations.OPERATORS)


def test_a_mutant_is_its_module_with_one_change(module: str) -> None:
    whole = ast.unparse(ast.parse(SOURCE)).splitlines()
    for one in mutations.mutants(module):
        changed = ast.unparse(mutations.mutated(one)).splitlines()
        differences = [(a, b) for a, b in zip(whole, changed, strict=True) if a != b]
        assert len(differences) == 1, one
        compile(mutations.mutated(one), module, "exec")


def test_a_mutant_of_a_module_that_has_changed_since_is_refused(
    module: str, tmp_path: Path
) -> None:
    last = mutations.mutants(module)[-1]
    (tmp_path / module).write_text(SOURCE.replace("-total", "total * 2"))
    with pytest.raises(ValueError, match="not what it was"):
        mutations.mutated(last)


@pytest.mark.slow
def test_the_draw_has_six_hundred_mutants_of_every_module_and_operator() -> None:
    drawn = {module: mutants.drawn(module) for module in mutants.modules()}
    every = [one for ones in drawn.values() for one in ones]
    assert len(every) >= 600
    assert len({one.key for one in every}) == len(every)
    assert {one.operator for one in every} == set(mutations.OPERATORS)
    for module, ones in drawn.items():
        possible = len(mutations.mutants(module))
        assert min(possible, mutants.FEWEST) <= len(ones) <= mutants.MOST
    assert mutants.drawn("metacli/autodiff.py") == drawn["metacli/autodiff.py"]


def test_the_committed_result_counts_what_it_lists_and_gives_a_reason_for_every_equivalent() -> (
    None
):
    result = json.loads(mutants.RESULT.read_text())
    counts = Counter(one["outcome"] for one in result["mutants"])
    assert sum(counts.values()) == result["tried"] <= result["drawn"]
    for outcome in ("killed", "survived", "equivalent"):
        assert counts[outcome] == result[outcome]
    tried = counts["killed"] + counts["survived"]
    assert result["killed_share"] == pytest.approx(counts["killed"] / tried, abs=1e-4)
    for one in result["mutants"]:
        assert bool(one.get("by")) == (one["outcome"] == "killed")
        assert bool(one.get("reason")) == (one["outcome"] == "equivalent")
