"""What is said of speed, against the committed measurements. Nothing is timed here."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

from metacli.types import Batch, Episode

ROOT = Path(__file__).resolve().parent.parent

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture(scope="module")
def speed() -> Any:
    sys.path.insert(0, str(ROOT / "benchmarks"))
    try:
        import speed
    finally:
        sys.path.pop(0)
    return speed


@pytest.fixture(scope="module")
def speed_tasks(speed: Any) -> Any:
    sys.path.insert(0, str(ROOT / "benchmarks"))
    try:
        import speed_tasks
    finally:
        sys.path.pop(0)
    return speed_tasks


@pytest.fixture(scope="module")
def rows(speed: Any) -> dict[Any, dict[str, dict[str, Any]]]:
    """Row by shape and implementation."""
    measured = json.loads(speed.FILE.read_text())["rows"]
    found: dict[Any, dict[str, dict[str, Any]]] = {}
    for shape in speed.shapes():
        own = [r for r in measured if (r["what"], r["shape"]) == (shape.algorithm, shape.plain())]
        found[shape] = {row["implementation"]: row for row in own}
        assert {"loop", "vmap-4", "eager", "sampling"} <= set(found[shape])
    return found


def test_the_table_of_speed_is_made_from_the_results_file(speed: Any) -> None:
    page = speed.PAGE.read_text(encoding="utf-8")
    shown = page.partition(speed.BEGIN)[2].partition(speed.END)[0].strip()
    assert shown == speed.table()


def test_the_row_called_auto_is_what_the_rule_takes(speed: Any, rows: Any) -> None:
    for shape, found in rows.items():
        assert [name for name, row in found.items() if row.get("auto")] == [
            speed.execution_of(shape)
        ]


def test_auto_is_twice_as_fast_as_the_best_peer_and_compiled_three_times(rows: Any) -> None:
    shape = next(s for s in rows if (s.algorithm, s.way, s.query, s.steps) == ("maml", 5, 1, 1))
    auto = next(row for row in rows[shape].values() if row.get("auto"))
    peer = min(rows[shape][name]["seconds"] for name in ("higher", "torchopt"))
    assert shape.tasks == 32
    assert auto["seconds"] <= peer / 2
    assert rows[shape]["compiled-8"]["seconds"] <= peer / 3


def test_auto_is_nowhere_slower_than_the_eager_loop(rows: Any) -> None:
    for found in rows.values():
        auto = next(row for row in found.values() if row.get("auto"))
        assert auto["seconds"] <= found["eager"]["seconds"]


def test_sampling_costs_less_than_a_twentieth_of_a_step(rows: Any) -> None:
    assert all(found["sampling"]["share_of_step"] < 0.05 for found in rows.values())


@pytest.mark.parametrize("algorithm", ["maml", "fomaml", "anil", "reptile", "protonet"])
def test_every_implementation_gives_the_same_direction(speed: Any, algorithm: str) -> None:
    shape = speed.Shape(algorithm, way=3, query=1, steps=2, tasks=8)
    generator = torch.Generator().manual_seed(0)
    x = torch.randint(0, 256, (2, 3, 1, 28, 28), generator=generator, dtype=torch.uint8)
    half = Batch(x, torch.arange(3).expand(2, 3))
    errors = speed.compared(shape, Episode(half, half._replace(x=x.flip(0))))
    assert {"eager", "loop", "vmap-4", "vmap-8"} <= set(errors)
    if algorithm in ("maml", "fomaml", "anil"):
        assert {"peer-vmap", "peer-vmap-4"} <= set(errors)


@pytest.mark.slow
def test_peers_of_multi_task_steps_and_of_adapting_give_the_same(speed_tasks: Any) -> None:
    """Each is compared with ours before anything is timed; another direction ends the program."""
    shapes = (speed_tasks.Shape(5, 20, 6, 8, False), speed_tasks.Shape(3, 20, 6, 8, True))
    found = [row for shape in shapes for row in speed_tasks.measure(shape, 1)]
    names = {row["implementation"] for row in found}
    assert {"metacli", "loop-over-tasks"} <= names
    assert all(row["error"] < 1e-7 for row in found)
    pytest.importorskip("sklearn")
    assert {row["implementation"] for row in speed_tasks.measure_adapting(1)} == {
        *("metacli", "scikit-learn")
    }


def test_the_table_of_growth_is_made_from_the_results_file(speed: Any) -> None:
    sys.path.insert(0, str(ROOT / "benchmarks"))
    try:
        import growth
    finally:
        sys.path.pop(0)
    page = growth.PAGE.read_text(encoding="utf-8")
    shown = page.partition(growth.BEGIN)[2].partition(growth.END)[0].strip()
    assert shown == growth.table()
    rows = json.loads(growth.FILE.read_text())["rows"]
    assert {row["dimension"] for row in rows} == set(growth.DIMENSIONS)
    for name in growth.DIMENSIONS:  # of one row each, classes and rows grow together
        own = [row for row in rows if row["dimension"] == name and "exponent" in row]
        assert max(row["exponent"] for row in own) < 2.2, name
