"""Overrides among the words, times, ranges, checks; and what each command hands to the engine."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import typer

from metacli.cli import words
from metacli.cli.adapt import what_to_adapt
from metacli.cli.app import main
from metacli.cli.meta_train import what_to_train
from metacli.errors import UsageProblem


def test_overrides_may_stand_anywhere_and_keep_their_order() -> None:
    given = ["a", "train.lr=1e-3", "b", "note=x=y", "inner_steps=", "c"]
    assert words.split_overrides(given) == (
        ["a", "b", "c"],
        ["train.lr=1e-3", "note=x=y", "inner_steps="],
    )


@pytest.mark.parametrize("word", ["=3", "1x=3", "a..b=3", "./a=b", "a b=3", "a"])
def test_words_that_are_no_key_are_not_overrides(word: str) -> None:
    assert words.split_overrides([word]) == ([word], [])


def test_a_file_whose_name_looks_like_an_override_is_a_file(tmp_path: Path) -> None:
    Path("kind=cat").mkdir()
    assert words.split_overrides(["kind=cat", "kind=dog"]) == (["kind=cat"], ["kind=dog"])


def test_the_last_word_of_adapt_is_the_task_and_the_rest_are_models() -> None:
    given = ["one", "inner_steps=3", "two", "task"]
    assert what_to_adapt(given) == (["one", "two"], "task", ["inner_steps=3"])


@pytest.mark.parametrize("given", [[], ["a=1", "b=2"]])
def test_adapt_without_a_task_is_wrong_usage(given: list[str]) -> None:
    with pytest.raises(UsageProblem, match="needs a TASK"):
        what_to_adapt(given)


def test_a_single_word_of_adapt_is_the_task_and_the_source_is_to_be_chosen() -> None:
    assert what_to_adapt(["only"]) == ([], "only", [])


@pytest.mark.parametrize(
    ("given", "hint"),
    [
        (["model", "task", "train.steps", "200"], "write train.steps=200"),
        (["model", "task", "train.steps"], "write train.steps=VALUE"),
        (["model", "algorithm.inner_steps", "task.yaml"], "write algorithm.inner_steps=task.yaml"),
    ],
)
def test_adapt_explains_a_key_without_its_equals_sign(given: list[str], hint: str) -> None:
    with pytest.raises(UsageProblem) as caught:
        what_to_adapt(given)
    assert caught.value.hint == hint


def test_meta_train_explains_a_second_word() -> None:
    with pytest.raises(UsageProblem, match=r"'steps' is not an override") as caught:
        what_to_train(["recipe", "steps", "200"], None, None)
    assert caught.value.hint == "write steps=200"


@pytest.mark.parametrize(
    ("given", "data", "resume", "expected"),
    [
        (["r"], None, None, ("r", [])),
        (["a=1", "r", "b.c=2"], None, None, ("r", ["a=1", "b.c=2"])),
        ([], "pool", None, (None, [])),
        (["train.steps=9"], None, "run", (None, ["train.steps=9"])),
    ],
)
def test_meta_train_takes_a_recipe_or_data_or_a_run(
    given: list[str], data: str | None, resume: str | None, expected: Any
) -> None:
    assert what_to_train(given, data, resume) == expected


@pytest.mark.parametrize(
    ("given", "data", "resume"),
    [([], None, None), (["a=1"], None, None), (["r"], None, "run"), ([], "pool", "run")],
)
def test_meta_train_refuses_nothing_and_too_much(
    given: list[str], data: str | None, resume: str | None
) -> None:
    with pytest.raises(UsageProblem):
        what_to_train(given, data, resume)


@pytest.mark.parametrize(
    ("written", "expected"),
    [("90", 90), ("90s", 90), ("15m", 900), ("2h", 7200), ("1h30m", 5400), ("0.5h", 1800)],
)
def test_times_are_read_as_seconds(written: str, expected: float) -> None:
    assert words.seconds(written) == expected


@pytest.mark.parametrize("written", ["", "0", "-5", "5x", "1 h", "h", "1d", "nan", "1e3"])
def test_words_that_are_no_time_are_wrong_usage(written: str) -> None:
    with pytest.raises(typer.BadParameter):
        words.seconds(written)


@pytest.mark.parametrize("written", ["5", "3-20", "1,2,5,10"])
def test_numbers_ranges_and_lists_pass(written: str) -> None:
    assert words.counts(written) == written


@pytest.mark.parametrize("written", ["", "0", "a", "1-", "1,", "-1", "1-2-3", "1,2-3", "1.5"])
def test_anything_else_does_not(written: str) -> None:
    with pytest.raises(typer.BadParameter):
        words.counts(written)


@pytest.mark.parametrize("word", ["accuracy", "=0.9", "accuracy=", "accuracy=high", "accuracy=nan"])
def test_a_check_is_a_metric_and_a_number(word: str) -> None:
    assert words.checks(["accuracy=0.9"]) == ["accuracy=0.9"]
    with pytest.raises(typer.BadParameter):
        words.checks([word])


@pytest.mark.parametrize(
    "line",
    [
        "meta-train r --max-time 5x",
        "meta-train r --seeds 0",
        "adapt m t --holdout 1",
        "adapt m t --holdout nan",
        "adapt m t --method magic",
        "adapt m t --device gpu",
        "adapt m t --seed -1",
        "adapt m t --fail-under accuracy",
        "predict m a --reject 2",
        "predict m a --top 0",
        "predict m a --format xml",
        "predict m",
        "evaluate m --shot 0",
        "evaluate m --episodes none",
        "export m --format zip",
        "fetch",
        "fetch omniglot --list",
        "fetch omniglot --dir a -o b",
        "sample glyphs",
        "sample glyphs a -o b",
        "recipes show",
        "recipes copy a b c",
        "recipes copy a b -o c",
        "recipes list",
        "adapt m t -o -",
        "export m -o -",
        "sample glyphs -o -",
        "fetch omniglot -o -",
    ],
)
def test_wrong_words_exit_2_and_leave_stdout_empty(
    line: str, stub: Callable[..., Any], capsys: pytest.CaptureFixture[str]
) -> None:
    calls = stub()
    assert main([*line.split(), "--json"]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("error: ")
    assert "\nhint: " in err
    assert calls == []


def handed(stub: Callable[..., Any], line: str) -> tuple[tuple[Any, ...], dict[str, Any]]:
    calls = stub()
    assert main(line.split()) == 0
    ((args, options),) = calls
    return args, {name: value for name, value in options.items() if name != "report"}


def test_meta_train_hands_everything_to_the_engine(stub: Callable[..., Any]) -> None:
    line = (
        "meta-train r a.b=1 --data pool --seeds 3 --max-time 2h --fail-under accuracy=0.9 "
        "--fail-over loss=1 -o out --force --device cuda:1 --seed 4 -n"
    )
    assert handed(stub, line) == (
        ("r", ("a.b=1",)),
        {
            "data": "pool",
            "resume": None,
            "seeds": 3,
            "shard": None,
            "max_time": 7200.0,
            "track": [],
            "fail_under": ["accuracy=0.9"],
            "fail_over": ["loss=1"],
            "out": "out",
            "force": True,
            "device": "cuda:1",
            "seed": 4,
            "dry_run": True,
        },
    )


def test_adapt_hands_everything_to_the_engine(stub: Callable[..., Any]) -> None:
    line = (
        "adapt m1 m2 t inner_steps=3 --method lp-ft --target y --input a,b --type regression "
        "--holdout 0.3 --baseline --budget 1.5m --add --skip-bad --allow-duplicates"
    )
    assert handed(stub, line) == (
        (["m1", "m2"], "t", ("inner_steps=3",)),
        {
            "method": "lp-ft",
            "target": "y",
            "input": "a,b",
            "type": "regression",
            "holdout": 0.3,
            "baseline": True,
            "budget": 90.0,
            "add": True,
            "folds": None,
            "compare": None,
            "new_only": False,
            "shard": None,
            "standalone": False,
            "fit_inputs": False,
            "skip_bad": True,
            "allow_duplicates": True,
            "follow_links": False,
            "order": None,
            "fail_under": (),
            "fail_over": (),
            "fail_if": (),
            "strict": False,
            "out": None,
            "force": False,
            "device": "auto",
            "seed": None,
            "dry_run": False,
        },
    )


def test_no_model_is_handed_over_as_none(stub: Callable[..., Any]) -> None:
    assert handed(stub, "adapt t")[0] == (None, "t", ())


def test_one_model_is_handed_over_as_a_word(stub: Callable[..., Any]) -> None:
    assert handed(stub, "adapt @last t")[0] == ("@last", "t", ())


def test_evaluate_hands_everything_to_the_engine(stub: Callable[..., Any]) -> None:
    line = (
        "evaluate m d inner_steps=3 --split val --way 3-20 --shot 1,2,5 --query 7 --episodes 100 "
        "--expect --target t --input a,b"
    )
    assert handed(stub, line) == (
        ("m", "d", ("inner_steps=3",)),
        {
            "split": "val",
            "way": "3-20",
            "shot": "1,2,5",
            "query": 7,
            "episodes": 100,
            "expect": True,
            "target": "t",
            "input": "a,b",
            "fail_under": (),
            "fail_over": (),
            "skip_bad": False,
            "allow_duplicates": False,
            "follow_links": False,
            "order": None,
            "shard": None,
            "out": None,
            "force": False,
            "device": "auto",
            "seed": None,
            "dry_run": False,
        },
    )


@pytest.mark.parametrize("verb", ["meta-train", "multitask"])
def test_the_columns_of_a_training_are_settings_of_its_data(
    stub: Callable[..., Any], verb: str
) -> None:
    names = handed(stub, f"{verb} p.csv --target 1,no --input a,b seed=2")[0]
    assert names == ("p.csv", ("seed=2", 'data.target="1,no"', 'data.input="a,b"'))


def test_evaluate_takes_overrides_without_data(stub: Callable[..., Any]) -> None:
    assert handed(stub, "evaluate m inner_steps=3")[0] == ("m", None, ("inner_steps=3",))


def test_predict_and_export_hand_everything_to_the_engine(stub: Callable[..., Any]) -> None:
    assert handed(stub, "predict m a b --top 3 --reject 0.5 --device cpu --seed 1") == (
        ("m", ["a", "b"]),
        {
            "stdin": None,
            "top": 3,
            "reject": 0.5,
            "together": False,
            "out": None,
            "force": False,
            "dry_run": False,
            "device": "cpu",
            "seed": 1,
        },
    )
    assert handed(stub, "export m --format onnx --with-support --tolerance 1e-4 -o f") == (
        ("m",),
        {
            "format": "onnx",
            "with_support": True,
            "tolerance": 1e-4,
            "out": "f",
            "force": False,
            "device": "auto",
            "seed": None,
            "dry_run": False,
        },
    )


def test_the_start_commands_hand_everything_to_the_engine(stub: Callable[..., Any]) -> None:
    assert handed(stub, "doctor --device cpu") == ((), {"device": "cpu"})
    assert handed(stub, "fetch omniglot --dir d --from f --force") == (
        ("omniglot",),
        {"dir": "d", "from_path": "f", "force": True},
    )
    assert handed(stub, "sample glyphs d --way 3 --shot 1 --query 2 --split val --seed 9") == (
        ("glyphs", "d"),
        {"way": 3, "shot": 1, "query": 2, "split": "val", "seed": 9, "force": False},
    )
    assert handed(stub, "inspect p --strict --target t,u --input a") == (
        ("p",),
        {"strict": True, "target": "t,u", "input": "a", "follow_links": False, "model": None},
    )


def test_a_dry_run_of_fetch_and_sample_leaves_nothing(
    stub: Callable[..., Any], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def drawn(data: str, target: str, **options: Any) -> dict[str, Any]:
        Path(target).mkdir()
        return {"path": target, "way": 2, "shot": 1, "query": 1, "classes": ["a", "b"]}

    calls = stub("sample", drawn)
    assert main(["sample", "glyphs", "task", "-n"]) == 0
    assert main(["fetch", "omniglot", "-n"]) == 0
    assert len(calls) == 1
    assert list(tmp_path.iterdir()) == []
    assert "dry run: nothing was written\n" in capsys.readouterr().out
