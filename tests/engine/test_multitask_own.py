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
    from metacli.engine import task_baselines

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
    assert "mean-ridge" in recipe
    assert f"source: {Path(pupils).absolute()}" in recipe
    assert main(["evaluate", "run", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["result"]["mean"] > 0.8
    Path("new.csv").write_text("school,age,sex\ns0,10,f\ns2,10,f\n")
    assert main(["predict", "run", "new.csv"]) == 0
    low, high = list(csv.DictReader(io.StringIO(capsys.readouterr().out)))
    assert float(high["prediction"]) - float(low["prediction"]) == pytest.approx(6, abs=1.5)
    assert float(low["low"]) < float(low["prediction"]) < float(low["high"])


def test_a_recipe_on_other_data_takes_their_columns(pupils, capsys):
    words = ["task-families-hard", "train.steps=5", "data.task=school", "data.target=score"]
    assert main(["multitask", *words, "--data", pupils, "-o", "run", "-q"]) == 0
    assert "hard" in Path("run/recipe.yaml").read_text()


def test_a_table_that_is_one_task_says_what_is_missing(pupils, capsys):
    assert main(["multitask", pupils, "data.target=score", "-o", "run"]) == 3
    assert "data.task=COLUMN" in capsys.readouterr().err
    assert not Path("run").exists()
