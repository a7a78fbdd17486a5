"""meta-train and evaluate on a user's own sets, of one kind and mixed."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from metacli.cli.app import main
from metacli.data.sets.own_files import looks_like_sets
from metacli.engine.adapt import adapt
from metacli.engine.evaluate import evaluate
from metacli.engine.inspect import inspect
from metacli.engine.meta_train import meta_train
from metacli.engine.predict import predict
from metacli.engine.reporting.on_adapted_set import headline_of_adapted
from metacli.engine.results.sets import SetAdaptation, SetEvaluation
from metacli.engine.sets.class_folder import load_adapted_classes, load_classes, save_classes
from metacli.engine.spelling import score
from metacli.errors import BundleError, DataError, RecipeError

pytestmark = pytest.mark.usefixtures("one_thread", "cache")
RECIPE = """
version: 1
kind: meta-multitask
data: {{source: {path}, {options}}}
sets: {{tasks: 2, points: [4, 6], query: 3}}
backbone: {{name: mlp, hidden: [8]}}
algorithm: {{name: {name}}}
train: {{steps: 2, meta_batch: 2, lr: 0.003}}
evaluate: {{every: 2, episodes: 16}}
"""

GLYPHS = """
version: 1
kind: meta-multitask
data: {source: glyphs, variant: styles}
sets: {tasks: 2, way: 3, shot: 1, query: 2}
backbone: {name: mlp, hidden: [8]}
algorithm: {name: mmaml, inner_steps: 1}
train: {steps: 1, meta_batch: 2}
evaluate: {every: 1, episodes: 16}
"""


def table(path: Path) -> Path:
    draw, lines = np.random.default_rng(0), ["which,a,b,sick,dose,age"]
    for number in range(6):
        for row in range(12):
            a, b = draw.normal(size=2)
            sick = "y" if a + 0.3 * number > 0 else ("n" if row else "y")
            lines.append(f"s{number},{a:.3f},{b:.3f},{sick},{a - b:.3f},{20 + 3 * a:.2f}")
    path.write_text("\n".join(lines) + "\n")
    return path


def recipe(tmp_path: Path, name: str, options: str) -> str:
    path = tmp_path / "own.yaml"
    path.write_text(RECIPE.format(path=table(tmp_path / "all.csv"), name=name, options=options))
    return str(path)


@pytest.mark.parametrize("name", ["mtnp", "mmaml", pytest.param("coupled", marks=pytest.mark.slow)])
@pytest.mark.parametrize(
    ("target", "kind", "metric"),
    [
        ("[sick,dose]", "mixed", "log_likelihood"),
        ("[dose,age]", "regression", "mse"),
    ],
)
def test_sets_of_own_rows_train_and_are_measured(
    name: str, target: str, kind: str, metric: str, tmp_path: Path
) -> None:
    targets = target.strip("[]").replace(",", ", ")
    out = tmp_path / "run"
    meta_train(recipe(tmp_path, name, f'set: which, target: "{targets}"'), [], out=str(out))
    model = load_classes(out / "model")
    assert model.facts.kind == kind
    assert set(model.facts.levels) == {"dose", "age"} & set(targets.split(", "))
    found = evaluate(str(out), episodes=20, shot="4")
    assert isinstance(found, SetEvaluation)
    assert found.metric == metric
    assert found.class_cells is not None
    cell = found.class_cells[0]
    assert (cell.points, cell.tasks, cell.way) == (4, 2, None)
    assert np.isfinite(cell.delta)


def test_the_command_line_shows_own_sets_and_inspect_reads_the_recipe(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = recipe(tmp_path, "mtnp", 'set: which, target: "sick, dose"')
    assert main(["inspect", path]) == 0
    out = tmp_path / "run"
    assert main(["meta-train", path, "-o", str(out)]) == 0
    capsys.readouterr()
    assert main(["evaluate", str(out), "--episodes", "20"]) == 0
    assert "joint - separate (log_likelihood)" in capsys.readouterr().out


def test_sizes_that_mean_nothing_to_own_sets_are_named(tmp_path: Path) -> None:
    path = recipe(tmp_path, "mtnp", 'set: which, target: "sick, dose"')
    with pytest.raises(RecipeError, match=r"found sets\.way"):
        meta_train(path, ["sets.way=2"], out=str(tmp_path / "run"))
    with pytest.raises(RecipeError, match=r"data\.colour"):
        meta_train(path, ["data.colour=red"], out=str(tmp_path / "run"))


@pytest.fixture(scope="module")
def mixed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("mixed")
    meta_train(
        recipe(folder, "mtnp", 'set: which, target: "sick, dose"'), [], out=str(folder / "run")
    )
    return folder / "run"


def one_set(path: Path) -> Path:
    draw, lines = np.random.default_rng(5), ["a,b,age,sick,dose"]
    for row in range(14):
        a, b = draw.normal(size=2)
        dose = "" if row == 3 else f"{a - b:.3f}"
        lines.append(f"{a:.3f},{b:.3f},{20 + row},{'y' if row % 2 else 'n'},{dose}")
    path.write_text("\n".join(lines) + "\n")
    return path


def test_a_set_of_both_kinds_is_adapted_to_jointly_and_predicted(
    mixed: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    mine, path = tmp_path / "mine", one_set(tmp_path / "set.csv")
    found = adapt(str(mixed), path, ["data.target=sick,dose"], out=str(mine))
    assert isinstance(found, SetAdaptation)
    assert [(one.name, one.metric, one.labels) for one in found.tasks] == [
        ("sick", "accuracy", 14),
        ("dose", "mae", 13),
    ]
    assert found.task.type == "mixed"
    assert len(found.coupling.matrix) == 2
    for one in found.tasks:
        assert one.value is not None
        assert one.alone is not None
        assert one.delta == pytest.approx(one.value - one.alone)
    new = tmp_path / "new.csv"
    new.write_text("a,b,age\n1,0,20\n-1,0.5,30\n")
    rows = predict(str(mine), str(new))["rows"]
    assert [row["task"] for row in rows] == ["sick", "dose", "sick", "dose"]
    assert rows[0]["prediction"] in ("y", "n")
    assert sum(rows[0]["probabilities"].values()) == pytest.approx(1)
    assert rows[1]["low"] < rows[1]["prediction"] < rows[1]["high"]
    save_classes(load_adapted_classes(mine), tmp_path / "again")
    assert predict(str(tmp_path / "again"), str(new))["rows"] == rows
    assert main(["adapt", str(mixed), str(path), "data.target=sick,dose", "--dry-run"]) == 0
    shown = capsys.readouterr().out
    assert "joint - separate" in shown
    assert "of its one classification, on held-out rows" in shown
    assert main(["inspect", str(mine)]) == 0
    lines = capsys.readouterr().out.splitlines()
    trained = next(line for line in lines if line.startswith("  trained on"))
    assert trained.endswith("all.csv, set which, target sick, dose")
    assert any(line.strip().startswith("sick, 14 labels: accuracy ") for line in lines)
    assert not any("matrix" in line or "delta_ci95" in line for line in lines)
    page = headline_of_adapted(load_adapted_classes(mine))
    first = found.tasks[0]
    assert first.value is not None
    assert f"mean over its one classification: {score('accuracy', first.value)} together" in page


def test_the_guard_answers_a_task_alone_only_where_that_was_better(
    mixed: Path, tmp_path: Path
) -> None:
    path = one_set(tmp_path / "set.csv")
    words = ["data.target=sick,dose", "guard=true"]
    found = adapt(str(mixed), path, words, out=str(tmp_path / "mine"))
    assert isinstance(found, SetAdaptation)
    for one in found.tasks:
        assert one.delta is not None
        worse = -one.delta if one.metric == "accuracy" else one.delta
        assert one.joint or worse > 0


def test_what_a_model_of_own_sets_cannot_read_is_named(mixed: Path, tmp_path: Path) -> None:
    path = one_set(tmp_path / "set.csv")
    with pytest.raises(DataError, match="which of its rows are which task"):
        adapt(str(mixed), path, ["data.target=sick"], out=str(tmp_path / "mine"))
    with pytest.raises(BundleError, match="has not been adapted to a set yet"):
        predict(str(mixed), str(path))
    mine = tmp_path / "mine"
    adapt(str(mixed), path, ["data.target=sick,dose"], out=str(mine))
    with pytest.raises(BundleError, match="adapted to a set already"):
        adapt(str(mine), path, ["data.target=sick,dose"], out=str(tmp_path / "other"))
    wrong = tmp_path / "wrong.csv"
    wrong.write_text("a,c\n1,2\n")
    with pytest.raises(DataError, match="b"):
        predict(str(mine), str(wrong))


def test_class_folders_are_adapted_to_and_their_images_predicted(tmp_path: Path) -> None:
    path = tmp_path / "sets.yaml"
    path.write_text(GLYPHS)
    run, mine = tmp_path / "run", tmp_path / "mine"
    meta_train(str(path), [], out=str(run))
    draw = np.random.default_rng(0)
    for task in ("pen", "brush"):
        for kind in ("cross", "ring"):
            folder = tmp_path / "set" / task / kind
            folder.mkdir(parents=True)
            for one in range(4):
                pixels = draw.integers(0, 255, (28, 28), np.uint8)
                Image.fromarray(pixels).save(folder / f"{one}.png")
    found = adapt(str(run), tmp_path / "set", out=str(mine))
    assert isinstance(found, SetAdaptation)
    assert {one.name for one in found.tasks} == {"pen", "brush"}
    assert found.task.labels == ("cross", "ring")
    new = tmp_path / "new" / "pen"
    new.mkdir(parents=True)
    Image.fromarray(draw.integers(0, 255, (28, 28), np.uint8)).save(new / "a.png")
    rows = predict(str(mine), str(tmp_path / "new"))["rows"]
    assert [(row["task"], row["prediction"] in ("cross", "ring")) for row in rows] == [
        ("pen", True)
    ]
    (tmp_path / "new" / "quill").mkdir()
    with pytest.raises(DataError, match="names the task quill"):
        predict(str(mine), str(tmp_path / "new"))


def folder_of_tables(root: Path) -> Path:
    """SETS/<set>/<task>.csv."""
    draw = np.random.default_rng(1)
    for number in range(5):
        (root / f"set{number}").mkdir(parents=True)
        for task in range(2 + number % 2):
            lines = ["a,b,label"]
            for row in range(10):
                a, b = draw.normal(size=2)
                lines.append(f"{a:.3f},{b:.3f},{('u', 'v')[int(row % 2)]}")
            (root / f"set{number}" / f"task{task}.csv").write_text("\n".join(lines) + "\n")
    return root


def test_a_folder_of_sets_trains_without_a_recipe_and_inspect_says_what_it_is(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    sets = folder_of_tables(tmp_path / "sets")
    found = inspect(sets)
    assert (found.what, found.valid) == ("sets of tasks", True)
    assert found.details["sets"] == {"train": 3, "val": 1, "test": 1}
    assert found.details["tasks_per_set"] == [2, 3]
    assert found.details["kinds"] == {"classification": 12}
    assert found.details["same_labels_in_every_task"] is True
    assert found.next == (f"metacli meta-train {sets}",)
    out = tmp_path / "run"
    small = ["train.steps=2", "train.meta_batch=2", "evaluate.episodes=16", "algorithm.width=8"]
    assert main(["meta-train", str(sets), "-o", str(out), *small]) == 0
    assert "5 sets of tasks" in capsys.readouterr().err
    recipe = load_classes(out / "model").recipe
    assert (recipe.sets.tasks, recipe.sets.points) == ((2, 3), (3, 5))
    assert evaluate(str(out), episodes=10)["metric"] == "accuracy"


def test_a_table_with_a_column_of_sets_trains_without_a_recipe(tmp_path: Path) -> None:
    path, out = table(tmp_path / "all.csv"), tmp_path / "run"
    words = ["data.set=which", "data.target=sick,dose", "train.steps=1", "evaluate.episodes=16"]
    meta_train(str(path), [*words, "algorithm.name=mmaml", "algorithm.inner_steps=1"], out=str(out))
    model = load_classes(out / "model")
    assert (model.facts.kind, model.recipe.algorithm.name) == ("mixed", "mmaml")


def test_inspect_names_what_is_wrong_with_sets(tmp_path: Path) -> None:
    sets = folder_of_tables(tmp_path / "sets")
    (sets / "set0" / "task1.csv").unlink()
    found = inspect(sets)
    assert [one.code for one in found.problems] == ["sets.one_task"]
    (sets / "set1" / "task0.csv").write_text("a,c,label\n1,2,u\n2,1,v\n")
    broken = inspect(sets)
    assert not broken.valid
    assert "columns" in broken.problems[0].code


def test_pools_and_folders_of_tasks_are_no_sets(tmp_path: Path) -> None:
    for name in ("cat", "dog"):
        (tmp_path / "pool" / "train" / name).mkdir(parents=True)
        (tmp_path / "tasks" / "one" / "support" / name).mkdir(parents=True)
        (tmp_path / "plain" / "one" / name).mkdir(parents=True)
    (tmp_path / "halves" / "one").mkdir(parents=True)
    (tmp_path / "halves" / "one" / "support.csv").write_text("a,label\n1,u\n2,v\n")
    for name in ("pool", "tasks", "plain", "halves"):
        assert not looks_like_sets(tmp_path / name)
    assert looks_like_sets(folder_of_tables(tmp_path / "sets"))
