"""Models of transductive methods answer alone, or together where that is asked for."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from tiny_models import CLASSES, saved, tiny_model, write_classes

from metacli.engine.adapt import adapt
from metacli.engine.evaluate import evaluate
from metacli.engine.predict import predict
from metacli.errors import UsageProblem

pytestmark = pytest.mark.usefixtures("workplace")


@pytest.fixture(params=["bd-cspn", "tim"])
def model(request: pytest.FixtureRequest) -> str:
    source = saved(tiny_model(), Path("source"))
    adapt(
        source,
        write_classes(Path("task"), dict.fromkeys(CLASSES, 4)),
        method=request.param,
        out="m",
        compare=False,
    )
    return "m"


def test_answers_together_depend_on_what_else_is_asked_and_others_do_not(model: str) -> None:
    paths = sorted(
        str(one)
        for one in write_classes(Path("new"), dict.fromkeys(CLASSES, 5), seed=1).rglob("*.png")
    )

    def chances(asked: list[str], *, together: bool) -> np.ndarray:
        rows = predict(model, asked, together=together)["rows"]
        return np.array([list(row["probabilities"].values()) for row in rows])

    alone = chances(paths, together=False)
    np.testing.assert_allclose(chances(paths[:3], together=False), alone[:3], atol=1e-6)
    whole, few = chances(paths, together=True), chances(paths[:3], together=True)
    assert np.abs(whole[:3] - few).max() > 1e-4
    assert np.abs(whole - alone).max() > 1e-4
    np.testing.assert_allclose(chances(paths[::-1], together=True)[::-1], whole, atol=1e-4)


def test_evaluate_gives_both(model: str) -> None:
    new = write_classes(Path("new"), dict.fromkeys(CLASSES, 5), seed=1)
    found = evaluate(model, str(new))
    rows = predict(model, str(new), together=True)["rows"]
    right = np.mean([row["prediction"] == Path(row["input"]).parent.name for row in rows])
    assert found["transductive"]["mean"] == pytest.approx(right)
    assert found["inductive"]["mean"] == found["mean"]


def test_other_models_refuse_to_answer_together() -> None:
    source = saved(tiny_model(), Path("source"))
    task = write_classes(Path("task"), dict.fromkeys(CLASSES, 4))
    adapt(source, task, out="plain", compare=False)
    with pytest.raises(UsageProblem, match="bd-cspn and tim"):
        predict("plain", str(task), together=True)
