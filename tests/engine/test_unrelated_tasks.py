"""That tasks do not look related is said before they are trained, by a dry run, too."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from metacli.data.multi_task.from_texts import MOST, fold
from metacli.engine.events import Notice
from metacli.engine.multitask import multitask
from metacli.engine.training.multi_task.relatedness import Relatedness, of_unrelated
from metacli.nn.multi_task import unpacked

pytestmark = pytest.mark.usefixtures("one_thread", "cache")

RECIPE = """
version: 1
kind: multitask
data: {source: task-families, groups: 0, tasks: 3, unrelated: 5}
backbone: {name: mlp, hidden: [8]}
sharing: {name: hard}
weighting: {name: equal}
train: {steps: 10, lr: 0.01}
"""


def measured(*sizes: int) -> Relatedness:
    groups: list[list[str]] = []
    for size in sizes:
        first = sum(map(len, groups))
        groups.append([f"t{number}" for number in range(first, first + size)])
    return Relatedness([name for group in groups for name in group], "lookahead", [], groups)


def told(recipe: Path, *overrides: str) -> list[str]:
    found: list[str] = []

    def report(event: object) -> None:
        if isinstance(event, Notice) and event.code == "tasks.unrelated":
            found.append(event.message)

    multitask(recipe, overrides, dry_run=True, report=report)
    return found


@pytest.fixture
def recipe(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "unrelated.yaml"
    path.write_text(RECIPE)
    return path


def test_a_dry_run_says_that_no_task_is_related_to_another(recipe):
    (said,) = told(recipe)
    assert said.startswith("none of the 5 tasks looks related to another (gradient-cosine of ")
    assert "guard=true" in said
    assert [path.name for path in recipe.parent.iterdir()] == [recipe.name]


def test_related_tasks_are_no_reason_for_a_warning(recipe):
    assert told(recipe, "data.groups=1", "data.unrelated=0") == []


@pytest.mark.parametrize("careful", ["guard=true", "groups=auto"])
def test_who_tests_whether_to_share_is_not_warned(recipe, careful):
    assert told(recipe, careful) == []


@pytest.mark.parametrize(
    ("plain", "learned"),
    [
        (
            "{name: hard}\nweighting: {name: equal}",
            "{name: auxiliary}\nweighting: {name: auto-lambda}",
        ),
        (
            "{name: mlp, hidden: [8]}\nsharing: {name: hard}",
            "{name: linear}\nsharing: {name: mean-ridge}",
        ),
    ],
)
def test_who_learns_how_much_to_share_is_not_warned(recipe, plain, learned):
    recipe.write_text(RECIPE.replace(plain, learned))
    assert told(recipe) == []


def test_those_related_to_none_are_named_where_they_are_many():
    some = of_unrelated(measured(2, 2, 1, 1, 1))
    assert some is not None
    assert some.message.startswith("3 of 7 tasks look related to no other: t4, t5, t6 (lookahead ")
    one = of_unrelated(measured(2, 1))
    assert one is not None
    assert one.message.startswith("1 of 3 tasks looks related to no other: t2 (")
    many = of_unrelated(measured(2, *[1] * 12))
    assert many is not None
    assert "t2, t3, t4, t5, t6, t7, t8, t9 and 4 more (" in many.message


def test_as_few_as_noise_sets_apart_and_single_tasks_are_not():
    assert of_unrelated(measured(10, 1)) is None
    assert of_unrelated(measured(9, 1)) is not None
    assert of_unrelated(measured(1)) is None


def test_folded_texts_keep_their_inner_products_on_average():
    draw = np.random.default_rng(0)
    features, columns = 2**14, 256
    rows = np.zeros((40, 2 * MOST), np.float32)
    for row in rows:
        row[:20] = draw.integers(features, size=20)
        row[MOST : MOST + 20] = draw.random(20)
    found = fold(rows, columns).astype(np.float64)
    wanted = unpacked(torch.from_numpy(rows), features).double().numpy()
    slow = np.zeros_like(found)
    for place in range(features):
        slow[:, place % columns] += wanted[:, place] * (-1) ** (place // columns)
    np.testing.assert_allclose(found, slow, atol=1e-5)
    off = ~np.eye(len(rows), dtype=bool)
    errors = (found @ found.T - wanted @ wanted.T)[off]
    assert abs(errors.mean()) < 3 * errors.std() / np.sqrt(off.sum() / 2)
    assert errors.std() < 1.0  # of squared lengths of 6.7
