"""Work in parts and put together again: the same as undivided, byte for byte."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import small_runs
from tiny_models import saved, tiny_model, write_classes

from metacli.cli.meta_train import next_of_seeds
from metacli.cli.views.block import Block
from metacli.engine.adapt import adapt
from metacli.engine.evaluate import evaluate
from metacli.engine.merge import merge
from metacli.engine.meta_train import meta_train
from metacli.engine.multitask import multitask
from metacli.engine.shards.shard import Shard, parsed
from metacli.errors import BundleError, DataError, UsageProblem

pytestmark = pytest.mark.usefixtures("workplace", "one_thread")
ASIDE = ("path", "paths", "model", "scores", "seconds", "run", "created", "started", "host", "task")


def without(value: Any, *aside: str) -> Any:
    """Plain data without the keys that say where and when."""
    if isinstance(value, dict):
        return {k: without(v, *aside) for k, v in value.items() if k not in aside}
    return [without(one, *aside) for one in value] if isinstance(value, list) else value


def same_folders(found: Path, wanted: Path) -> None:
    """The same files; weights and checkpoints byte for byte."""
    names = sorted(small_runs.tree(wanted))
    assert sorted(small_runs.tree(found)) == names
    binary = [name for name in names if name.endswith(".safetensors")]
    assert binary
    for name in binary:
        assert (found / name).read_bytes() == (wanted / name).read_bytes(), name


# Shards


@pytest.mark.parametrize("total", [1, 7, 600])
@pytest.mark.parametrize("unit", [1, 50])
def test_parts_cover_everything_once_in_order(total: int, unit: int) -> None:
    for count in (1, 3, 8):
        parts = [Shard(at, count).of(total, unit) for at in range(1, count + 1)]
        assert [n for first, last in parts for n in range(first, last)] == list(range(total))


@pytest.mark.parametrize("text", ["0/2", "3/2", "1", "a/b", "1/2/3", "-1/2", "1/0", "1/9999999"])
def test_no_part_is_refused(text: str) -> None:
    with pytest.raises(UsageProblem, match="--shard"):
        parsed(text)
    assert parsed("2/8") == Shard(2, 8)
    assert parsed(None) is None


# A folder of tasks


@pytest.fixture
def customers() -> Path:
    for number in range(3):
        write_classes(Path(f"customers/c{number}"), {"dog": 4, "cat": 4}, seed=number)
    saved(tiny_model(), Path("source"))
    return Path("customers")


def adapted_in_parts(customers: Path, count: int = 2) -> list[str]:
    for at in range(1, count + 1):
        adapt("source", customers, out=f"part-{at}", shard=f"{at}/{count}")
    return [f"part-{at}" for at in range(1, count + 1)]


def test_adapting_in_parts_gives_the_same_models_and_result(customers: Path) -> None:
    whole = adapt("source", customers, out="whole")
    parts = adapted_in_parts(customers)
    assert [len(small_runs.facts(part, "shard.json")["made"]["tasks"]) for part in parts] == [1, 2]
    result = merge("merged", parts[::-1])
    assert without(result.as_dict(), *ASIDE) == without(whole.as_dict(), *ASIDE)
    assert [row["model"] for row in result["tasks"]] == [
        str(Path(f"merged/c{n}").absolute()) for n in range(3)
    ]
    same_folders(Path("merged"), Path("whole"))
    cards = [json.loads(Path(f"{one}/c1/model.json").read_text()) for one in ("merged", "whole")]
    assert without(cards[0], *ASIDE) == without(cards[1], *ASIDE)


def test_a_task_that_failed_fails_the_merged_result_too(customers: Path) -> None:
    (customers / "c1" / "dog" / "broken.png").write_bytes(b"no image")
    with pytest.raises(DataError):
        adapt("source", customers, out="part-2", shard="2/2")
    adapt("source", customers, out="part-1", shard="1/2")
    with pytest.raises(DataError, match="1 of 3 tasks could not be adapted") as caught:
        merge("merged", ["part-1", "part-2"])
    assert [row["status"] for row in caught.value.result["tasks"]] == [
        *("adapted", "failed", "adapted")
    ]
    (customers / "c1" / "dog" / "broken.png").unlink()
    adapt("source", customers, out="part-2", shard="2/2", new_only=True)
    assert merge("again", ["part-1", "part-2"])["failed"] == 0


def test_what_cannot_be_merged_is_named_and_nothing_is_written(customers: Path) -> None:
    one, two, three = adapted_in_parts(customers, 3)
    wrong = {
        "shard.missing": [one, three],
        "shard.doubled": [one, two, three, two],
        "shard.not_found": [one, two, "source"],
    }
    for code, parts in wrong.items():
        with pytest.raises(BundleError) as caught:
            merge("merged", parts)
        assert caught.value.code == code
    assert "2" in str(caught.value) or "shard.json" in str(caught.value)
    adapt("source", customers, out="other", shard="2/3", seed=1)
    with pytest.raises(BundleError, match="seed 0 and 1") as caught:
        merge("merged", [one, "other", three])
    assert caught.value.code == "shard.foreign"
    small_runs.damage(Path(two, "shard.json"))
    with pytest.raises(BundleError, match="damaged"):
        merge("merged", [one, two, three])
    assert not Path("merged").exists()


def test_a_damaged_model_of_a_part_is_not_copied(customers: Path) -> None:
    parts = adapted_in_parts(customers)
    small_runs.damage(Path(parts[1], "c2", "weights.safetensors"))
    with pytest.raises(BundleError, match=r"weights\.safetensors"):
        merge("merged", parts)


def test_a_missing_part_is_named_with_the_command_that_makes_it(customers: Path) -> None:
    one, _, three = adapted_in_parts(customers, 3)
    with pytest.raises(BundleError, match="of 3 parts these are missing: 2") as caught:
        merge("merged", [three, one])
    assert caught.value.hint == "the same command with --shard 2/3"
    assert merge("merged", [one, "part-2", three], dry_run=True) == {"parts": 3, "verb": "adapt"}
    assert not Path("merged").exists()


def test_parts_of_nothing_are_refused(customers: Path) -> None:
    with pytest.raises(UsageProblem, match="some would have none"):
        adapt("source", customers, out="part", shard="1/4")
    with pytest.raises(UsageProblem, match="one task"):
        adapt("source", customers / "c0", out="part", shard="1/2")
    with pytest.raises(UsageProblem, match="-o is missing"):
        adapt("source", customers, shard="1/2")
    with pytest.raises(UsageProblem, match="--seeds"):
        meta_train(small_runs.recipe(), out="part", shard="1/2")
    with pytest.raises(UsageProblem, match="every shard"):
        merge("merged", [])


# Episodes


@pytest.mark.parametrize("shots", ["1", "1,2"])
def test_scores_in_parts_are_those_of_all_episodes(finished: Path, shots: str) -> None:
    asked = {"episodes": 7, "shot": shots, "way": 3, "query": 2, "device": "cpu"}
    whole = evaluate(finished, out="whole.jsonl", **asked)
    for at in (1, 2, 3):
        part = evaluate(finished, out=f"part-{at}", shard=f"{at}/3", **asked)
        assert part["shard"] == f"{at}/3"
    result = merge("merged.jsonl", ["part-3", "part-1", "part-2"])
    assert without(result.as_dict(), "scores") == without(whole.as_dict(), "scores")
    found, wanted = (Path(f"{one}.jsonl").read_text() for one in ("merged", "whole"))
    assert found.replace("merged.jsonl", "whole.jsonl") == wanted
    with pytest.raises(BundleError, match="has content"):
        merge("merged.jsonl", ["part-1", "part-2", "part-3"])


def test_scores_of_another_model_are_foreign(finished: Path) -> None:
    saved(tiny_model(), Path("one"))
    asked = {"episodes": 4, "way": 3, "shot": 1, "device": "cpu"}
    evaluate("one", out="part-1", shard="1/2", **asked)
    evaluate(finished, out="part-2", shard="2/2", **asked)
    with pytest.raises(BundleError, match="not of the same work: model"):
        merge("merged.jsonl", ["part-1", "part-2"])


def test_a_regression_is_divided_by_what_is_computed_together() -> None:
    Path("waves.yaml").write_text(small_runs.WAVES)
    meta_train("waves.yaml", ["baselines=[]"], out="run", device="cpu")
    whole = evaluate("run", episodes=120, out="whole.jsonl", device="cpu")
    for at in (1, 2):
        evaluate("run", episodes=120, out=f"part-{at}", shard=f"{at}/2", device="cpu")
    result = merge("merged.jsonl", ["part-1", "part-2"])
    assert without(result.as_dict(), "scores") == without(whole.as_dict(), "scores")


def test_only_episodes_are_divided(customers: Path) -> None:
    adapt("source", customers / "c0", out="adapted")
    with pytest.raises(UsageProblem, match="episodes"):
        evaluate("adapted", customers / "c0", out="part", shard="1/2")
    with pytest.raises(UsageProblem, match="-o is missing"):
        evaluate("source", shard="1/2")


# Seeds


def test_seeds_in_parts_are_the_same_runs() -> None:
    name = small_runs.recipe()
    settings = ["train.steps=2", "evaluate.every=2"]
    whole = meta_train(name, settings, seeds=3, out="whole", device="cpu")
    for at in (1, 2):
        part = meta_train(name, settings, seeds=3, out=f"part-{at}", shard=f"{at}/2", device="cpu")
        assert part["shard"] == f"{at}/2"
        assert list(next_of_seeds(Block(part.as_dict()))) == [
            "next: metacli merge FOLDER SHARD..., with the folder of every shard"
        ]
    result = merge("merged", ["part-1", "part-2"])
    assert "shard" not in result
    aside = (*ASIDE, "resume_command")
    assert without(result.as_dict(), *aside) == without(whole.as_dict(), *aside)
    assert [Path(run["run"]).name for run in result["runs"]] == ["seed-0", "seed-1", "seed-2"]
    same_folders(Path("merged/seed-2/model"), Path("whole/seed-2/model"))
    resumed = meta_train(resume="merged/seed-1", overrides=["train.steps=3"])
    assert resumed["steps"] == 3


def test_seeds_of_related_tasks_in_parts_keep_what_each_task_gained() -> None:
    lines = [f"{n},{n % 7},{'ab'[n % 2]},{n + n % 7}" for n in range(60)]
    Path("rows.csv").write_text("\n".join(["x,z,task,y", *lines]) + "\n")
    columns = ["data.task=task"]
    whole = multitask("rows.csv", columns, seeds=2, out="whole", device="cpu")
    for at in (1, 2):
        multitask("rows.csv", columns, seeds=2, out=f"part-{at}", shard=f"{at}/2", device="cpu")
    result = merge("merged", ["part-1", "part-2"])
    aside = (*ASIDE, "resume_command")
    assert without(result.as_dict(), *aside) == without(whole.as_dict(), *aside)
    assert [task["name"] for task in result["tasks"]] == ["a", "b"]
