"""Reports of learners of sets and of models adapted to a set."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pytest
import torch
from tiny_sets import saved, set_model, table

from metacli.algorithms.meta_multitask.protocol import alone, together
from metacli.data.catalogue.task_families import COLUMNS
from metacli.engine.adapt import adapt
from metacli.engine.report import report
from metacli.engine.reporting import set_measures
from metacli.engine.reporting.on_adapted_set import verdicts_of
from metacli.engine.reporting.on_sets import headline, short_number
from metacli.engine.reporting.set_measures import (
    Gain,
    TaskAgainst,
    TaskFit,
    coupled_kinds,
    episodes_of,
    errors_of,
    kind_of,
    looks,
    over_points,
    over_tasks,
    seeing,
    source_of,
)
from metacli.engine.scoring.intervals import Estimate
from metacli.engine.sets.folder import load, save
from metacli.engine.sets.model import SetModel
from metacli.schema.meta_multi_task import MetaMultiTaskRecipe
from metacli.schema.recipe import parse_recipe

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture(autouse=True)
def few(monkeypatch: pytest.MonkeyPatch) -> None:
    """Few sets, drawn small."""
    monkeypatch.setattr(set_measures, "SETS", 32)


def gain(delta: float, half: float) -> Gain:
    joint, separate = Estimate(0.02 + delta, 0.01, 9), Estimate(0.02, 0.01, 9)
    return Gain(10, 4, joint, separate, delta, delta - half, delta + half)


def test_the_headline_says_whether_learning_together_helps() -> None:
    assert headline(gain(-0.019, 0.001)) == (
        "Learning the tasks of a new set together cuts the error by 95 %: 0.001, against 0.02 of "
        "the same model learning each task alone (4 tasks with 10 points on validation sets)."
    )
    assert "raises the error by 50 %: 0.03" in headline(gain(0.01, 0.001))
    assert "makes no clear difference: error 0.019 together, 0.02" in headline(gain(-0.001, 0.002))


def test_the_headline_of_an_adapted_set_counts_verdicts() -> None:
    rows = [{"verdict": one} for one in ("helped", "helped", "hurt", "no_difference")]
    assert verdicts_of(rows) == (
        "Learning these 4 tasks together helped 2 of them and hurt 1; of the rest that is not clear"
    )
    assert verdicts_of(rows[:2]) == "Learning these 2 tasks together helped 2 of them"
    assert "no clear difference for any" in verdicts_of(rows[3:])
    assert "too few labels to say" in verdicts_of([{"verdict": "too_few_to_say"}])


def test_numbers_have_two_digits_and_no_exponent() -> None:
    assert [short_number(one) for one in (0.0000512, 0.123, 41.6)] == ["0.000051", "0.12", "42"]


def test_the_curve_over_points_is_of_joint_and_separate_answers_on_the_same_sets() -> None:
    model = set_model()
    curve, found = over_points(model, (5, 10))
    episodes = next(episodes_of(source_of(model, 5, set_measures.QUERY, 32), 32))
    for values, sees in ((curve.joint, together), (curve.separate, alone)):
        wanted = errors_of(model.answer(episodes, sees(episodes.roles)), episodes).mean()
        assert values[0].mean == pytest.approx(float(wanted), rel=1e-5)
        assert values[0].n == 32
    assert found.joint == curve.joint[1]
    assert found.delta == pytest.approx(curve.joint[1].mean - curve.separate[1].mean, rel=1e-4)


def test_a_task_that_sees_one_task_is_alone_and_one_that_sees_all_is_not() -> None:
    model = set_model()
    episodes = source_of(model, 10, 8, 4).meta_batch_at(0)
    ends = [
        errors_of(model.answer(episodes, one(episodes.roles)), episodes).mean(1)
        for one in (alone, together)
    ]
    np.testing.assert_allclose(seeing(model, episodes, 1), ends[0], rtol=1e-5)
    np.testing.assert_allclose(seeing(model, episodes, 4), ends[1], rtol=1e-5)
    curve = over_tasks(model)
    assert curve.x == (1, 2, 3, 4)
    assert set(curve.separate) == {curve.joint[0]}


def test_a_pooled_source_shows_a_set_of_each_kind_with_its_true_relations() -> None:
    model = set_model("coupled", "pooled")
    kinds = {one.kind for one in looks(model)}
    assert kinds == {kind_of(np.ones((4, 4))), kind_of(np.eye(4)), "some tasks are related"}
    found = coupled_kinds(model)
    assert found.auc is not None
    for one in found.kinds:
        assert kind_of(one.coupling.true) == one.kind
        assert one.coupling.learned.shape == (len(one.coupling.names),) * 2


def test_fits_are_the_answers_on_a_grid_beside_the_truth() -> None:
    model = set_model()
    (one,) = looks(model)
    source = source_of(model, 10, set_measures.GRID, 1, grid=True)
    episodes = source.meta_batch_at(0)
    wanted, shown = model.answer(episodes, alone(episodes.roles)), one.tasks[2]
    assert isinstance(shown, TaskFit)
    torch.testing.assert_close(torch.tensor(shown.alone[0]), wanted.mean[0, 2])
    np.testing.assert_array_equal(shown.truth, episodes.query.y[0, 2])
    assert episodes.support.mask is not None
    assert len(shown.points[0]) == int(episodes.support.mask[0, 2].sum())


def family_model() -> SetModel:
    """Of rows with 24 columns; tasks have no names."""
    recipe = parse_recipe(
        {
            "kind": "meta-multitask",
            "data": {"source": "task-families", "groups": 1, "tasks": 3, "unrelated": 2},
            "sets": {"points": 10, "query": 4},
            "algorithm": {"name": "mtnp", "width": 8, "heads": 2, "blocks": 1},
            "train": {"steps": 1},
        }
    )
    assert isinstance(recipe, MetaMultiTaskRecipe)
    made = SetModel(recipe, {}, {}, (), COLUMNS)
    rng = torch.Generator().manual_seed(0)
    noise = {k: 0.1 * torch.randn(v.shape, generator=rng) for k, v in made.weights().items()}
    params = {key: value + noise[key] for key, value in made.weights().items()}
    return SetModel(recipe, params, {}, (), COLUMNS)


@pytest.mark.slow
def test_rows_of_several_columns_are_shown_as_answers_over_labels(tmp_path: Path) -> None:
    model = family_model()
    (one,) = looks(model)
    episodes = source_of(model, 10, set_measures.AGAINST, 1).meta_batch_at(0)
    shown = [task for task in one.tasks if isinstance(task, TaskAgainst)]
    assert [task.name for task in shown] == ["task 1", "task 2", "task 4", "task 5"]
    assert [task.related for task in shown] == [2, 2, 0, 0]
    for task, at in zip(shown, (0, 1, 3, 4), strict=True):
        np.testing.assert_allclose(task.truth, episodes.query.y[0, at], rtol=1e-6)
        for answer, sees in ((task.alone, alone), (task.together, together)):
            wanted = model.answer(episodes, sees(episodes.roles))
            np.testing.assert_allclose(answer[0], wanted.mean[0, at], rtol=1e-4, atol=1e-6)
            error = float(errors_of(wanted, episodes)[0, at])
            assert task.error(answer) == pytest.approx(error, rel=1e-4)
    save(model, tmp_path / "model")
    report(str(tmp_path / "model"), out=tmp_path / "page.html")
    page = (tmp_path / "page.html").read_text()
    assert '<section id="fits"' in page
    assert page.count("<svg") == 2 + 4
    assert "It is related to no other tasks." in page
    assert "It is related to 2 other tasks." in page


def test_the_page_of_a_learner_has_curves_fits_and_couplings(tmp_path: Path) -> None:
    report(saved(tmp_path / "model"), out=tmp_path / "page.html")
    page = (tmp_path / "page.html").read_text()
    assert re.search(r'class="headline">Learning the tasks of a new set together', page)
    found = re.findall(r'<section id="(\w+)"', page)
    assert found == ["results", "fits", "coupling", "what", "repeat"]
    assert page.count('class="matrix"') == 2
    assert page.count("<svg") == 2 + 4


def test_the_page_of_an_adapted_set_has_verdicts_fits_and_the_coupling(tmp_path: Path) -> None:
    mine = tmp_path / "mine"
    result = adapt(saved(tmp_path / "model"), table(tmp_path / "set.csv"), out=mine)
    report(mine, out=tmp_path / "page.html")
    page = (tmp_path / "page.html").read_text()
    found = re.findall(r'<section id="(\w+)"', page)
    assert found == ["tasks", "fits", "coupling", "what", "repeat"]
    assert page.count("<svg") == 1 + 3
    first = result["coupling"]["matrix"][0][1]  # type: ignore[index,call-overload]
    assert f">{first:.2f}</td>" in page


def test_names_from_outside_are_text_on_the_page(tmp_path: Path) -> None:
    model = set_model()
    hostile = "<script>alert(1)</script>"
    save(
        type(model)(model.recipe, model.params, {}, (hostile, *model.known[1:]), 1), tmp_path / "m"
    )
    assert load(tmp_path / "m").known[0] == hostile  # type: ignore[union-attr]
    text = table(tmp_path / "set.csv").read_text().replace("sine", hostile)
    (tmp_path / "set.csv").write_text(text)
    adapt(str(tmp_path / "m"), tmp_path / "set.csv", out=tmp_path / "mine")
    assert (
        json.loads((tmp_path / "mine" / "model.json").read_text())["answers"]["known"][0] == hostile
    )
    report(tmp_path / "mine", out=tmp_path / "page.html")
    assert "<script" not in (tmp_path / "page.html").read_text()
