"""Probabilities that mean what they say, and the limit beyond which there is no label."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.optimize import minimize_scalar
from tiny_models import adapted_model, random_pictures, saved, tiny_model, write_classes

from metacli.engine.adapt import adapt
from metacli.engine.adapting import calibration
from metacli.engine.evaluate import evaluate
from metacli.engine.export import export
from metacli.engine.models.folder import load
from metacli.engine.models.parts import Calibration, Confidence
from metacli.engine.predict import predict
from metacli.engine.predicting.example_predict import unlike
from metacli.engine.predicting.rows import probabilities

pytestmark = pytest.mark.usefixtures("workplace")


def drawn(n: int, scale: float, seed: int = 0, classes: int = 4) -> tuple[np.ndarray, np.ndarray]:
    """Logits that are `scale` times too large for the labels drawn from them."""
    rng = np.random.default_rng(seed)
    true = 2 * rng.standard_normal((n, classes))
    chances = calibration.softmax(true)
    y = np.array([rng.choice(classes, p=one) for one in chances])
    return scale * true, y


@pytest.mark.parametrize("scale", [0.4, 1.0, 3.0])
def test_the_temperature_undoes_a_scale(scale: float) -> None:
    logits, y = drawn(6000, scale)
    assert calibration.temperature(logits, y, len(y)) == pytest.approx(scale, rel=0.08)


@pytest.mark.parametrize("seed", range(4))
def test_the_temperature_is_the_minimum_that_scipy_finds(seed: int) -> None:
    logits, y = drawn(25, 2.0, seed)
    n, classes = logits.shape
    targets = np.full((n, classes), 1 / (2 * (n + 1) * (classes - 1)))
    targets[np.arange(n), y] = (2 * n + 1) / (2 * n + 2)
    assert targets.sum(1) == pytest.approx(np.ones(n))

    def loss(t: float) -> float:
        z = torch.from_numpy(logits) / t
        return -float((torch.from_numpy(targets) * torch.log_softmax(z, 1)).sum())

    best = minimize_scalar(loss, bounds=calibration.LIMITS, method="bounded")
    assert loss(calibration.temperature(logits, y, n)) <= best.fun + 1e-9


def test_a_few_right_answers_give_no_certainty() -> None:
    logits = 30 * np.eye(5)[np.arange(20) % 5]
    made = calibration.temperature(logits, np.arange(20) % 5, 20)
    top = calibration.softmax(logits, made).max(1)
    assert top == pytest.approx(np.full(20, 41 / 42), abs=1e-3)


def test_what_there_are_too_few_examples_for_is_left_out() -> None:
    def learned(n: int) -> set[str]:
        logits, y = drawn(n, 1.0)
        found = calibration.Answered(logits, y, (n,))
        return set(calibration.learned_from(found).as_dict())

    assert [learned(n) for n in (9, 10, 19, 20)] == [
        *(set(), {"reject"}, {"reject"}),
        {"reject", "calibration"},
    ]


def test_without_two_mistakes_there_is_no_temperature() -> None:
    logits = 5 * np.eye(4)[np.arange(40) % 4]
    for wrong, expected in ((1, set()), (2, {"calibration"})):
        y = np.arange(40) % 4
        y[:wrong] += 1
        found = calibration.Answered(logits, y, (40,))
        assert set(calibration.learned_from(found).as_dict()) - {"reject"} == expected


def test_the_limit_is_the_logit_that_nineteen_in_twenty_reach() -> None:
    top = np.random.default_rng(0).permutation(np.arange(101.0))
    logits = np.stack([top, np.full(101, 50.0)], 1)  # the other class is as near as the own one
    found = calibration.Answered(logits, np.zeros(101, int), (101,))
    assert calibration.limit_of(found) == pytest.approx(np.quantile(np.maximum(top, 50), 0.05))


def test_a_gap_to_the_other_classes_is_left_half_open() -> None:
    top = np.random.default_rng(0).permutation(np.arange(101.0))
    logits = np.stack([top, np.full(101, -1.0)], 1)
    found = calibration.learned_from(calibration.Answered(logits, np.zeros(101, int), (101,)))
    assert found.as_dict()["reject"]["logit"] == pytest.approx((5.0 - 1.0) / 2)
    model = replace(adapted_model(tiny_model()), confidence=found)
    known = unlike(model, torch.tensor([[1.9, -9.0], [-1.0, 2.1]]))
    assert known.tolist() == [True, False]


def test_lines_that_are_much_alike_do_not_refuse_what_differs_more() -> None:
    """Held-out examples are at most 1 from their class and 20 from the other: 5 is known still."""
    rng = np.random.default_rng(0)
    y = np.arange(18) % 2
    logits = np.full((18, 2), -20.0) - rng.random((18, 2))
    logits[np.arange(18), y] = -rng.random(18)
    limit = calibration.limit_of(calibration.Answered(logits, y, (18,)))
    assert -12 < limit < -8


def adapted_by_verb(count: int = 8) -> dict:
    saved(tiny_model(), Path("source"))
    write_classes(Path("task"), {"a": count, "b": count, "c": count})
    return adapt("source", "task", out="mine", device="cpu")


def test_held_out_support_sets_the_temperature_and_the_result_says_so() -> None:
    result = adapted_by_verb()
    said, model = result["calibration"], load(Path("mine"))
    assert said["examples"] == 24
    assert model.confidence.as_dict()["calibration"] == said
    assert model.confidence.temperature == said["temperature"] != 1
    assert said["log_loss"] <= said["log_loss_before"] + 1e-2  # its targets are smoothed
    x = torch.from_numpy(random_pictures(5, model.inputs.shape, seed=3))
    with torch.no_grad():
        logits = model.learner().predict(model.problem(), model.params, x)
    expected = torch.softmax(logits / said["temperature"], 1)
    torch.testing.assert_close(probabilities(model, x), expected)


def test_too_small_a_support_is_not_calibrated() -> None:
    result = adapted_by_verb(4)
    assert result["calibration"] is None
    assert result["reject"]["examples"] == 12
    assert load(Path("mine")).confidence.temperature == 1


def test_no_label_changes_and_log_loss_is_that_of_the_rows() -> None:
    adapted_by_verb()
    other = write_classes(Path("more"), {"a": 5, "b": 5, "c": 5}, seed=4)
    model = load(Path("mine"))
    plain = replace(model, confidence=replace(model.confidence, calibration=None))
    saved(plain, Path("plain"))
    with_t, without = (predict(name, str(other))["rows"] for name in ("mine", "plain"))
    assert [row["prediction"] for row in with_t] == [row["prediction"] for row in without]
    assert with_t[0]["probabilities"] != without[0]["probabilities"]
    right = [row["probabilities"][Path(row["input"]).parent.name] for row in with_t]
    result = evaluate("mine", str(other))
    assert result["log_loss"] == pytest.approx(-float(np.mean(np.log(right))), rel=1e-5)
    assert 0 <= result["macro_f1"] <= 1


@pytest.mark.parametrize("temperature", [0.3, 4.0])
def test_an_export_gives_the_calibrated_probabilities(temperature: float) -> None:
    model = adapted_model(tiny_model())
    confidence = Confidence(Calibration(temperature, 30))
    saved(replace(model, confidence=confidence), Path("mine"))
    result = export("mine", format="pt2", out="mine.pt2")
    assert result["parity"]["max_abs"] <= 1e-5
    x = torch.from_numpy(random_pictures(6, model.inputs.shape, seed=8))
    program = torch.export.load("mine.pt2").module()
    found = program(x.float())
    found = found[0] if isinstance(found, tuple) else found
    with torch.no_grad():
        logits = model.learner().predict(model.problem(), model.params, x)
    torch.testing.assert_close(found, torch.softmax(logits / temperature, 1), atol=1e-5, rtol=0)


def test_a_model_of_the_first_versions_rejects_by_its_probability() -> None:
    saved(replace(adapted_model(tiny_model()), confidence=Confidence(reject=1.0)), Path("old"))
    x = write_classes(Path("task"), {"a": 2})
    rows = predict("old", str(x), reject="auto")["rows"]
    assert [row["prediction"] for row in rows] == ["none of these"] * 2
