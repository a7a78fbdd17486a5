"""From the kind of a recipe to the run that trains it: one table of recipes, one of runs."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import ValidationError

from metacli.engine.meta_train import meta_train
from metacli.engine.training.few_shot.run import FewShotRun
from metacli.engine.training.kinds import make_run, verb_of
from metacli.engine.training.multi_task.run import MultiTaskRun
from metacli.errors import RecipeError, UsageProblem
from metacli.schema.base import ORDER
from metacli.schema.few_shot import FewShotRecipe
from metacli.schema.load import dump, load
from metacli.schema.multi_task import MultiTaskRecipe
from metacli.schema.recipe import KINDS, fields, own_keys, parse_recipe
from metacli.schema.yaml import read

pytestmark = pytest.mark.usefixtures("cache")
RUNS = {"sinusoid-10shot-maml": FewShotRun, "task-families-hard": MultiTaskRun}


@pytest.mark.parametrize("name", RUNS)
def test_a_recipe_is_made_into_the_run_of_its_kind_and_nothing_is_written(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    run = make_run(load(name))
    assert type(run) is RUNS[name]
    assert run.verb == verb_of(run.recipe)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", RUNS)
def test_a_run_says_what_it_learns_from_and_by_what_it_is_validated(name: str) -> None:
    run = make_run(load(name))
    assert (len(run.data.train), len(run.data.val)) == (64, 64)
    assert run.data.shown["source"] == run.recipe.data.source
    assert run.kind == ("regression" if run.metric in ("mse", "nmse") else "classification")
    start = run.start()
    assert start.network <= start.learned <= set(start.params)


def test_what_is_wrong_with_a_recipe_is_found_before_there_is_a_run() -> None:
    with pytest.raises(RecipeError, match=r"unknown key algorithm\.inner"):
        make_run(load("sinusoid-10shot-maml", ["algorithm.inner=3"]))


def test_every_key_of_every_kind_is_in_the_order_of_writing() -> None:
    assert set(ORDER) == set(fields())
    assert len(ORDER) == len(set(ORDER))


@pytest.mark.parametrize("kind", KINDS)
def test_a_kind_has_keys_that_some_other_kind_has_not(kind: str) -> None:
    assert own_keys(kind)
    assert set(own_keys(kind)) <= set(KINDS[kind].model_fields)


def test_plain_values_are_read_as_the_recipe_of_their_kind() -> None:
    for name, cls in (
        ("sinusoid-10shot-maml", FewShotRecipe),
        ("task-families-hard", MultiTaskRecipe),
    ):
        recipe = load(name).recipe
        assert type(recipe) is cls
        assert parse_recipe(recipe.plain()) == recipe
        assert list(recipe.plain()) == [key for key in ORDER if key in cls.model_fields]


def test_a_wrong_value_is_named_by_the_key_that_a_recipe_writes() -> None:
    plain = load("sinusoid-10shot-maml").recipe.plain()
    plain["train"]["steps"] = 0
    with pytest.raises(ValidationError) as caught:
        parse_recipe(plain)
    assert [one["loc"] for one in caught.value.errors()] == [("train", "steps")]
    with pytest.raises(ValidationError, match="'other'"):
        parse_recipe({**plain, "kind": "other"})


def test_a_verb_takes_paths_and_values_as_python_has_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    recipe = Path("mine.yaml")
    recipe.write_text(dump(load("sinusoid-10shot-maml").recipe))
    changes = {"train": {"steps": 3}, "evaluate.episodes": 2}
    planned = meta_train(recipe, changes, out=Path("run"), device="cpu", dry_run=True)
    assert planned.run == tmp_path / "run"
    resolved = parse_recipe(read(planned.plan.encode(), "plan").value)
    assert (resolved.train.steps, resolved.evaluate.episodes) == (3, 2)


def test_a_verb_names_the_one_that_trains_another_kind() -> None:
    with pytest.raises(UsageProblem, match="is of kind multitask") as caught:
        meta_train("task-families-hard")
    assert caught.value.hint == "metacli multitask task-families-hard"
