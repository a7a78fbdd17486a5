"""`inspect` says what a path is, finds everything wrong with it at once, and what to type next."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
from filelock import FileLock
from PIL import Image
from tiny_models import adapted_model, saved, tiny_model, write_classes

from metacli.cli.app import main
from metacli.engine.inspect import inspect
from metacli.engine.inspecting.findings import MOST, bounded
from metacli.engine.models import folder as models
from metacli.engine.storage.lock import LOCK
from metacli.engine.storage.writer import write_json
from metacli.engine.training import checkpoint
from metacli.engine.training.loop import Snapshot
from metacli.errors import CheckFailed, DataError, Finding
from metacli.schema.load import dump

SINUSOID = "sinusoid-10shot-maml"


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("METACLI_CACHE", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)


def codes(result: dict[str, object], level: str = "error") -> list[str]:
    problems: list[dict[str, str]] = result["problems"]  # type: ignore[assignment]
    return sorted(one["code"] for one in problems if one["level"] == level)


def test_a_good_task_is_counted_measured_and_followed_by_adapt() -> None:
    write_classes(Path("task"), {"ant": 3, "bee": 7})
    result = inspect("task")
    assert (result["what"], result["valid"], result["problems"]) == ("task", True, [])
    assert result["path"] == str(Path("task").absolute())
    details = result["details"]
    assert details["support_per_class"] == {"ant": 3, "bee": 7}
    assert (details["smallest_class"], details["largest_class"]) == (3, 7)
    assert details["score"] == "3-fold over the support"
    assert details["sizes"] == {"16x16": 10}
    assert details["colours"] == {"grey": 10}
    assert result["next"] == ["metacli adapt task"]


def test_all_problems_of_all_files_are_reported_at_once() -> None:
    write_classes(Path("task"), {"ant": 3, "bee": 3})
    Path("task/ant/cut.png").write_bytes(Path("task/ant/00.png").read_bytes()[:60])
    Path("task/ant/page.png").write_text("<html>log in</html>")
    Path("task/bee/same.png").write_bytes(Path("task/ant/01.png").read_bytes())
    Path("task/bee/twice.png").write_bytes(Path("task/bee/00.png").read_bytes())
    Path("task/empty").mkdir()
    Path("task/ant/link.png").symlink_to("00.png")
    result = inspect("task")
    assert result["valid"] is False
    assert codes(result) == sorted(
        [
            "data.damaged_image",
            "data.unsupported_format",
            "data.same_picture",
            "data.empty_class",
            "data.link",
        ]
    )
    assert codes(result, "warning") == ["data.repeated_picture"]
    assert result["details"]["support_per_class"]["empty"] == 0
    assert result["next"] == []  # they have to be put right first


def test_problems_that_flags_go_on_with_are_followed_by_these_flags() -> None:
    write_classes(Path("my task"), {"ant": 3, "bee": 3})
    Path("my task/ant/page.png").write_text("<html>log in</html>")
    result = inspect("my task")
    assert result["next"] == ["metacli adapt 'my task' --skip-bad"]
    Path("my task/bee/same.png").write_bytes(Path("my task/ant/01.png").read_bytes())
    flags = "--skip-bad --allow-duplicates"
    assert inspect("my task")["next"] == [f"metacli adapt 'my task' {flags}"]


def test_links_that_were_followed_are_followed_by_the_next_command_too() -> None:
    write_classes(Path("task"), {"ant": 3, "bee": 3})
    Path("rows.csv").write_text("x,label\n" + "1,a\n2,b\n" * 6)
    assert inspect("task", follow_links=True)["next"] == ["metacli adapt task --follow-links"]
    found = inspect("rows.csv", follow_links=True, target="label")["next"]
    assert found[0] == "metacli adapt rows.csv --target label --follow-links"


def test_a_class_of_one_image_has_no_part_in_the_score() -> None:
    write_classes(Path("task"), {"ant": 1, "bee": 4})
    result = inspect("task")
    assert result["valid"]
    assert result["details"]["score"].endswith("of ant nothing can be held out")


def test_a_query_is_what_the_score_comes_from() -> None:
    write_classes(Path("task/support"), {"ant": 1, "bee": 1})
    write_classes(Path("task/query"), {"ant": 2, "bee": 3}, seed=1)
    details = inspect("task")["details"]
    assert details["score"] == "on the query, 5 images"
    assert details["query_per_class"] == {"ant": 2, "bee": 3}


def test_sizes_and_colours_of_a_mixed_folder() -> None:
    write_classes(Path("task"), {"ant": 2, "bee": 2})
    Image.new("RGB", (40, 20), (200, 10, 10)).save("task/ant/wide.png")
    details = inspect("task")["details"]
    assert details["sizes"] == {"16x16": 4, "40x20": 1}
    assert details["colours"] == {"grey": 4, "colour": 1}


def test_many_classes_can_be_trained_on_as_well() -> None:
    write_classes(Path("many"), {f"c{number}": 1 for number in range(40)}, size=4)
    assert inspect("many")["next"] == ["metacli adapt many", "metacli meta-train many"]


def test_pools_are_counted_split_by_split() -> None:
    for split, seed in (("train", 0), ("val", 1), ("test", 2)):
        names = {f"{split}{number}": 2 + number for number in range(2)}
        write_classes(Path("pool") / split, names, seed=seed)
    result = inspect("pool")
    assert (result["what"], result["valid"]) == ("pool of classes", True)
    assert result["details"]["val"] == {
        "classes": 2,
        "pictures": 5,
        "smallest_class": 2,
        "largest_class": 3,
    }
    assert result["next"] == ["metacli meta-train pool", "metacli evaluate @last pool"]


def test_a_set_of_tasks_tells_each_task_and_a_image_may_be_in_two_of_them() -> None:
    for name in ("one", "two"):
        write_classes(Path("set") / name / "support", {"ant": 2, "bee": 2})
        write_classes(Path("set") / name / "query", {"ant": 1, "bee": 1}, seed=1)
    result = inspect("set")
    assert (result["what"], result["valid"]) == ("set of tasks", True)
    assert result["details"]["tasks"] == {
        "one": {"classes": 2, "support": 4, "query": 2},
        "two": {"classes": 2, "support": 4, "query": 2},
    }


def test_what_is_of_no_use_is_a_problem_and_not_an_exception() -> None:
    Path("table.csv").write_text("a,b\n1,2\n")
    result = inspect("table.csv")
    assert (result["what"], result["valid"]) == ("unknown", False)
    assert codes(result) == ["table.no_target"]
    Path("m.onnx").write_bytes(b"x")
    assert inspect("m.onnx")["what"] == "exported file"


def test_a_missing_path_is_an_error_with_the_nearest_recipe() -> None:
    with pytest.raises(DataError, match="no such file, folder or name") as caught:
        inspect("sinusoid-10shot-mamal")
    assert SINUSOID in str(caught.value.hint)
    assert caught.value.exit_code == 3


def test_strict_fails_on_a_warning_and_keeps_the_result() -> None:
    write_classes(Path("task"), {"ant": 2, "bee": 2})
    assert inspect("task", strict=True)["valid"]
    Path("task/bee/twice.png").write_bytes(Path("task/bee/00.png").read_bytes())
    assert inspect("task")["valid"]
    with pytest.raises(CheckFailed, match="1 problem in this task") as caught:
        inspect("task", strict=True)
    assert caught.value.exit_code == 5
    assert caught.value.result is not None
    assert caught.value.result["what"] == "task"


def test_a_recipe_is_built_as_training_would_build_it() -> None:
    result = inspect(SINUSOID)
    assert (result["what"], result["valid"]) == ("recipe", True)
    assert result["details"]["parameters"] == (1 * 40 + 40) + (40 * 40 + 40) + (40 + 1)
    assert result["details"]["train"]["execution"] == "vmap"
    assert result["next"] == [f"metacli meta-train {SINUSOID}"]


def test_every_mistake_in_a_recipe_is_reported_with_its_line() -> None:
    text = inspect_text(SINUSOID)
    text = text.replace("inner_lr", "inner_lrr").replace("hidden", "hiden")
    Path("mine.yaml").write_text(text)
    result = inspect("mine.yaml")
    assert result["valid"] is False
    assert codes(result) == ["recipe.unknown_key", "recipe.unknown_key"]
    assert all("mine.yaml:" in one["where"] for one in result["problems"])
    assert result["next"] == []


def inspect_text(name: str) -> str:
    from metacli.schema.load import load

    return dump(load(name).recipe)


def test_data_that_were_not_fetched_are_a_warning_and_the_first_thing_to_do() -> None:
    result = inspect("omniglot-5w1s-protonet")
    assert result["valid"]
    assert codes(result, "warning") == ["data.not_fetched"]
    name = "omniglot-5w1s-protonet"
    assert result["next"] == ["metacli fetch omniglot", f"metacli meta-train {name}"]


def test_episodes_that_a_folder_cannot_fill_are_found_before_training() -> None:
    for split, seed in (("train", 0), ("val", 1), ("test", 2)):
        names = {f"{split}{number}": 4 for number in range(5)}
        write_classes(Path("pool") / split, names, seed=seed, size=8)
    text = inspect_text("omniglot-5w1s-protonet")
    lines = [line for line in text.splitlines() if not line.startswith(("data:", "episodes:"))]
    lines += ["data: {source: ./pool, size: 16}", "episodes: {way: 5, shot: 1, query: 9}"]
    Path("mine.yaml").write_text("\n".join(lines) + "\n")
    result = inspect("mine.yaml")
    assert "data.too_few_examples" in codes(result)
    assert result["next"] == []


def test_a_model_is_followed_by_adapt_and_an_adapted_one_by_predict(tmp_path: Path) -> None:
    model = tiny_model()
    saved(model, tmp_path / "m")
    saved(adapted_model(model), tmp_path / "mine")
    plain, mine = inspect("m"), inspect("mine")
    assert (plain["what"], mine["what"]) == ("model", "adapted model")
    assert plain["valid"]
    assert mine["valid"]
    assert plain["next"] == ["metacli evaluate m", "metacli adapt m FOLDER"]
    assert mine["next"][0] == "metacli predict mine INPUT"
    assert mine["next"][-1] == "metacli export mine"
    assert mine["details"]["classes"] == ["ant", "bee", "cat"]
    assert "classes" not in plain["details"]
    total = sum(value.numel() for value in model.params.values())
    assert plain["details"]["numbers"] == total


def test_one_flipped_bit_makes_a_model_invalid(tmp_path: Path) -> None:
    saved(tiny_model(), tmp_path / "m")
    weights = tmp_path / "m" / models.WEIGHTS
    data = bytearray(weights.read_bytes())
    data[-1] ^= 1
    weights.write_bytes(data)
    result = inspect("m")
    assert (result["what"], result["valid"], result["next"]) == ("model", False, [])
    assert codes(result) == ["model.damaged"]
    assert models.WEIGHTS in result["problems"][0]["message"]


def test_a_model_that_lost_a_file_is_still_called_a_model(tmp_path: Path) -> None:
    saved(tiny_model(), tmp_path / "m")
    (tmp_path / "m" / "model.json").unlink()
    result = inspect("m")
    assert (result["what"], result["valid"]) == ("model", False)
    assert "model.json is missing" in result["problems"][0]["message"]


def test_weights_of_another_network_are_found(tmp_path: Path) -> None:
    wide = tiny_model(width=8)
    saved(replace(tiny_model(), params=wide.params), tmp_path / "m")
    result = inspect("m")
    assert result["valid"] is False
    assert set(codes(result)) == {"model.weights"}


def make_run(folder: Path, *, status: str = "finished", steps: tuple[int, ...] = (10, 20)) -> Path:
    """A run of 20 steps with a checkpoint at each of `steps`; the last is the best."""
    model = tiny_model()
    train = model.recipe.train.model_copy(update={"steps": 20})
    recipe = model.recipe.model_copy(update={"train": train})
    folder.mkdir()
    (folder / "recipe.yaml").write_text(dump(recipe))
    write_json(folder / "run.json", {"status": status, "recipe": "tiny", "seed": 0})
    facts = {"best": {"mean": 0.5, "ci95": 0.1, "n": 5}}
    for step in steps:
        checkpoint.save(folder / "state", "step", Snapshot(step, model.params, {}, {}), facts)
    checkpoint.save(folder / "state", "best", Snapshot(steps[-1], model.params, {}, {}), facts)
    if status == "finished":
        models.save(model, folder / "model")
    return folder


def test_a_finished_run_is_followed_by_evaluate() -> None:
    make_run(Path("run"))
    result = inspect("run")
    assert (result["what"], result["valid"], result["problems"]) == ("run", True, [])
    details = result["details"]
    assert (details["status"], details["steps"], details["best_step"]) == (
        "finished",
        "20 of 20",
        20,
    )
    assert details["best"]["mean"] == 0.5
    assert details["checkpoints"] == {"step": [20, 10], "best": [20]}
    assert result["next"] == ["metacli evaluate run", "metacli adapt run FOLDER"]


def test_a_run_whose_process_is_gone_was_killed_and_can_be_resumed() -> None:
    make_run(Path("run"), status="running", steps=(5, 10))
    result = inspect("run")
    assert result["details"]["status"] == "killed"
    assert result["next"][0] == "metacli meta-train --resume run"


def test_a_run_that_holds_its_lock_is_running_and_left_alone() -> None:
    make_run(Path("run"), status="running", steps=(5, 10))
    with FileLock(Path("run") / LOCK):
        result = inspect("run")
    assert result["details"]["status"] == "running"
    assert result["next"] == []


def test_a_damaged_checkpoint_is_a_warning_until_none_is_left() -> None:
    make_run(Path("run"), status="interrupted", steps=(5, 10))
    damage(Path("run/state/step-10"))
    result = inspect("run")
    assert result["valid"]
    assert codes(result, "warning") == ["model.damaged"]
    assert result["details"]["steps"] == "5 of 20"
    damage(Path("run/state/step-5"))
    assert codes(inspect("run")) == ["model.damaged", "model.damaged"]


def damage(folder: Path) -> None:
    path = folder / checkpoint.PARAMS
    path.write_bytes(path.read_bytes()[:-1])


def test_a_run_that_lost_its_json_is_still_a_run_with_a_problem() -> None:
    make_run(Path("run"))
    Path("run/run.json").write_text("{")
    result = inspect("run")
    assert (result["what"], result["valid"]) == ("run", False)
    assert codes(result) == ["run.damaged"]


def validated(run: Path, metric: str = "accuracy") -> Path:
    """What training notes of a validation."""
    line = {"step": 20, "val": {metric: {"mean": 0.5, "ci95": 0.1, "n": 5}}, "best": True}
    (run / "metrics.jsonl").write_text('{"step": 1, "train": {"loss": 1}}\n' + json.dumps(line))
    return run


def test_the_best_validation_of_a_run_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    validated(make_run(Path("run")))
    assert inspect("run")["details"]["best"]["metric"] == "accuracy"
    assert main(["inspect", "run"]) == 0
    assert "  best         validation accuracy 50.00 % ± 10.00 (n 5)\n" in capsys.readouterr().out


def test_a_folder_of_runs_lists_them_and_what_to_do_with_them(
    capsys: pytest.CaptureFixture[str],
) -> None:
    Path("mine").mkdir()
    for name in ("a", "b"):
        validated(make_run(Path("mine") / name))
    make_run(Path("mine/c"), status="interrupted", steps=(5, 10))
    Path("mine/a/scores.jsonl").write_text("")
    models.save(adapted_model(tiny_model()), Path("mine/model"))  # may stand beside them
    found = inspect("mine")
    assert (found["what"], found["valid"], found["problems"]) == ("runs", True, [])
    rows = found["details"]["runs"]
    assert [(one["name"], one["status"], one["evaluated"]) for one in rows] == [
        ("a", "finished", True),
        ("b", "finished", False),
        ("c", "interrupted", False),
    ]
    assert found["next"] == [
        "metacli meta-train --resume mine/c",
        "metacli evaluate mine/b",
        "metacli compare mine/a mine/b",
        "metacli inspect mine/a",
    ]
    assert main(["inspect", "mine"]) == 0
    shown = capsys.readouterr().out
    assert "  b    finished     tiny       0  20 of 20  accuracy 50.00 % ± 10.00 (n 5)  no" in shown
    damage(Path("mine/c/state/step-10"))
    damage(Path("mine/c/state/step-5"))
    assert codes(inspect("mine")) == ["model.damaged", "model.damaged"]


def test_runs_that_measure_different_things_are_not_to_be_compared() -> None:
    Path("mine").mkdir()
    validated(make_run(Path("mine/a")))
    validated(make_run(Path("mine/b")), "nmse")
    assert not any(one.startswith("metacli compare") for one in inspect("mine")["next"])


def test_runs_are_found_below_the_folder_of_all_runs_too() -> None:
    Path("runs/scores").mkdir(parents=True)
    Path("runs/tiny").mkdir()
    make_run(Path("runs/tiny/one"))
    assert [one["name"] for one in inspect("runs")["details"]["runs"]] == ["tiny/one"]


def test_a_run_that_lies_among_classes_makes_no_runs_of_them() -> None:
    write_classes(Path("task"), {"ant": 3, "bee": 3})
    make_run(Path("task/run"))
    assert inspect("task")["what"] != "runs"


def test_runs_of_a_shard_are_merged_next() -> None:
    Path("part").mkdir()
    make_run(Path("part/seed-0"))
    Path("part/shard.json").write_text("{}")
    assert inspect("part")["next"] == ["metacli merge OUT SHARD..."]


def test_looking_changes_nothing() -> None:
    make_run(Path("run"), status="running", steps=(5,))
    write_classes(Path("task"), {"ant": 2, "bee": 2})
    before = {path: path.stat().st_mtime_ns for path in Path().rglob("*")}
    inspect("run")
    inspect("task")
    assert {path: path.stat().st_mtime_ns for path in Path().rglob("*")} == before


def test_the_result_is_plain_data() -> None:
    make_run(Path("run"))
    for name in ("run", "run/model", SINUSOID):
        assert json.loads(json.dumps(inspect(name)))["what"]


def test_beyond_two_hundred_problems_only_their_number_is_reported_errors_first() -> None:
    notes = [Finding("note", "n", str(number)) for number in range(3)]
    errors = [Finding("error", "e", str(number)) for number in range(MOST + 5)]
    told = bounded([*notes, *errors])
    assert len(told) == MOST + 1
    assert {one.level for one in told} == {"error"}
    assert told[-1].message == "and 8 more problems like these"
