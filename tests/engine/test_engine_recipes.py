"""The shipped recipes: listed, shown fully resolved, copied as they are."""

from __future__ import annotations

from pathlib import Path

import pytest

from metacli.engine.recipes import copy_recipe, list_recipes, minutes_in, row, show_recipe
from metacli.errors import BundleError, RecipeError
from metacli.schema.load import load, shipped

SHIPPED = [name for name, _ in shipped()]


@pytest.fixture(autouse=True)
def _no_data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("METACLI_CACHE", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)


def test_every_shipped_recipe_is_listed_with_its_first_line() -> None:
    rows = list_recipes()["recipes"]
    assert [one["name"] for one in rows] == SHIPPED
    assert len(rows) >= 4
    assert all(one["summary"] and one["data"] and one["kind"] for one in rows)


@pytest.mark.parametrize(
    ("header", "minutes"),
    [
        ("About 2 minutes on 2 cores, 3 minutes on one.", 2),
        ("Under a minute on two cores.", 1),
        ("computed once, 8\nminutes on one thread", 8),
        ("14.5 minutes.", 14.5),
        ("An experiment.", None),
    ],
)
def test_minutes_are_the_first_that_the_comments_name(header: str, minutes: float | None) -> None:
    assert minutes_in(header) == minutes


def test_every_shipped_recipe_says_how_long_it_takes() -> None:
    rows = list_recipes()["recipes"]
    assert [one["name"] for one in rows if not (one["minutes"] or one["measured"])] == []


def test_the_expected_score_and_its_minutes_stand_apart(tmp_path: Path) -> None:
    text = Path(dict(shipped())["sinusoid-10shot-maml"]).read_text()
    head = "\n".join(line for line in text.splitlines() if not line.startswith("expect"))
    Path("mine.yaml").write_text(
        f"{head}\nexpect: {{metric: mse, min: 0.1, max: 0.5, shot: 10, minutes: 12}}\n"
    )
    found = row(load("mine.yaml"), None).as_dict()
    assert found["minutes"] == 12
    assert (found["expect"]["metric"], found["expect"]["max"]) == ("mse", 0.5)
    assert "minutes" not in found["expect"]


def test_what_is_shown_is_fully_resolved_and_loads_again() -> None:
    text = show_recipe("sinusoid-10shot-maml")
    Path("again.yaml").write_text(text)
    recipe = load("again.yaml").recipe
    assert recipe.train.execution in ("loop", "vmap")  # no `auto` is left
    assert recipe.train.chunk is not None
    assert recipe.algorithm.options["first_order"] is False
    assert show_recipe("again.yaml") == text


def test_a_recipe_whose_data_are_not_here_is_shown_all_the_same() -> None:
    Path("again.yaml").write_text(show_recipe("omniglot-5w1s-protonet"))
    assert load("again.yaml").recipe == load("omniglot-5w1s-protonet").recipe
    assert not Path("cache", "omniglot").exists()


@pytest.mark.parametrize("dest", [None, "mine.yaml", "folder"])
def test_a_copy_is_the_file_as_it_is_shipped(dest: str | None) -> None:
    Path("folder").mkdir()
    path = Path(copy_recipe("sinusoid-10shot-maml", dest)["path"])
    assert path.read_bytes() == dict(shipped())["sinusoid-10shot-maml"].read_bytes()
    names = {None: "sinusoid-10shot-maml.yaml", "folder": "folder/sinusoid-10shot-maml.yaml"}
    assert path == Path(names.get(dest, dest or "")).absolute()


def test_a_copy_replaces_a_file_only_by_force() -> None:
    Path("mine.yaml").write_text("precious")
    with pytest.raises(BundleError, match="already exists"):
        copy_recipe("sinusoid-10shot-maml", "mine.yaml")
    assert Path("mine.yaml").read_text() == "precious"
    copy_recipe("sinusoid-10shot-maml", "mine.yaml", force=True)
    assert load("mine.yaml").recipe == load("sinusoid-10shot-maml").recipe


@pytest.mark.parametrize("verb", [show_recipe, copy_recipe])
def test_a_name_that_is_not_there_gets_the_nearest_one(verb: object) -> None:
    with pytest.raises(RecipeError) as caught:
        verb("sinusoid-10shot-mamal")  # type: ignore[operator]
    assert "sinusoid-10shot-maml" in str(caught.value.hint)
