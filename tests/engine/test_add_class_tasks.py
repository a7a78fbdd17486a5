"""`adapt --add` of models of sets whose tasks may be classifications: what was added is as if it
had been there from the beginning."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from test_own_set_runs import GLYPHS, one_set, recipe

from metacli.cli.app import main
from metacli.data.sets.own_added import joined
from metacli.data.sets.own_one import OneSet
from metacli.data.sets.own_tasks import OwnTask
from metacli.engine.adapt import adapt
from metacli.engine.evaluate import evaluate
from metacli.engine.meta_train import meta_train
from metacli.engine.predict import predict
from metacli.engine.results.sets import SetAdaptation
from metacli.engine.sets.class_use.labelled import USUAL
from metacli.errors import BundleError, DataError

pytestmark = pytest.mark.usefixtures("one_thread", "cache")
BOTH, BASE = ["data.target=sick,dose"], ("sick", "dose")


@pytest.fixture(scope="module")
def mixed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("mixed")
    meta_train(
        recipe(folder, "mtnp", 'set: which, target: "sick, dose"'), [], out=str(folder / "r")
    )
    return folder / "r"


def test_rows_that_are_added_are_as_if_they_had_been_there(mixed: Path, tmp_path: Path) -> None:
    whole = one_set(tmp_path / "whole.csv")
    head, *rows = whole.read_text().splitlines()
    early, late = tmp_path / "early.csv", tmp_path / "late.csv"
    early.write_text("\n".join([head, *rows[:8]]) + "\n")
    late.write_text("\n".join([head, *rows[8:]]) + "\n")
    adapt(str(mixed), early, BOTH, out=str(tmp_path / "mine"))
    found = adapt(str(tmp_path / "mine"), late, BOTH, add=True, out=str(tmp_path / "more"))
    assert isinstance(found, SetAdaptation)
    assert found.added == ("sick", "dose")
    assert [one.labels for one in found.tasks] == [14, 13]
    adapt(str(mixed), whole, BOTH, out=str(tmp_path / "once"))
    asked = tmp_path / "asked.csv"
    asked.write_text("a,b,age\n1,0,20\n-1,0.5,30\n")
    added, once = (predict(str(tmp_path / one), str(asked))["rows"] for one in ("more", "once"))
    for ours, theirs in zip(added, once, strict=True):
        assert ours["task"] == theirs["task"]
        if ours["task"] == "sick":
            assert ours["probabilities"] == pytest.approx(theirs["probabilities"], abs=1e-4)
        else:
            assert ours["prediction"] == pytest.approx(theirs["prediction"], abs=1e-3)
    with pytest.raises(DataError, match="the model knows 6 of 6 rows of task sick"):
        adapt(str(tmp_path / "more"), late, BOTH, add=True, out=str(tmp_path / "again"))


def test_a_table_of_one_task_joins_under_its_name(mixed: Path, tmp_path: Path) -> None:
    adapt(str(mixed), one_set(tmp_path / "set.csv"), BOTH, out=str(tmp_path / "mine"))
    path = tmp_path / "evening.csv"
    path.write_text("a,b,age,dose\n1,0,20,1\n0,1,30,-1\n0.5,1,31,-0.4\n")
    mine, more = str(tmp_path / "mine"), str(tmp_path / "more")
    found = adapt(mine, path, ["data.target=dose"], add=True, out=more)
    assert isinstance(found, SetAdaptation)
    assert found.added == ("evening",)
    assert [one.name for one in found.tasks] == ["sick", "dose", "evening"]
    with pytest.raises(BundleError, match="has not been adapted to a set yet"):
        adapt(str(mixed), path, ["data.target=dose"], add=True)


def test_class_folders_join_an_adapted_set(tmp_path: Path) -> None:
    (tmp_path / "sets.yaml").write_text(GLYPHS)
    meta_train(str(tmp_path / "sets.yaml"), [], out=str(tmp_path / "run"))
    draw = np.random.default_rng(0)
    for task in ("set/pen", "set/brush", "quill"):
        for kind in ("cross", "ring"):
            (tmp_path / task / kind).mkdir(parents=True)
            for one in range(2):
                pixels = draw.integers(0, 255, (28, 28), np.uint8)
                Image.fromarray(pixels).save(tmp_path / task / kind / f"{one}.png")
    adapt(str(tmp_path / "run"), tmp_path / "set", out=str(tmp_path / "mine"))
    found = adapt(str(tmp_path / "mine"), tmp_path / "quill", add=True, out=str(tmp_path / "more"))
    assert isinstance(found, SetAdaptation)
    assert found.added == ("quill",)
    assert {one.name for one in found.tasks} == {"pen", "brush", "quill"}
    image = tmp_path / "quill" / "ring" / "0.png"
    rows = predict(str(tmp_path / "more"), str(image))["rows"]
    assert {row["task"] for row in rows} == {"pen", "brush", "quill"}


def one(tasks: tuple[OwnTask, ...], rows: int) -> OneSet:
    store = np.arange(2.0 * rows, dtype=np.float32).reshape(rows, 2) + 100 * rows
    return OneSet("a set", tasks, store, ("label",) * len(tasks), "tables")


@pytest.mark.parametrize("shared", [False, True])
def test_labels_keep_their_names_whatever_their_numbers_become(*, shared: bool) -> None:
    before = one(
        (
            OwnTask("a", np.arange(2), np.array([0.0, 1.0]), ("no", "yes")),
            OwnTask("b", np.arange(2, 4), np.array([1.0, np.nan]), ("no", "yes")),
        ),
        4,
    )
    more = one((OwnTask("a", np.arange(2), np.array([0.0, 1.0]), ("maybe", "yes")),), 2)
    found = joined(before, more, shared_labels=shared)
    a, b = found.tasks
    assert [a.labels[int(at)] for at in a.y] == ["no", "yes", "maybe", "yes"]
    assert b.labels == (("maybe", "no", "yes") if shared else ("no", "yes"))
    assert b.labels[int(b.y[0])] == "yes"
    np.testing.assert_array_equal(found.store[a.rows[2:]], more.store)
    number = one((OwnTask("b", np.arange(1), np.array([0.5]), ()),), 1)
    with pytest.raises(DataError, match="is a regression, in the model a classification"):
        joined(before, number, shared_labels=shared)


def test_rows_with_labels_of_one_kind_alone_are_scored_and_none_are_refused(
    mixed: Path, tmp_path: Path
) -> None:
    mine, rows = tmp_path / "mine", tmp_path / "later.csv"
    adapt(str(mixed), one_set(tmp_path / "set.csv"), BOTH, out=str(mine))
    for text in ("a,b,age,dose\n1,0,20,1\n0,1,30,0\n", "a,b,age,sick,dose\n1,0,20,,1\n0,1,30,,0\n"):
        rows.write_text(text)
        found = evaluate(str(mine), str(rows))
        assert (found.metric, found["num_tasks"], found["rows"]) == ("mae", 1, 2)
        assert [one["name"] for one in found["tasks"]] == ["dose"]
    rows.write_text("a,b,age,sick,dose\n1,0,20,,\n-1,0.5,30,,\n")
    with pytest.raises(DataError, match="no label of any task") as caught:
        evaluate(str(mine), str(rows))
    assert caught.value.code == "sets.no_label"


def test_labelled_rows_are_scored_jointly_alone_and_by_what_is_usual(
    mixed: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    mine = tmp_path / "mine"
    adapt(str(mixed), one_set(tmp_path / "set.csv"), BOTH, out=str(mine))
    rows = tmp_path / "later.csv"
    rows.write_text("a,b,age,sick,dose\n1,0,20,y,1\n-1,0.5,30,n,\n0.3,-1,25,y,0.2\n")
    found = evaluate(str(mine), str(rows))
    answers = predict(str(mine), str(rows))["rows"]
    said = {name: [row["prediction"] for row in answers if row["task"] == name] for name in BASE}
    hits = [a == b for a, b in zip(said["sick"], ("y", "n", "y"), strict=True)]
    assert (found.metric, found["rows"]) == ("accuracy", 3)
    assert found.mean == pytest.approx(np.mean(hits))
    scores = {one["name"]: one for one in found["tasks"]}
    errors = [abs(said["dose"][0] - 1), abs(said["dose"][2] - 0.2)]
    assert scores["dose"]["value"] == pytest.approx(np.mean(errors), rel=1e-4)
    assert 0 <= found["coverage90"] <= 1
    assert set(found["baselines"]) == {"each task alone", USUAL}
    assert main(["evaluate", str(mine), str(rows)]) == 0
    assert "each task alone" in capsys.readouterr().out
    rows.write_text("a,b,age,sick,dose\n1,0,20,maybe,1\n0,1,21,y,2\n")
    with pytest.raises(DataError, match="has the class maybe; the model knows n, y"):
        evaluate(str(mine), str(rows))
