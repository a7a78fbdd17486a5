"""The score of a model on tasks that it has never seen, and what goes into the score file."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import small_runs
from small_runs import copied
from tiny_models import CLASSES, adapted_model, saved, tiny_model, write_classes

from metacli.engine.compare import compare
from metacli.engine.evaluate import evaluate
from metacli.engine.events import Notice
from metacli.engine.meta_train import meta_train
from metacli.engine.models import folder as models
from metacli.engine.scoring.episodes import score_episodes
from metacli.errors import BundleError, CheckFailed, DataError, MetacliError, UsageProblem

pytestmark = pytest.mark.usefixtures("workplace")


@pytest.fixture
def run(finished: Path) -> str:
    return str(copied(finished))


@pytest.fixture
def maml(fixed_head: Path) -> str:
    return str(copied(fixed_head, "maml"))


def scores(path: str | Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in Path(path).read_text().splitlines()]


# Episodes


def test_the_result_has_the_keys_of_the_contract(run: str) -> None:
    result = evaluate(run, episodes=4)
    assert set(result) >= {
        *("metric", "mean", "ci95", "inductive", "transductive", "episodes", "episodes_seed"),
        *("split", "scheme", "way", "shot", "query", "statistics", "chance", "baselines"),
        *("per_step", "curve", "tasks", "data_digest", "scores", "expect"),
    }
    assert (result["metric"], result["split"], result["way"]) == ("accuracy", "test", 3)
    assert (result["shot"], result["query"], result["episodes"]) == (2, 2, 4)
    assert result["chance"] == pytest.approx(1 / 3)
    assert set(result["baselines"]) == {"untrained", "pixels"}
    assert (result["expect"], result["curve"], result["per_step"]) == (None, [], [])


def test_mean_and_interval_are_those_of_the_values_in_the_score_file(run: str) -> None:
    result = evaluate(run, episodes=5)
    (line,) = scores(result["scores"])
    values = np.array(line["values"])
    assert len(values) == 5
    assert result["mean"] == result["inductive"]["mean"] == pytest.approx(values.mean())
    assert result["ci95"] == pytest.approx(2.776445 * values.std(ddof=1) / np.sqrt(5))
    said = {key: value for key, value in result.items() if key not in ("scores", "curve")}
    assert {key: line["result"][key] for key in said} == said
    assert Path(result["scores"]) == Path(run) / "scores.jsonl"
    wanted = {"unit": "episode", "metric": "accuracy", "mode": "inductive", "split": "test"}
    assert wanted.items() <= line.items()


def test_the_same_evaluation_replaces_its_line_and_another_adds_one(run: str) -> None:
    evaluate(run, episodes=3)
    first = scores("run/scores.jsonl")
    evaluate(run, episodes=3)
    assert scores("run/scores.jsonl") == first
    evaluate(run, episodes=3, seed=1)
    both = scores("run/scores.jsonl")
    assert both[0] == first[0]
    assert [line["seed"] for line in both] == [0, 1]
    assert both[0]["units"] != both[1]["units"]


def test_two_runs_are_scored_on_the_same_episodes(run: str) -> None:
    small_runs.trained("other", "backbone.width=4", "train.steps=1", seed=5)
    a, b = (evaluate(name, episodes=4) for name in (run, "other"))
    units = [scores(result["scores"])[0]["units"] for result in (a, b)]
    assert units[0] == units[1]
    assert a["baselines"]["pixels"] == b["baselines"]["pixels"]
    assert evaluate(run, episodes=4, seed=3)["baselines"]["pixels"] != a["baselines"]["pixels"]


def test_the_first_episodes_do_not_depend_on_how_many_there_are(run: str) -> None:
    few, many = (evaluate(run, episodes=n, out=f"{n}.jsonl") for n in (3, 6))
    assert scores(many["scores"])[0]["values"][:3] == scores(few["scores"])[0]["values"]


def test_a_model_is_never_changed_and_a_lone_one_is_scored_below_runs(run: str) -> None:
    Path("run/model").rename("alone")
    before = small_runs.tree("alone")
    result = evaluate("alone", episodes=2)
    assert small_runs.tree("alone") == before
    assert Path(result["scores"]).parent == Path("runs/scores").absolute()


def test_a_list_of_shots_is_a_curve(run: str) -> None:
    result = evaluate(run, shot="1,2,5", episodes=3)
    assert [point["shot"] for point in result["curve"]] == [1, 2, 5]
    assert result["curve"][-1]["mean"] == result["mean"]
    assert result["shot"] == 5
    assert [line["shot"] for line in scores(result["scores"])] == [1, 2, 5]
    single = evaluate(run, shot=2, episodes=3)
    assert single["mean"] == result["curve"][1]["mean"]


def test_ranges_of_ways_and_unbalanced_shots(run: str) -> None:
    result = evaluate(run, way="3-8", shot="1-5", episodes=3)
    assert (result["way"], result["shot"], result["balanced"]) == ([3, 8], [1, 5], False)
    assert result["chance"] is None
    with pytest.raises(UsageProblem, match="--way"):
        evaluate(run, way="8-3")
    with pytest.raises(UsageProblem, match="--shot"):
        evaluate(run, shot="1,x")


def test_statistics_of_all_queries_are_distinguished_where_a_layer_has_any(
    run: str, maml: str
) -> None:
    assert evaluate(run, episodes=2)["transductive"] is None
    result = evaluate(maml, episodes=8, query=15)
    assert result["statistics"] == "support"
    both = {line["mode"]: line["values"] for line in scores(result["scores"])}
    assert np.mean(both["inductive"]) == pytest.approx(result["inductive"]["mean"])
    assert np.mean(both["transductive"]) == pytest.approx(result["transductive"]["mean"])
    assert both["transductive"] != both["inductive"]


def test_an_inner_loop_is_scored_after_every_step_from_none_on(maml: str) -> None:
    result = evaluate(maml, episodes=3)
    assert [step["step"] for step in result["per_step"]] == [0, 1, 2]
    assert result["per_step"][-1]["mean"] == result["mean"]


def test_fields_that_the_recipe_replaces_for_evaluation_are_used() -> None:
    meta_train(small_runs.recipe(small_runs.WAVES, "w.yaml"), out="waves", device="cpu")
    result = evaluate("waves", episodes=3)
    assert (result["metric"], result["chance"]) == ("mse", None)
    assert len(result["per_step"]) == 3  # inner_steps 2 of evaluate, not 1 of the algorithm
    assert set(result["baselines"]) == {"untrained", "joint"}
    longer = evaluate("waves", None, ["inner_steps=4"], episodes=3)["baselines"]
    for name in longer:  # as often adapted as the model
        assert [step["step"] for step in longer[name]["per_step"]] == [0, 1, 2, 3, 4]
    with pytest.raises(UsageProblem) as caught:
        evaluate("waves", fail_under=["mse=1"])
    assert "--fail-over mse" in caught.value.hint
    with pytest.raises(CheckFailed):
        evaluate("waves", episodes=3, fail_over=["mse=0.0001"])


def test_fields_of_the_learner_are_changed_for_one_evaluation(maml: str) -> None:
    before = small_runs.tree("maml/model")
    usual = evaluate(maml, episodes=3)
    longer = evaluate(maml, None, ["inner_steps=4"], episodes=3)
    assert longer["adaptation_steps"] == 4
    assert longer["per_step"][:3] == usual["per_step"]
    assert [step["step"] for step in longer["per_step"]] == [0, 1, 2, 3, 4]
    assert longer["mean"] == longer["per_step"][-1]["mean"]
    assert longer["scores"].endswith("maml/scores-inner_steps=4.jsonl")
    assert scores("maml/scores.jsonl")[0]["result"]["adaptation_steps"] == 2
    (found, *_) = compare(["maml", longer["scores"]])["pairs"]
    assert found["delta"] == pytest.approx(longer["mean"] - usual["mean"])
    assert small_runs.tree("maml/model") == before
    with pytest.raises(MetacliError, match="inner_step"):
        evaluate(maml, None, ["inner_step=4"], episodes=3)


def test_a_dry_run_says_what_would_be_measured_and_writes_nothing(run: str) -> None:
    before = small_runs.tree(".")
    result = evaluate(run, episodes=2, dry_run=True)
    assert (result["mean"], result["way"], result["dry_run"]) == (None, 3, True)
    assert small_runs.tree(".") == before


def test_episodes_that_are_not_finite_are_counted_and_named(
    run: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def spoiled(*args: Any, **options: Any) -> Any:
        found = score_episodes(*args, **options)
        found.inductive[1] = np.nan
        return found

    monkeypatch.setattr("metacli.engine.scoring.episode_evaluate.score_episodes", spoiled)
    events: list = []
    result = evaluate(run, episodes=3, report=events.append)
    assert (result["inductive"]["n"], result["inductive"]["not_finite"]) == (2, 1)
    assert scores(result["scores"])[0]["values"][1] is None
    said = [event for event in events if isinstance(event, Notice)]
    assert [event.code for event in said] == ["evaluate.not_finite"]
    assert said[0].message.endswith(": 1")


# What fails


def expecting(low: float, high: float) -> str:
    text = (
        small_runs.RECIPE + f"expect: {{way: 3, shot: 1, episodes: 3, min: {low}, max: {high}}}\n"
    )
    name = small_runs.recipe(text, "expecting.yaml")
    return meta_train(name, ["train.steps=2"], out="expecting", device="cpu")["run"]


def test_an_expected_score_passes_within_its_band_under_its_own_protocol() -> None:
    result = evaluate(expecting(0, 1), expect=True)
    assert result["expect"] == {"min": 0, "max": 1, "value": result["mean"], "passed": True}
    assert (result["shot"], result["episodes"]) == (1, 3)


def test_an_expected_score_outside_its_band_fails_with_the_result() -> None:
    with pytest.raises(CheckFailed) as caught:
        evaluate(expecting(1.5, 2), expect=True)
    assert caught.value.exit_code == 5
    assert caught.value.result["expect"]["passed"] is False
    assert Path(caught.value.result["scores"]).is_file()


def test_a_recipe_that_expects_nothing_cannot_be_held_to_it(run: str) -> None:
    with pytest.raises(UsageProblem, match="expects nothing"):
        evaluate(run, expect=True)


def test_a_bound_that_is_missed_fails_with_the_result(run: str) -> None:
    with pytest.raises(CheckFailed) as caught:
        evaluate(run, episodes=2, fail_under=["accuracy=1"])
    assert caught.value.result["episodes"] == 2
    with pytest.raises(UsageProblem, match="no metric"):
        evaluate(run, fail_under=["acc=0.1"])
    with pytest.raises(UsageProblem, match="--episodes"):
        evaluate(run, episodes=0)


def test_a_fixed_head_refuses_another_number_of_classes_and_names_who_takes_any(maml: str) -> None:
    for way in (5, "2-3"):
        with pytest.raises(DataError, match="head of 3 classes") as caught:
            evaluate(maml, way=way, episodes=2)
        assert caught.value.exit_code == 3
        assert "taken by protonet, " in caught.value.hint
        assert " r2d2, " in caught.value.hint
        assert "algorithm.head=proto by maml" in caught.value.hint


def test_a_score_file_with_content_is_replaced_by_force_alone(run: str) -> None:
    evaluate(run, episodes=2, out="mine.jsonl")
    with pytest.raises(BundleError) as caught:
        evaluate(run, episodes=3, out="mine.jsonl")
    assert (caught.value.exit_code, "--force" in caught.value.hint) == (3, True)
    evaluate(run, episodes=3, out="mine.jsonl", force=True)
    assert [line["episodes"] for line in scores("mine.jsonl")] == [3]
    Path("thesis.txt").write_text("years\n")
    with pytest.raises(BundleError, match="not a score file"):
        evaluate(run, episodes=3, out="thesis.txt", force=True)
    assert Path("thesis.txt").read_text() == "years\n"


# Other data


def pool(name: str) -> str:
    """Disjoint pools of four classes of five pictures each."""
    for seed, split in enumerate(("train", "val", "test")):
        write_classes(Path(name) / split, {f"{split}{i}": 5 for i in range(4)}, seed=seed)
    return name


def test_a_folder_of_ones_own_is_scored_and_fitted_to_the_models_input(run: str) -> None:
    result = evaluate(run, pool("own"), episodes=3, shot=1)
    assert (result["data"], result["scheme"]) == (str(Path("own").absolute()), None)
    assert result["data_digest"] != evaluate(run, episodes=2)["data_digest"]


def test_data_that_are_not_there_or_not_for_this_model_are_refused(run: str) -> None:
    with pytest.raises(DataError, match="no such data set") as caught:
        evaluate(run, "nowhere")
    assert caught.value.exit_code == 3
    with pytest.raises(DataError, match="waves"):
        evaluate(run, "sinusoid")


def test_a_class_that_was_trained_on_is_no_test(finished: Path) -> None:
    own = pool("own")
    settings = ("train.steps=1", "episodes.way=2", "data.size=16", "evaluate.every=1")
    meta_train(small_runs.recipe(), settings, data=own, out="run", device="cpu")
    assert evaluate("run", episodes=2)["mean"] is not None
    Path("own/train/train0").rename("own/test/train0")  # the folder changes after training
    for data in (None, "own", "./own/../own"):
        with pytest.raises(DataError, match="train0") as caught:
            evaluate("run", data, episodes=2)
        assert (caught.value.code, caught.value.exit_code) == ("data.seen_class", 3)


# Adapted models


@pytest.fixture
def mine() -> str:
    return saved(adapted_model(tiny_model()), Path("mine"))


def test_an_adapted_model_is_scored_on_labelled_images(mine: str) -> None:
    data = write_classes(Path("rows"), {"ant": 6, "bee": 2}, seed=7)
    result = evaluate(mine, str(data))
    table = np.array(result["confusion"])
    assert table.shape == (3, 3)
    assert table.sum(1).tolist() == [6, 2, 0]
    assert result["mean"] == pytest.approx(np.trace(table) / 8)
    assert result["balanced_accuracy"] == pytest.approx((table[0, 0] / 6 + table[1, 1] / 2) / 2)
    assert (result["labels"], result["query"], result["episodes"]) == (list(CLASSES), 8, None)
    assert result["low"] <= result["mean"] <= result["high"]
    assert result["chance"] == pytest.approx(1 / 3)
    (line,) = scores(result["scores"])
    assert (line["unit"], len(line["values"])) == ("example", 8)


def test_a_class_that_the_model_does_not_know_is_named(mine: str) -> None:
    data = write_classes(Path("rows"), {"ant": 2, "wasp": 2})
    with pytest.raises(DataError, match="'wasp' is not one of the model's: ant, bee, cat"):
        evaluate(mine, str(data))


def test_an_adapted_model_has_no_episodes(mine: str) -> None:
    with pytest.raises(UsageProblem, match="labelled examples"):
        evaluate(mine)
    data = str(write_classes(Path("rows"), {"ant": 2, "bee": 2}))
    for options in ({"way": 3}, {"shot": "1"}, {"split": "test"}, {"expect": True}):
        with pytest.raises(UsageProblem, match="for episodes"):
            evaluate(mine, data, **options)
    with pytest.raises(UsageProblem, match="inner_steps=3: this model does not adapt"):
        evaluate(mine, data, ["inner_steps=3"])


def test_the_order_of_rows_does_not_move_the_score(mine: str) -> None:
    model = models.load(Path(mine))
    saved(model, Path("elsewhere/again"))
    data = str(write_classes(Path("rows"), {"ant": 3, "bee": 3}, seed=3))
    a, b = evaluate(mine, data), evaluate("elsewhere/again", data)
    assert a["mean"] == b["mean"]
    assert scores(a["scores"])[0]["units"] == scores(b["scores"])[0]["units"]


def test_unreadable_images_stop_before_the_work_or_are_counted(mine: str) -> None:
    data = write_classes(Path("rows"), {"ant": 3, "bee": 3})
    (data / "ant" / "00.png").write_bytes(b"no picture")
    with pytest.raises(DataError):
        evaluate(mine, str(data))
    events: list = []
    assert evaluate(mine, str(data), skip_bad=True, report=events.append)["query"] == 5
    assert any(isinstance(event, Notice) and "00.png" in event.message for event in events)


def test_a_curve_is_refused_before_any_of_it_is_measured(run: str) -> None:
    with pytest.raises(DataError, match="19 shots and 2 queries need 21 images"):
        evaluate(run, way=3, shot="1,19", query=2, episodes=2)
    assert not (Path(run) / "scores.jsonl").exists()


def test_a_curve_takes_the_queries_that_its_most_shots_leave(run: str) -> None:
    events: list[object] = []
    result = evaluate(run, way=3, shot="1,19", episodes=2, report=events.append)
    assert [one["shot"] for one in result["curve"]] == [1, 19]
    assert result["query"] == 1
    assert {line["query"] for line in scores(result["scores"])} == {1}
    (notice,) = [one for one in events if isinstance(one, Notice)]
    assert notice.message == "1 queries per class, since the smallest class has 20 examples"
    assert evaluate(run, way=3, shot="1,2", episodes=2)["query"] == 2  # the recipe's
