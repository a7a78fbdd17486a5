"""Everything on a GPU: it gives what the CPU gives, and no tensor is left on the other device.

Run where there is one: `pytest -m cuda`, or `sh benchmarks/gpu.sh`.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import small_runs
import torch
from small_runs import facts, weights
from tiny_models import write_classes

from metacli.algorithms import names
from metacli.engine.adapt import adapt
from metacli.engine.doctor import doctor
from metacli.engine.evaluate import evaluate
from metacli.engine.export import export
from metacli.engine.meta_train import meta_train
from metacli.engine.multitask import multitask
from metacli.engine.predict import predict

pytestmark = [
    pytest.mark.cuda,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU"),
    pytest.mark.usefixtures("workplace"),
]
QUICK = ("train.steps=3", "evaluate.every=3", "evaluate.episodes=2")
CLASSES_TOO = set(names("meta")) - {"joint", "oracle"}


def close(one: Path | str, other: Path | str, atol: float = 1e-3) -> None:
    a, b = (weights(f"{run}/model") for run in (one, other))
    assert a.keys() == b.keys()
    for name, value in a.items():
        torch.testing.assert_close(value, b[name], atol=atol, rtol=1e-2)


@pytest.mark.parametrize("execution", ["loop", "vmap", "auto"])
@pytest.mark.parametrize("learner", ["protonet", "maml", "r2d2"])
def test_training_gives_the_parameters_of_the_cpu(learner: str, execution: str) -> None:
    settings = [*QUICK, f"algorithm.name={learner}", "train.optimizer=sgd", "train.lr=0.01"]
    name = small_runs.recipe()
    meta_train(name, [*settings, "train.execution=loop"], out="cpu", device="cpu")
    meta_train(name, [*settings, f"train.execution={execution}"], out="gpu", device="cuda")
    assert facts("gpu")["device"] == "cuda"
    assert facts("gpu")["chip"]
    close("cpu", "gpu")


@pytest.mark.parametrize("learner", sorted(CLASSES_TOO))
def test_every_learner_trains_and_adapts_on_it(learner: str) -> None:
    settings = [*QUICK, f"algorithm.name={learner}"]
    try:
        meta_train(small_runs.recipe(), settings, out="gpu", device="cuda")
    except Exception as error:  # a learner of other tasks says so, on the CPU too
        if "classification" in str(error) or "labels" in str(error):
            pytest.skip(str(error))
        raise
    write_classes(Path("task"), {"ant": 3, "bee": 3, "cat": 3}, size=28)
    adapt("gpu", "task", out="adapted", device="cuda", compare=False)
    pictures = sorted(Path("task").rglob("*.png"))
    here, there = (
        [row["probabilities"] for row in predict("adapted", pictures, device=device)["rows"]]
        for device in ("cpu", "cuda")
    )
    for a, b in zip(here, there, strict=True):
        assert a == pytest.approx(b, abs=1e-3)


@pytest.mark.parametrize("precision", ["bfloat16", "tf32"])
def test_fewer_bits_are_an_option_that_ends_with_the_run(precision: str) -> None:
    before = torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32
    settings = [*QUICK, f"train.precision={precision}"]
    result = meta_train(small_runs.recipe(), settings, out="gpu", device="cuda")
    assert result["status"] == "finished"
    assert before == (torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32)


def test_a_resumed_run_has_the_bits_of_one_that_was_not() -> None:
    name = small_runs.recipe()
    meta_train(name, [*QUICK, "train.steps=6"], out="whole", device="cuda")
    meta_train(name, list(QUICK), out="parts", device="cuda")
    meta_train(resume="parts", overrides=["train.steps=6"])
    close("whole", "parts", atol=1e-5)


def test_scores_are_those_of_the_cpu(finished: Path) -> None:
    asked: dict[str, Any] = {"episodes": 10, "way": 3, "query": 2}
    here = evaluate(finished, out="a.jsonl", device="cpu", **asked)
    there = evaluate(finished, out="b.jsonl", device="cuda", **asked)
    assert there["mean"] == pytest.approx(here["mean"], abs=0.05)


@pytest.mark.parametrize("format", ["pt2", "onnx"])
def test_what_was_trained_on_it_is_exported_and_agrees(format: str) -> None:
    meta_train(small_runs.recipe(), list(QUICK), out="gpu", device="cuda")
    write_classes(Path("task"), {"ant": 3, "bee": 3}, size=28)
    adapt("gpu", "task", out="adapted", device="cuda", compare=False)
    result = export("adapted", format=format, out=f"model.{format}")
    assert result["parity"]["max_abs"] < 1e-4


@pytest.mark.parametrize("surgery", [[], ["surgery.name=mgda"]])
def test_many_tasks_train_on_it(surgery: list[str]) -> None:
    settings = ["train.steps=20", "evaluate.every=10", *surgery]
    for device in ("cpu", "cuda"):
        multitask("task-families-hard", settings, out=device, device=device)
    one, other = (weights(f"{run}/state/step-20", "params.safetensors") for run in ("cpu", "cuda"))
    for name, value in one.items():
        torch.testing.assert_close(value, other[name], atol=1e-2, rtol=1e-2)


def test_doctor_says_how_much_memory_there_is() -> None:
    gpu = next(one for one in doctor()["devices"] if one["name"].startswith("cuda"))
    assert gpu["ok"]
    assert 0 < gpu["free_bytes"] <= gpu["bytes"]
