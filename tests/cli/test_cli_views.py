"""Results as a person reads them."""

from __future__ import annotations

import copy
from typing import Any

import cli_stubs
import pytest

from metacli.cli import (
    adapt,
    compare,
    errors,
    evaluate,
    export,
    fetch,
    inspect,
    merge,
    meta_train,
    recipes,
    text,
)
from metacli.cli.views import many
from metacli.cli.views.block import Block
from metacli.errors import DataError


def result(command: str, **changes: Any) -> dict[str, Any]:
    return {**copy.deepcopy(cli_stubs.RESULTS[command]), **changes}


def test_evaluate_says_the_whole_protocol() -> None:
    page = "\n".join(evaluate.show(result("evaluate"), "@last"))
    assert "accuracy       93.12 % ± 0.41  inductive" in page
    assert "95.10 % ± 0.30  transductive" in page
    for word in (
        "split test",
        "5-way 1-shot",
        "15 queries per class",
        "episodes       600 (seed 0)",
    ):
        assert word in page
    assert "chance         20.00 %" in page
    assert "nearest pixel  61.00 % ± 1.00" in page
    assert "          5  93.12 % ± 0.41" in page
    assert page.endswith("next: metacli adapt @last YOUR_FOLDER")


def test_the_next_command_of_evaluate_names_the_columns_that_were_stated() -> None:
    lines = list(evaluate.show(result("evaluate"), "@last", ["--target", "blood sugar"]))
    assert lines[-1] == "next: metacli adapt @last YOUR_FOLDER --target 'blood sugar'"


def test_evaluate_of_an_adapted_model_says_what_to_type_next() -> None:
    rows = result("evaluate", episodes=None, transductive=None, way=None, shot=None, query=30)
    page = "\n".join(evaluate.show(rows, "my model"))
    assert "transductive" not in page
    assert "30 queries rows" not in page
    assert "30 labelled rows" in page
    assert page.endswith("next: metacli predict 'my model' INPUT...")


def test_the_interval_of_labelled_examples_is_that_of_the_result_as_after_adapt() -> None:
    adapted = {
        "mean": 1.0,
        "ci95": 0.0666,
        "low": 0.8668,
        "high": 1.0,
        "query": 25,
        "episodes": None,
    }
    page = "\n".join(evaluate.show(result("evaluate", **adapted), "mine"))
    assert "100 % (86.7 to 100 %, 25 examples)" in page


@pytest.mark.parametrize(
    ("more", "over"),
    [
        ({"num_tasks": 4, "inductive": {"mean": 0.6, "ci95": 0.1, "n": 32}}, "32 rows"),
        ({"num_tasks": 3, "images": 20, "inductive": {"n": 20}}, "20 images"),
        ({"inductive": {"n": 30}, "query": 30}, "30 examples"),
    ],
)
def test_the_interval_of_labelled_rows_says_what_it_is_over(
    more: dict[str, Any], over: str
) -> None:
    found = {"metric": "mse", "mean": 0.6, "ci95": 0.1, "episodes": None, **more}
    lines = list(evaluate.show(found, "model"))
    assert f"0.6 ± 0.1 over {over}" in lines[0]


def test_evaluate_shows_a_curve_and_the_expected_score() -> None:
    curve = [{"shot": k, "mean": 0.9, "ci95": 0.01} for k in (1, 5)]
    expect = {"min": 0.95, "max": 0.99, "passed": False}
    lines = list(evaluate.show(result("evaluate", curve=curve, expect=expect), "m"))
    assert "  shot           score" in lines
    assert "     5  90.00 % ± 1.00" in lines
    assert any(line == "expected       95.00 % to 99.00 %: not met" for line in lines)


def test_errors_of_regression_are_plain_numbers() -> None:
    rows = result("evaluate", metric="mse", mean=0.3412, ci95=0.012, chance=None, baselines={})
    assert next(iter(evaluate.show(rows, "m"))).startswith(
        "mse            0.3412 ± 0.012  inductive"
    )


def test_adapt_says_how_the_score_was_obtained() -> None:
    page = "\n".join(adapt.show(result("adapt")))
    assert "accuracy  93 % (80 to 99 %), chance 33.33 %" in page
    assert "inductive, 5-fold over the support, re-adapted in each fold" in page
    assert "source    helps: +21.0 points against logistic regression\n" in page
    assert "          95 % interval +5.0 points to +37.0 points\n" in page
    assert "guessed   labels are folder names" in page
    assert page.endswith("INPUT...")


def test_the_next_command_of_adapt_names_the_columns_where_it_reads_the_table() -> None:
    columns = ["--target", "blood sugar"]
    doubted = result("adapt", doubts=["guessing"])
    table = doubted["task"]["path"]
    assert list(adapt.show(doubted, columns))[-1] == (
        f"next: metacli adapt {table} --target 'blood sugar'"
    )
    chosen = list(adapt.show({**doubted, "choice": {"source": "columns"}}, columns))
    assert chosen[-1] == f"next: metacli inspect {table} --target 'blood sugar'"
    more = ["--type", "regression", "--order", "rows"]
    assert list(adapt.show(doubted, columns, more))[-1] == (
        f"next: metacli adapt {table} --target 'blood sugar' --type regression --order rows"
    )
    chosen = list(adapt.show({**doubted, "choice": {"source": "columns"}}, columns, more))
    assert chosen[-1] == f"next: metacli inspect {table} --target 'blood sugar'"
    assert list(adapt.show(result("adapt"), columns))[-1].endswith("INPUT...")


@pytest.mark.parametrize(
    ("how", "verdict", "limited"),
    [
        ("query", "helped", True),
        ("query", "no_difference", True),
        ("holdout:0.3", "hurt", True),
        ("query", "too_few_to_say", False),
        ("kfold:5", "helped", False),
        ("order:4", "helped", False),
    ],
)
def test_a_verdict_from_one_support_is_for_these_examples_alone(
    how: str, verdict: str, limited: bool
) -> None:
    facts = result("adapt")
    facts["score"]["how"], facts["transfer"]["verdict"] = how, verdict
    page = "\n".join(adapt.show(facts))
    assert ("against logistic regression, for these examples alone\n" in page) == limited
    assert ("alone" in page) == limited


def test_adapt_without_a_score_says_why() -> None:
    page = "\n".join(adapt.show(result("adapt", score={"metric": "accuracy", "how": "none"})))
    assert "not measured: too few examples to hold any out" in page


def test_adapt_ranks_several_sources() -> None:
    sources = [{"model": "/a", "score": 0.9}, {"model": "/b", "score": 0.5}]
    lines = list(adapt.show(result("adapt", sources=sources)))
    assert "source  score on the support" in lines
    assert "/a                   90.00 %" in lines


def test_an_interrupted_run_is_resumed_next() -> None:
    lines = list(meta_train.show(result("meta-train", status="interrupted")))
    assert lines[-1] == "next: metacli meta-train --resume runs/glyphs/20260101T000000Z"


def test_a_run_says_which_limit_stopped_it_and_of_how_many_steps() -> None:
    limit = {"stopped_by": "max_time", "planned_steps": 800, "steps": 90}
    page = "\n".join(meta_train.show(result("meta-train", **limit)))
    assert "status    stopped by --max-time after 90 of 800 steps, best" in page
    page = "\n".join(meta_train.show(result("meta-train", steps=1, best_step=1)))
    assert "finished after 1 step, best at step 1" in page


@pytest.mark.parametrize(
    ("more", "shown"),
    [
        ({}, "about 4.0 MB of memory and 3 min 30 s of processor time for the steps"),
        (
            {"program_seconds": 62.4},
            "about 4.0 MB of memory and 3 min 30 s of processor time for the steps, plus about "
            "1 min 2 s to make the program",
        ),
        (
            {"program_seconds": 300.0, "whole": False},
            "at least 4.0 MB of memory and 5 min 0 s to make the program; no step was timed",
        ),
    ],
)
def test_a_dry_run_tells_the_making_of_a_program_from_the_steps(
    more: dict[str, Any], shown: str
) -> None:
    estimate = {"memory_bytes": 4_000_000, "minutes": 3.5, "step_seconds": 1.0, "whole": True}
    page = meta_train.show(result("meta-train", dry_run=True, estimate={**estimate, **more}))
    assert f"takes     {shown}" in list(page)


def test_a_difference_of_errors_is_said_in_words() -> None:
    score = {"metric": "mae", "value": 2.5, "low": 2.0, "high": 3.0, "n": 40, "how": "kfold:5"}
    found = {"verdict": "helped", "delta": 1.25, "delta_ci95": [0.5, 2.0], "detectable": 0.6}
    page = "\n".join(adapt.show(result("adapt", score=score, transfer=found)))
    assert "helps: MAE 1.25 smaller" in page
    assert "95 % interval +0.5 to +2 (positive: smaller)" in page


@pytest.mark.parametrize(
    ("message", "where", "shown"),
    [
        ("houses.csv: no column is the target", "houses.csv", ""),
        ("stdin has no rows", "-", ""),
        ("row 2 of my houses.csv is empty", "houses.csv", ""),
        ("no such file or folder", "houses.csv", " - houses.csv"),
        ("old-houses.csv is newer", "houses.csv", " - houses.csv"),
    ],
)
def test_a_place_is_said_once(message: str, where: str, shown: str) -> None:
    assert errors.error_lines(DataError(message, where=where)) == [f"error: {message}{shown}"]


@pytest.mark.parametrize(
    ("value", "shown"), [(23157.4, "23157"), (2169.3, "2169"), (2.5e9, "2.5e+09"), (3e-5, "3e-05")]
)
def test_large_numbers_are_written_out(value: float, shown: str) -> None:
    assert text.number(value) == shown


def test_training_scores_are_named_validation() -> None:
    lines = list(meta_train.show(result("meta-train")))
    assert "accuracy  93.10 % ± 0.40 (600 validation episodes)" in lines


def seeds(command: str, *numbers: int) -> dict[str, Any]:
    """A result of several seeds, as `merge` gives it too."""
    runs = [{"run": f"/data/runs/seed-{number}"} for number in numbers]
    return result(command, run=runs[0]["run"], runs=runs, seeds=len(runs))


def test_runs_of_seeds_are_evaluated_one_by_one_and_compared_as_one() -> None:
    after = [
        "next: metacli evaluate /data/runs/seed-9",
        "      metacli evaluate /data/runs/seed-10",
        "      metacli compare /data/runs/seed-* OTHER_RUNS...",
    ]
    lines = list(merge.show(seeds("multitask", 9, 10)))
    assert lines[-3:] == after
    assert "of /data/runs/seed-9:" in lines  # the tables are those of one run
    assert any(line.endswith("(2301 seeds, validation)") for line in lines)
    assert not any("adapt" in line for line in lines)
    assert list(merge.show(seeds("meta-train", 9, 10)))[-3:] == after
    many = list(meta_train.show(seeds("meta-train", *range(8))))
    assert many[-2] == "      and the other 3 runs"


def test_inspect_lists_every_problem_with_its_hint() -> None:
    lines = list(inspect.show(result("inspect")))
    assert lines[0] == "task, not valid: /data/task"
    assert "1 problem:" in lines
    assert "  not a picture - a/1.png (remove it)" in lines


def test_inspect_says_one_number_where_least_and_most_are_the_same() -> None:
    details = {"tasks_per_set": [3, 3], "labels": [5, 8], "classes": ["a", "b"]}
    page = list(inspect.show(result("inspect", details=details)))
    assert page[1:4] == ["  tasks per set  3", "  labels         5 to 8", "  classes        a, b"]


def test_recipes_is_a_table_with_aligned_columns() -> None:
    lines = list(recipes.show_list(result("recipes")))
    assert lines[0] == "name                  kind  data      minutes  measured score"
    assert lines[1].endswith("2.2  accuracy 94.34 % ± 0.45, 5-way 1-shot")
    assert lines[2] == "    ProtoNet on invented characters."
    assert lines[3].endswith("4  not measured")


def test_fetch_list_shows_whatever_the_registry_tells() -> None:
    rows = {"available": [{"name": "a", "bytes": 1200, "here": True, "note": None}]}
    assert list(fetch.show_list(rows))[:2] == ["name   bytes  here", "a     1.2 kB  yes"]


def test_compare_names_the_metric() -> None:
    header, first, *_ = compare.show(result("compare"))
    assert header.split() == ["metric", "score", "±", "over", "seeds", "on"]
    assert first.split()[1] == "accuracy"


def test_compare_says_what_the_intervals_are_over() -> None:
    found = result("compare")
    for one in (*found["items"], *found["pairs"]):
        one |= {"unit": "task", "n": 12}
    found["items"][0]["seeds"] = [0, 1, 2]
    lines = list(compare.show(found))
    assert "  12 tasks and 3 seeds  " in lines[1]
    assert "  12 tasks  " in lines[2]
    assert " to +2.5 points  12 tasks  test, " in lines[5]


def test_export_says_how_far_it_is_from_pytorch() -> None:
    page = "\n".join(export.show(result("export")))
    assert "largest difference to PyTorch 1.2e-06 on 15 inputs (tolerance 1e-05)" in page


def test_a_column_of_many_words_does_not_fill_the_page() -> None:
    column = {"name": "street", "values": [f"street {number}" for number in range(300)]}
    made = result("export")
    made["inputs"] = [{"name": "cells", "columns": [column, {"name": "size", "values": []}]}]
    shown = "\n".join(export.show(made))
    assert "street 11, and 288 more" in shown
    assert "street 12," not in shown
    assert shown.splitlines()[2].endswith("name size")


@pytest.mark.parametrize(
    ("seconds", "shown"), [(0.4, "0 s"), (59, "59 s"), (200, "3 min 20 s"), (3900, "1 h 5 min")]
)
def test_durations_are_read_at_a_glance(seconds: float, shown: str) -> None:
    assert text.duration(seconds) == shown


def test_not_a_number_is_a_dash() -> None:
    assert text.number(float("nan")) == text.score("accuracy", float("nan")) == "-"


def test_control_characters_and_odd_bytes_become_visible() -> None:
    assert text.visible("a\nb\x1b[0m\u202e\udcff é ü") == "a\\nb\\x1b[0m\\u202e\\xff é ü"


@pytest.mark.parametrize(("best", "told"), [("ridge", False), ("in-context", True)])
def test_a_choice_that_is_not_the_first_of_those_tried_says_why(best: str, told: bool) -> None:
    tried = [
        {"source": "columns", "method": "ridge", "value": 0.9},
        {"source": "columns", "method": "in-context", "value": 0.8},
    ]
    choice = Block({"source": "columns", "method": best, "tried": tried, "seconds": 2.0})
    assert ("none is better by more than the folds can tell" in many.chosen(choice)) == told
    unscored = Block({**choice.values, "tried": [{**one, "value": None} for one in tried]})
    assert "none is better" not in many.chosen(unscored)
