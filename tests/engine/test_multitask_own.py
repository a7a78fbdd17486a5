"""`multitask` on a user's own files, and what its model is for."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path

import numpy as np
import pytest

from metacli.cli.app import main

pytestmark = pytest.mark.usefixtures("one_thread", "few", "cache")


@pytest.fixture
def few(monkeypatch: pytest.MonkeyPatch) -> None:
    """Per-task models alone, which are quick."""
    from metacli.engine.scoring import multi_task_baselines as task_baselines

    real = task_baselines.suited
    short = lambda table: (one for one in real(table) if one[0] == "per-task")  # noqa: E731
    monkeypatch.setattr(task_baselines, "suited", short)


@pytest.fixture
def pupils(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.chdir(tmp_path)
    draw = np.random.default_rng(0)
    lines = ["age,sex,school,score"]
    for n in range(90):
        age, school = int(draw.integers(8, 18)), n % 3
        score = 2 * age + 3 * school + draw.normal()
        lines.append(f"{age},{'fm'[n % 2]},s{school},{score:.3f}")
    Path("pupils.csv").write_text("\n".join(lines) + "\n")
    return "pupils.csv"


def test_a_table_with_a_column_of_tasks_is_learned_scored_and_used(pupils, capsys):
    columns = ["data.task=school", "data.target=score"]
    assert main(["multitask", pupils, *columns, "-o", "run", "--json"]) == 0
    result = json.loads(capsys.readouterr().out)["result"]
    assert [task["name"] for task in result["tasks"]] == ["s0", "s1", "s2"]
    recipe = Path("run/recipe.yaml").read_text()
    assert "mixed-effects" in recipe
    assert f"source: {Path(pupils).absolute()}" in recipe
    assert main(["evaluate", "run", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["result"]["mean"] > 0.8
    Path("new.csv").write_text("school,age,sex\ns0,10,f\ns2,10,f\n")
    assert main(["predict", "run", "new.csv"]) == 0
    low, high = list(csv.DictReader(io.StringIO(capsys.readouterr().out)))
    assert float(high["prediction"]) - float(low["prediction"]) == pytest.approx(6, abs=1.5)
    assert float(low["low_95"]) < float(low["prediction"]) < float(low["high_95"])


def test_a_recipe_on_other_data_takes_their_columns(pupils, capsys):
    words = ["task-families-hard", "train.steps=5", "data.task=school", "data.target=score"]
    assert main(["multitask", *words, "--data", pupils, "-o", "run", "-q"]) == 0
    assert "hard" in Path("run/recipe.yaml").read_text()


def test_a_table_that_is_one_task_says_what_is_missing(pupils, capsys):
    assert main(["multitask", pupils, "data.target=score", "-o", "run"]) == 3
    assert "data.task=COLUMN" in capsys.readouterr().err
    assert not Path("run").exists()


def test_a_target_that_is_named_twice_is_not_two_tasks(pupils, capsys):
    assert main(["multitask", pupils, "data.target=score,age,score", "-o", "run"]) == 3
    assert "target score is named more than once" in capsys.readouterr().err


@pytest.fixture
def reviews(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """Texts of three shops, where a word of a shop's own says more than the common ones."""
    monkeypatch.chdir(tmp_path)
    lines = ["text,shop,label"]
    for n in range(120):
        shop, good = n % 3, n // 3 % 2
        word = ("sharp", "quiet", "fresh")[shop] if good else ("blunt", "loud", "stale")[shop]
        lines.append(f"it is {word} and {'fine' if n % 5 else 'odd'} number {n},s{shop},{good}")
    Path("reviews.csv").write_text("\n".join(lines) + "\n")
    return "reviews.csv"


@pytest.mark.slow
def test_texts_of_two_classes_are_solved_exactly_predicted_and_exported(reviews, capsys):
    words = ["data.task=shop", "data.target=label", "-o", "run", "--json"]
    assert main(["multitask", reviews, *words]) == 0
    said = capsys.readouterr()
    assert "texts-mean-logistic" in said.err
    assert [t["name"] for t in json.loads(said.out)["result"]["tasks"]] == ["s0", "s1", "s2"]
    assert main(["evaluate", "run", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["result"]["mean"] == 1.0
    Path("new.csv").write_text("text,shop\nit is quiet,s1\nit is stale,s2\n")
    assert main(["predict", "run", "new.csv"]) == 0
    found = list(csv.DictReader(io.StringIO(capsys.readouterr().out)))
    assert [row["prediction"] for row in found] == ["1", "0"]
    assert main(["export", "run", "--format", "pt2", "-o", "run.pt2"]) == 0


def test_texts_of_more_classes_are_trained_step_by_step(reviews, capsys):
    lines = Path(reviews).read_text().splitlines()
    Path(reviews).write_text("\n".join([*lines, *["so and so,s0,2"] * 8]) + "\n")
    words = ["data.task=shop", "data.target=label", "train.steps=2", "evaluate.every=1"]
    assert main(["multitask", reviews, *words, "-o", "run"]) == 0
    assert "texts-soft-l2" in capsys.readouterr().err


def test_logistic_regressions_are_not_for_numbers(pupils, capsys):
    words = ["data.task=school", "data.target=score", "--data", pupils]
    assert main(["multitask", "landmine-mean", *words, "-o", "run"]) == 3
    assert (
        "mean-logistic is for classification, pupils.csv has regression" in capsys.readouterr().err
    )


def test_what_is_solved_exactly_is_computed_on_one_thread(pupils, monkeypatch):
    import torch

    from metacli.nn.sharing.mean_ridge import MeanRidge

    seen: set[int] = set()
    real = MeanRidge.fit
    spy = lambda *given: seen.add(torch.get_num_threads()) or real(*given)  # noqa: E731
    monkeypatch.setattr(MeanRidge, "fit", spy)
    torch.set_num_threads(2)  # the fixture puts it back
    columns = ["data.task=school", "data.target=score"]
    assert main(["multitask", pupils, *columns, "-o", "run", "-q"]) == 0
    assert seen == {1}
    assert torch.get_num_threads() == 2
