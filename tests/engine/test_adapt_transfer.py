"""Transfer methods from the command's point of view: chosen inside the support, saved, loaded,
predicted, evaluated and exported like a learner's own adaptation."""

from __future__ import annotations

from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pytest
import torch
import toys
from tiny_models import saved, tiny_model, write_classes

from metacli.algorithms import ALGORITHMS, names
from metacli.algorithms.transfer.fine_tune import FineTune
from metacli.algorithms.transfer.linear_probe import LinearProbe
from metacli.engine.adapt import adapt
from metacli.engine.adapting import transfer
from metacli.engine.adapting.splits import stratified_folds
from metacli.engine.evaluate import evaluate
from metacli.engine.export import export
from metacli.engine.models import folder as models
from metacli.engine.predict import predict
from metacli.errors import RecipeError
from metacli.types import Batch

pytestmark = pytest.mark.usefixtures("workplace")
# Of classes; those for numbers alone are in test_adapt_tables.
USUAL = ("linear-probe", "lp-ft", "ridge", "logistic", "prototype")  # others: make test-all
# Of networks: `in-context` has one of its own (test_tables_prior).
WAYS = [
    name
    for name in names("transfer")
    if name != "in-context" and "classification" in ALGORITHMS[name].learner().kinds
]
FEW = {"fine-tune": ["steps=3"], "lp-ft": ["steps=3"], "l2-sp": ["steps=3", "alpha=0.1"]}
COUNTS = {"ant": 4, "bee": 3, "cat": 4}


@pytest.fixture
def model() -> str:
    return saved(tiny_model(), Path("source"))


@pytest.mark.parametrize(
    "method",
    [pytest.param(one, marks=[] if one in USUAL else [pytest.mark.slow]) for one in WAYS],
)
def test_a_model_is_saved_loaded_and_answers_as_it_did(model: str, method: str) -> None:
    write_classes(Path("task/support"), COUNTS)
    write_classes(Path("task/query"), dict.fromkeys(COUNTS, 3), seed=1)
    result = adapt(model, "task", FEW.get(method, ()), method=method, out="mine", baseline=True)
    assert result["method"] == method
    made = models.load(Path("mine"))
    assert made.learner() == ALGORITHMS[method].load()(**result["options"])
    assert None not in asdict(made.learner()).values()
    again = evaluate("mine", "task")
    assert again["mean"] == result["score"]["value"]
    rows = predict("mine", "task/query")["rows"]
    assert all(abs(sum(row["probabilities"].values()) - 1) < 1e-6 for row in rows)
    one = predict("mine", rows[4]["input"])["rows"][0]
    for label, chance in one["probabilities"].items():
        assert chance == pytest.approx(rows[4]["probabilities"][label], abs=1e-5)
    hits = sum(Path(row["input"]).parent.name == row["prediction"] for row in rows)
    assert hits / len(rows) == pytest.approx(result["score"]["value"])
    against = {one["baseline"]["name"] for one in result["transfer"]["all"]}
    assert "the same network from scratch" in against


@pytest.mark.slow
@pytest.mark.parametrize("format", ["pt2", "onnx"])
@pytest.mark.parametrize("method", WAYS)
def test_every_way_is_exported_with_parity(model: str, method: str, format: str) -> None:
    write_classes(Path("task"), COUNTS)
    adapt(model, "task", FEW.get(method, ()), method=method, out="mine")
    assert export("mine", format=format)["parity"]["max_abs"] <= 1e-5


def test_a_linear_probe_is_exported_with_parity(model: str) -> None:
    write_classes(Path("task"), COUNTS)
    adapt(model, "task", method="linear-probe", out="mine")
    assert export("mine", format="pt2")["parity"]["max_abs"] <= 1e-5


def test_fields_are_checked_and_what_is_given_is_kept(model: str) -> None:
    write_classes(Path("task"), COUNTS)
    result = adapt(model, "task", ["lr=0.002", "steps=2"], method="fine-tune", out="mine")
    assert result["options"] == {"lr": 0.002, "steps": 2, "head_rate": 10.0}
    with pytest.raises(RecipeError) as caught:
        adapt(model, "task", ["stepps=2"], method="fine-tune")
    assert "algorithm.steps" in str(caught.value.hint)
    with pytest.raises(RecipeError):
        adapt(model, "task", ["lr=-1"], method="fine-tune")


def task(shots: int = 6) -> tuple:
    problem = toys.conv_problem(None, width=8)
    support = toys.task(toys.pictures(1, 3, shots)).support
    return problem, toys.shaken(problem), support


@pytest.mark.parametrize(
    "learner", [LinearProbe(), FineTune(lr=1e-2)], ids=lambda one: type(one).__name__
)
@pytest.mark.slow
def test_settings_are_those_with_the_smallest_loss_on_folds_of_the_support(learner) -> None:
    problem, params, support = task()
    found = transfer.settled(learner, problem, params, {}, support)
    splits = stratified_folds(support.y.numpy(), 0, transfer.FOLDS)
    every = [one for one, _ in learner.explore(problem, params, support, {}, support.x[:1])]
    losses = []
    for one in every:
        total = 0.0
        for split in splits:
            part = Batch(support.x[split.support], support.y[split.support])
            phi = one.adapt(problem, params, part, {})
            logits = one.predict(problem, phi, support.x[split.query])
            total += float(
                torch.nn.functional.cross_entropy(logits, support.y[split.query], reduction="sum")
            )
        losses.append(total)
    assert found == every[int(np.argmin(losses))]
    assert len(every) > 2


def test_a_support_of_one_example_each_takes_the_usual_settings() -> None:
    problem, params, support = task(1)
    for name in WAYS:
        learner = ALGORITHMS[name].load()()
        assert transfer.settled(learner, problem, params, {}, support) == learner.usual()


def test_a_setting_is_picked_without_the_examples_that_are_scored(
    model: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nested: in every fold anew, on its support alone."""
    write_classes(Path("task"), {"ant": 4, "bee": 4})
    seen: list[int] = []
    whole = transfer.settled

    def spy(learner, problem, params, state, support, seed=0):
        seen.append(len(support.y))
        return whole(learner, problem, params, state, support, seed)

    monkeypatch.setattr("metacli.engine.adapting.scoring.settled", spy)
    result = adapt(model, "task", method="linear-probe", out="mine")
    assert result["score"]["how"] == "kfold:4"
    assert seen == [6] * 12  # the folds are dealt three times
    seen.clear()
    adapt(model, "task", ["steps=1"], method="fine-tune", out="tuned")
    assert seen == [6] * 4  # each trains the network under every setting


def test_a_classifiers_head_does_not_go_along_but_its_network_does() -> None:
    source = tiny_model({"name": "pretrain", "classes": 3}, way=3)
    start = transfer.starting_point(source.params, source.learner())
    assert not any(name.startswith("head.") for name in start)
    meta = tiny_model({"name": "maml", "first_order": True}, way=3)
    assert set(transfer.starting_point(meta.params, meta.learner())) == set(meta.params)


def test_a_model_of_the_first_version_with_prototypes_is_still_read(model: str) -> None:
    """Its fields stood among the recipe's."""
    import json

    from metacli.engine.storage.writer import write_folder

    write_classes(Path("task"), COUNTS)
    adapt(model, "task", ["distance=cosine"], method="prototype", out="mine")
    document = json.loads(Path("mine/model.json").read_text())
    del document["options"]
    document["recipe"]["evaluate"] |= {"distance": "cosine", "scale": 3.0}
    files = {"weights.safetensors": Path("mine/weights.safetensors").read_bytes()}
    files |= {"model.json": json.dumps(document).encode(), "README.md": b"old"}
    write_folder(Path("old"), files, replace=False)
    old = models.load(Path("old")).learner()
    assert (old.distance, old.scale) == ("cosine", 3.0)
    assert replace(old, scale=10.0) == models.load(Path("mine")).learner()


@pytest.mark.parametrize("norm", ["group", "running"])
def test_a_network_from_scratch_is_random_and_learns_its_support(norm: str) -> None:
    problem = toys.conv_problem(None, width=8, norm=norm)
    params = toys.shaken(problem)
    torch.manual_seed(5)
    wanted = torch.rand(2)
    torch.manual_seed(5)
    first = transfer.from_scratch(problem, params, seed=0)
    assert torch.equal(torch.rand(2), wanted)
    toys.assert_bits(transfer.from_scratch(problem, params, seed=0), first)
    assert {n: (v.shape, v.dtype) for n, v in first.items()} == {
        n: (v.shape, v.dtype) for n, v in params.items()
    }
    assert all(not torch.equal(first[n], params[n]) for n in problem.trainable)
    support = toys.task(toys.pictures(1)).support
    own = replace(problem, statistics="support" if norm == "running" else "none")
    phi = FineTune(lr=1e-2, steps=40, head_rate=1.0).adapt(own, first, support, {})
    assert own.predict(phi, support.x).argmax(1).tolist() == support.y.tolist()
