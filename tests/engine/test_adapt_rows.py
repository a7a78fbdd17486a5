"""Texts and tables of a user's own, from a table to an answer: train, adapt, predict, evaluate."""

from __future__ import annotations

import csv
import math
from pathlib import Path

import numpy as np
import pytest

from metacli.data.tables.reader import read_table
from metacli.engine.adapt import adapt
from metacli.engine.evaluate import evaluate
from metacli.engine.events import Event, Note
from metacli.engine.inspect import inspect
from metacli.engine.meta_train import meta_train
from metacli.engine.models.opening import open_model
from metacli.engine.predict import predict
from metacli.engine.sample import sample
from metacli.engine.storage.paths import require_device
from metacli.errors import CheckFailed, DataError, UsageProblem

TOPICS = ("bread", "rain", "train", "jazz", "garden", "money", "winter", "doctor", "paint", "river")
WORDS = ("please tell me about", "what of", "I like", "more", "where is the", "about my")
FEW = ("train.steps=3", "evaluate.every=3", "evaluate.episodes=4")


def write_texts(path: Path, topics: tuple[str, ...] = TOPICS) -> str:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["text", "label"])
        for topic in topics:
            for words in WORDS:
                writer.writerow([f"{words} {topic} {topic}s", topic])
    return str(path)


def write_town(path: Path, number: int, rows: int = 14, unit: float = 1000.0) -> None:
    rng = np.random.Generator(np.random.PCG64(number))
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["size", "kind", "price"])
        for _ in range(rows):
            size, kind = rng.uniform(20, 90), rng.choice(["flat", "house"])
            price = unit * (2 * size + (30 if kind == "house" else 0) + 5 * number)
            writer.writerow([f"{size:.2f}", kind, f"{price:.1f}"])


@pytest.fixture(scope="module")
def text_model(tmp_path_factory: pytest.TempPathFactory) -> str:
    home = tmp_path_factory.mktemp("texts")
    data = write_texts(home / "topics.csv")
    shape = ("data.features=256", "data.way=2", "episodes.way=2", "episodes.shot=2")
    words = (*FEW, *shape, "episodes.query=2", "evaluate.way=2", "evaluate.query=2")
    run = meta_train("clinc150-10w5s-r2d2", words, data=data, out=str(home / "run"), device="cpu")
    return str(run["run"])


@pytest.fixture(scope="module")
def number_model(tmp_path_factory: pytest.TempPathFactory) -> str:
    home = tmp_path_factory.mktemp("towns")
    for town in range(8):
        write_town(home / "towns" / f"town{town}.csv", town)
    words = ("data.target=price", *FEW, "train.steps=60", "evaluate.every=60", "train.lr=1e-2")
    run = meta_train(None, words, data=str(home / "towns"), out=str(home / "run"), device="cpu")
    return str(run["run"])


def test_a_text_model_adapts_to_new_classes_and_answers(text_model: str, tmp_path: Path) -> None:
    data = write_texts(tmp_path / "mine.csv", ("cheese", "football"))
    result = adapt(text_model, data, out=str(tmp_path / "mine"))
    assert (result["task"]["kind"], result["task"]["labels"]) == ("text", ["cheese", "football"])
    assert result["score"]["value"] == 1.0
    new = tmp_path / "new.csv"
    new.write_text("id,text\n1,tell of football\n2,what cheese\n")
    rows = predict(str(tmp_path / "mine"), str(new))["rows"]
    assert [row["prediction"] for row in rows] == ["football", "cheese"]
    assert [row["input"] for row in rows] == ["new.csv:2", "new.csv:3"]
    assert sum(rows[0]["probabilities"].values()) == pytest.approx(1)


def test_an_answer_does_not_depend_on_the_rows_beside_it(text_model: str, tmp_path: Path) -> None:
    adapt(text_model, write_texts(tmp_path / "m.csv", TOPICS[:3]), out=str(tmp_path / "mine"))
    texts = [f"about {topic}" for topic in TOPICS]
    together = predict(str(tmp_path / "mine"), "-", stdin="\n".join(texts).encode())["rows"]
    alone = [predict(str(tmp_path / "mine"), "-", stdin=one.encode())["rows"][0] for one in texts]
    for one, other in zip(together, alone, strict=True):
        assert one["probabilities"] == pytest.approx(other["probabilities"], abs=1e-6)


def test_rows_that_cannot_be_read_are_named_and_the_others_answered(
    text_model: str, tmp_path: Path
) -> None:
    adapt(text_model, write_texts(tmp_path / "m.csv", TOPICS[:2]), out=str(tmp_path / "mine"))
    (tmp_path / "new.csv").write_text("text,id\nbread,1\n,2\nrain,3\n")
    with pytest.raises(DataError) as caught:
        predict(str(tmp_path / "mine"), str(tmp_path / "new.csv"))
    assert caught.value.result is not None
    rows = caught.value.result["rows"]
    assert [row["prediction"] is None for row in rows] == [False, True, False]
    assert "row 3, column text" in rows[1]["error"]["message"]


def test_evaluate_compares_with_tf_idf_on_the_same_episodes(text_model: str) -> None:
    result = evaluate(text_model, episodes=12, way=2, shot=1, query=2)
    simple = result["baselines"]["tf-idf + logistic regression"]
    assert simple["delta"] == pytest.approx(result["mean"] - simple["mean"])
    assert simple["delta_ci95"][0] <= simple["delta"] <= simple["delta_ci95"][1]


def test_an_adapted_text_model_is_scored_on_a_labelled_table(
    text_model: str, tmp_path: Path
) -> None:
    adapt(text_model, write_texts(tmp_path / "m.csv", TOPICS[:2]), out=str(tmp_path / "mine"))
    (tmp_path / "new.csv").write_text("text,label\nso much bread,bread\na rain song,rain\n")
    result = evaluate(str(tmp_path / "mine"), str(tmp_path / "new.csv"))
    assert (result["metric"], result["mean"], result["query"]) == ("accuracy", 1.0, 2)
    with pytest.raises(DataError, match="ones the model was adapted on"):
        evaluate(str(tmp_path / "mine"), str(tmp_path / "m.csv"))


def test_numbers_come_back_in_the_users_units_with_an_interval(
    number_model: str, tmp_path: Path
) -> None:
    write_town(tmp_path / "mine.csv", 11, rows=20)
    result = adapt(number_model, str(tmp_path / "mine.csv"), out=str(tmp_path / "mine"))
    assert result["task"]["type"] == "regression"
    score = result["score"]
    assert (score["metric"], score["n"]) == ("mae", 20)
    assert 0 < score["value"] < 100_000
    assert {one["baseline"]["name"] for one in result["transfer"]["all"]} == {
        "ridge regression on the same columns",
        "mean of the support",
    }
    said = predict(str(tmp_path / "mine"), str(tmp_path / "mine.csv"))
    truth = read_table(tmp_path / "mine.csv").numbers("price")
    found = np.array([row["prediction"] for row in said["rows"]])
    assert np.corrcoef(found, truth)[0, 1] > 0.5
    assert 20_000 < found.mean() < 400_000
    wide = [row["high"] - row["low"] for row in said["rows"]]
    assert wide == pytest.approx([2 * open_answers(tmp_path / "mine")["residual"]] * 20)
    assert said["coverage"] == 0.9


def open_answers(path: Path) -> dict[str, float]:
    model = open_model(str(path), require_device("cpu"), lambda _: None).model
    return model.confidence.as_dict()


def test_the_scaling_of_the_target_is_part_of_the_model(number_model: str, tmp_path: Path) -> None:
    write_town(tmp_path / "mine.csv", 11, rows=12)
    adapt(number_model, str(tmp_path / "mine.csv"), out=str(tmp_path / "mine"))
    source = open_model(number_model, require_device("cpu"), lambda _: None).model
    mine = open_model(str(tmp_path / "mine"), require_device("cpu"), lambda _: None).model
    assert source.inputs == mine.inputs
    assert source.inputs.unscaled.scale > 1000
    assert mine.inputs.regresses


def test_a_number_model_is_scored_by_its_absolute_error(number_model: str, tmp_path: Path) -> None:
    write_town(tmp_path / "mine.csv", 11, rows=12)
    adapt(number_model, str(tmp_path / "mine.csv"), out=str(tmp_path / "mine"))
    write_town(tmp_path / "more.csv", 11, rows=30)
    (tmp_path / "later.csv").write_text(
        "\n".join(["size,kind,price", *(tmp_path / "more.csv").read_text().splitlines()[14:]])
    )
    result = evaluate(str(tmp_path / "mine"), str(tmp_path / "later.csv"))
    said = predict(str(tmp_path / "mine"), str(tmp_path / "later.csv"))["rows"]
    truth = read_table(tmp_path / "later.csv").numbers("price")
    off = np.abs(np.array([row["prediction"] for row in said]) - truth)
    assert result["metric"] == "mae"
    assert result["mean"] == pytest.approx(off.mean(), rel=1e-5)
    assert result["rmse"] == pytest.approx(math.sqrt((off**2).mean()), rel=1e-5)
    mine, later = str(tmp_path / "mine"), str(tmp_path / "later.csv")
    with pytest.raises(CheckFailed):
        evaluate(mine, later, fail_over=["mae=1e-9"], force=True)


def test_few_shot_regression_is_compared_with_ridge_by_task(number_model: str) -> None:
    result = evaluate(number_model, episodes=8)
    assert result["metric"] == "mse"
    assert result["mean"] > 1_000  # in the user's units, squared
    pooled = "ridge on all training tasks"
    wanted = {"ridge on the same rows", pooled, f"{pooled} + shrunken intercept"}
    assert set(result["baselines"]) >= wanted
    assert result["baselines"]["ridge on the same rows"]["units"] <= 2  # test tasks


def test_a_table_that_lacks_columns_of_the_model_names_them(
    number_model: str, tmp_path: Path
) -> None:
    (tmp_path / "mine.csv").write_text("size,price\n1,2.5\n3,4.5\n")
    with pytest.raises(DataError, match="has no column 'kind'"):
        adapt(number_model, str(tmp_path / "mine.csv"), out=str(tmp_path / "mine"))


def test_images_for_a_text_model_and_a_wrong_type_are_refused(
    text_model: str, number_model: str, tmp_path: Path
) -> None:
    write_town(tmp_path / "town.csv", 3)
    with pytest.raises(DataError, match="the model takes texts"):
        adapt(text_model, str(tmp_path / "town.csv"), target="kind", out=str(tmp_path / "x"))
    with pytest.raises(UsageProblem, match="--type classification"):
        adapt(number_model, str(tmp_path / "town.csv"), type="classification")


def test_a_table_with_many_classes_trains_without_a_recipe(tmp_path: Path) -> None:
    rng = np.random.Generator(np.random.PCG64(0))
    lines = ["a,b,label"]
    lines += [
        f"{rng.normal(c):.3f},{rng.normal(-c):.3f},kind{c}" for c in range(12) for _ in range(6)
    ]
    (tmp_path / "t.csv").write_text("\n".join(lines) + "\n")
    notices: list[Event] = []
    run = meta_train(
        str(tmp_path / "t.csv"), FEW, out=str(tmp_path / "run"), device="cpu", report=notices.append
    )
    said = [one.message for one in notices if isinstance(one, Note)]
    assert any("table-anyway-protonet" in one for one in said)
    (tmp_path / "mine.csv").write_text("a,b,label\n0,1,x\n0.1,1.1,x\n5,-5,y\n5.1,-5,y\n")
    result = adapt(run["run"], str(tmp_path / "mine.csv"), out=str(tmp_path / "mine"))
    assert result["task"]["labels"] == ["x", "y"]
    assert (
        predict(str(tmp_path / "mine"), str(tmp_path / "mine.csv"))["rows"][3]["prediction"] == "y"
    )


def test_sample_writes_tables_that_adapt_reads(
    text_model: str, number_model: str, tmp_path: Path
) -> None:
    data = write_texts(tmp_path / "topics.csv")
    drawn = sample(data, str(tmp_path / "task"), way=2, shot=2, query=3)
    assert (drawn["way"], drawn["shot"], drawn["query"]) == (2, 2, 3)
    task = adapt(text_model, str(tmp_path / "task"), dry_run=True)["task"]
    assert (task["labels"], task["support"], task["query"]) == (drawn["classes"], 4, 6)
    towns = Path(number_model).parent / "towns"
    with pytest.raises(DataError, match="8 files alike"):
        sample(str(towns), str(tmp_path / "town"), shot=5, query=4)
    for town in towns.glob("*.csv"):
        (tmp_path / "renamed").mkdir(exist_ok=True)
        text = town.read_text().replace("price", "y", 1)
        (tmp_path / "renamed" / town.name).write_text(text)
    drawn = sample(str(tmp_path / "renamed"), str(tmp_path / "town"), shot=5, query=4)
    assert (drawn["way"], drawn["shot"], drawn["query"]) == (None, 5, 4)
    found = inspect(str(tmp_path / "town"))
    assert (found["valid"], found["details"]["type"]) == (True, "regression")


def test_inspect_tells_columns_duplicates_and_leaks_at_once(tmp_path: Path) -> None:
    lines = [f"{i % 2},{i % 3},7,{'pq'[i % 2]}" for i in range(12)]
    (tmp_path / "t.csv").write_text("code,a,same,label\n" + "\n".join(lines) + "\n")
    found = inspect(str(tmp_path / "t.csv"))
    assert (found["what"], found["valid"]) == ("task", True)
    codes = {one["code"] for one in found["problems"]}
    assert {"table.leak", "table.constant"} <= codes
    assert found["details"]["support_per_class"] == {"p": 6, "q": 6}
    assert found["details"]["columns"]["same"] == "constant"
    assert found["next"][0] == f"metacli adapt {tmp_path / 't.csv'}"


def test_the_columns_that_were_stated_are_in_what_to_type_instead(tmp_path: Path) -> None:
    lines = [f"{i},{i % 3},{'pq'[i % 2]},{'uv'[i % 2]}" for i in range(12)]
    path = tmp_path / "t.csv"
    path.write_text("a,b,kind,side\n" + "\n".join(lines) + "\n")
    columns = "--target side --input a,b"
    with pytest.raises(DataError) as of_images:
        adapt("pixels", path, target="side", input="a,b", out=tmp_path / "m")
    assert of_images.value.hint == f"metacli adapt features {path} {columns}"
    with pytest.raises(UsageProblem) as unmeasured:
        adapt(None, path, target="side", input="a,b", folds=0, out=tmp_path / "m")
    assert unmeasured.value.hint == f"name one: metacli adapt MODEL {path} {columns} --folds 0"


def test_inspect_of_a_table_that_cannot_be_used_names_no_command(tmp_path: Path) -> None:
    lines = [f"{i},{i % 3},{'pq'[i % 2]}" for i in range(12)]
    lines[4] = "4,1,"
    (tmp_path / "t.csv").write_text("a,b,side\n" + "\n".join(lines) + "\n")
    found = inspect(str(tmp_path / "t.csv"), target="side")
    assert not found["valid"]
    assert found["next"] == []


def test_inspect_of_texts_names_both_sides_of_a_duplicate(tmp_path: Path) -> None:
    (tmp_path / "support.csv").write_text("text,label\nhello,a\nbye,b\n")
    (tmp_path / "query.csv").write_text("text,label\nhello,a\n")
    found = inspect(str(tmp_path))
    assert not found["valid"]
    assert "support.csv:2, query.csv:2" in found["problems"][0]["message"]
    assert "--allow-duplicates" in found["next"][0]


def test_inspect_of_a_set_of_tables_finds_other_columns(tmp_path: Path) -> None:
    for town in range(5):
        write_town(tmp_path / f"{town}.csv", town)
    text = (tmp_path / "4.csv").read_text().replace("kind", "sort", 1)
    (tmp_path / "4.csv").write_text(text.replace("price", "y", 1))
    for town in range(4):
        text = (tmp_path / f"{town}.csv").read_text()
        (tmp_path / f"{town}.csv").write_text(text.replace("price", "y", 1))
    found = inspect(str(tmp_path))
    assert found["what"] == "set of tasks"
    assert [one["code"] for one in found["problems"] if one["level"] == "error"] == [
        "table.columns_differ"
    ]


def test_a_text_model_is_evaluated_on_other_texts_as_it_reads_them(
    text_model: str, tmp_path: Path
) -> None:
    other = write_texts(tmp_path / "other.csv", tuple(f"thing{i}" for i in range(12)))
    result = evaluate(text_model, other, episodes=4, way=2, shot=1, query=2)
    assert result["data"] == other
    assert 0 <= result["mean"] <= 1
    write_town(tmp_path / "town.csv", 1)
    text = (tmp_path / "town.csv").read_text().replace("price", "y", 1)
    (tmp_path / "town.csv").write_text(text)
    with pytest.raises(DataError, match="the data are tables and the model takes texts"):
        evaluate(text_model, str(tmp_path / "town.csv"), episodes=4)


def test_numbers_of_other_tasks_are_not_scored_in_the_scale_of_these(
    number_model: str, tmp_path: Path
) -> None:
    for town in range(6):
        write_town(tmp_path / f"{town}.csv", town + 40)
        text = (tmp_path / f"{town}.csv").read_text().replace("price", "y", 1)
        (tmp_path / f"{town}.csv").write_text(text)
    with pytest.raises(DataError, match="not those that the model was trained among"):
        evaluate(number_model, str(tmp_path), episodes=4, shot=5, query=4)
