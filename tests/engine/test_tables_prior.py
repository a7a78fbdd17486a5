"""`tables-prior`: known weights, a source and a candidate of `adapt`, and a model that is saved,
evaluated and exported with its support inside."""

from __future__ import annotations

import csv
import hashlib
from dataclasses import replace
from importlib.resources import files
from pathlib import Path

import numpy as np
import pytest
import torch

from metacli.algorithms.transfer.in_context import ANSWERS, CELLS, NETWORK, PRIOR, InContext
from metacli.data.catalogue import table_prior
from metacli.data.catalogue.heads import FOLDER
from metacli.data.tables.encoding import Encoding, Numeric
from metacli.data.tables_prior.generated import VERSION, GeneratedTables
from metacli.engine.adapt import adapt
from metacli.engine.adapting.tables.prior_source import MOST_CLASSES, MOST_COLUMNS, MOST_ROWS, suits
from metacli.engine.evaluate import evaluate
from metacli.engine.export import export
from metacli.engine.models import folder as models
from metacli.engine.predict import predict
from metacli.errors import DataError, UsageProblem
from metacli.nn.backbones.cells import Cells
from metacli.nn.problem import Problem, make_module
from metacli.nn.tables.labels import of_classes, of_values
from metacli.types import Batch

pytestmark = pytest.mark.usefixtures("workplace")
MOST = 5 * 2**20  # bytes of the weights
LEARNED = 20  # groups of generated tables that no weights were trained on


def write(path: str, rows: int, seed: int = 0) -> str:
    """Numbers, a word and missing cells; the label and the value depend on all of them."""
    draw, made = np.random.default_rng(seed), []
    for number in range(rows):
        a, b = draw.normal(size=2).round(3)
        kind = ("red", "green", "blue")[int(draw.integers(3))]
        value = a + 2 * (kind == "red") + 0.1 * draw.normal()
        label = "high" if value > 0.6 else "low"
        made.append([a, "" if number % 7 == 3 else b, kind, label, round(3 * value + 50, 4)])
    with Path(path).open("w", newline="") as file:
        csv.writer(file).writerows([["a", "b", "kind", "label", "value"], *made])
    return path


def test_the_weights_are_the_file_that_is_known() -> None:
    path = f"{table_prior.PRIOR.name}.safetensors"
    content = files("metacli.data.catalogue").joinpath(FOLDER, path).read_bytes()
    assert hashlib.sha256(content).hexdigest() == table_prior.PRIOR.sha256
    assert len(content) == table_prior.PRIOR.bytes <= MOST
    assert table_prior.PRIOR.generator == VERSION
    shapes = {name: one.shape for name, one in table_prior.prior_tensors().items()}
    assert shapes == NETWORK.shapes


def test_another_file_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(table_prior, "PRIOR", replace(table_prior.PRIOR, sha256="0" * 64))
    with pytest.raises(DataError, match="not those that metacli knows"):
        table_prior.prior_tensors.__wrapped__()


@torch.no_grad()
def test_it_knows_more_of_generated_tables_than_their_shares_and_means() -> None:
    """On a stream that it was not trained on: the log loss of classes beside their shares in the
    support, and the squared error of values beside their mean."""
    weights = {k: torch.from_numpy(v) for k, v in table_prior.prior_tensors().items()}
    source, loss, plain = GeneratedTables(("test", 1), rows=(20, 60)), [], []
    for group in range(LEARNED):
        made = source.at(group)
        cells, y = torch.from_numpy(made.cells[:4]), torch.from_numpy(made.y[:4])
        known, asked = y[:, : made.shape.support], y[:, made.shape.support :]
        if made.shape.classes:
            member = torch.nn.functional.one_hot(known.long(), made.shape.classes).float()
            labels, truth = of_classes(member), asked.long()[..., None]
            said = torch.log_softmax(NETWORK.logits(weights, cells, labels), -1)
            loss.append(-float(said.gather(2, truth).mean()))
            shares = labels.share[:, None, :, 0].log().expand_as(said)
            plain.append(-float(shares.gather(2, truth).mean()))
    assert len(loss) > 5
    assert np.mean(loss) < 0.93 * np.mean(plain)


@pytest.mark.parametrize(("target", "metric"), [("label", "accuracy"), ("value", "mae")])
def test_a_table_is_answered_with_its_labels_inside(target: str, metric: str) -> None:
    write("mine.csv", 40)
    columns = ["a", "b", "kind"]
    found = adapt("tables-prior", "mine.csv", target=target, input=columns, folds=3, out="m")
    assert (found.method, found.score.metric) == ("in-context", metric)
    made = models.load(Path("m"))
    assert made.learner() == InContext()
    assert made.params[CELLS].shape == (40, 3, 2)
    assert len(made.params[ANSWERS]) == 40
    rows = predict("m", write("new.csv", 30, seed=1))["rows"]
    one = predict("m", write("one.csv", 1, seed=1))["rows"][0]
    if target == "label":
        assert evaluate("m", "new.csv")["mean"] > 0.8
        assert one["probabilities"]["low"] == pytest.approx(
            rows[0]["probabilities"]["low"], abs=1e-5
        )
    else:
        assert evaluate("m", "new.csv")["mean"] < 2.5
        assert float(one["prediction"]) == pytest.approx(float(rows[0]["prediction"]), rel=1e-5)


@pytest.mark.slow
def test_an_export_has_the_support_inside_and_answers_as_the_model() -> None:
    pytest.importorskip("onnxruntime", reason="the extra [onnx] is missing")
    write("mine.csv", 30)
    adapt("tables-prior", "mine.csv", target="label", input=["a", "b", "kind"], folds=2, out="m")
    made = export("m", format="onnx", out="m.onnx")
    assert made["parity"]["max_abs"] <= 1e-5
    assert made["outputs"][0]["shape"] == ["batch", 2]


def test_the_network_goes_with_its_method_alone() -> None:
    write("mine.csv", 20)
    with pytest.raises(UsageProblem, match="not for tables-prior"):
        adapt("tables-prior", "mine.csv", target="label", method="ridge", out="m")
    with pytest.raises(UsageProblem, match="for the network tables-prior"):
        adapt("features", "mine.csv", target="label", method="in-context", out="m")
    bare = make_module(torch.nn.Identity(), torch.nn.Identity())
    problem = Problem(bare, 2, "classification", head=None)
    support = Batch(torch.zeros(2, 2), torch.tensor([0, 1]))
    with pytest.raises(UsageProblem, match="weights of its network"):
        InContext().adapt(problem, {}, support)


def test_tables_that_it_is_not_for_are_left_to_others() -> None:
    few = Encoding(tuple(Numeric(str(n), 0.0, 1.0, missing=False) for n in range(MOST_COLUMNS)))
    wide = Encoding((*few.columns, Numeric("more", 0.0, 1.0, missing=False)))
    names = [str(n) for n in range(MOST_CLASSES)]
    assert suits(few, MOST_ROWS, names)
    assert not suits(few, MOST_ROWS + 1, names)
    assert not suits(wide, MOST_ROWS, names)
    assert not suits(few, MOST_ROWS, [*names, "more"])


def test_cells_are_read_off_the_numbers_of_columns() -> None:
    module, features = Cells(widths=(1, 2, 3), categories=(2,)).build((6,))
    x = torch.tensor([[0.5, -1.0, 0.0, 0.0, 1.0, 0.0], [2.0, 0.0, 1.0, 0.0, 0.0, 1.0]])
    found = module(x).unflatten(-1, (-1, 2))
    assert features == 6
    assert found.tolist() == [[[0.5, 0], [-1, 0], [1, 1]], [[2, 0], [0, 2], [0, 2]]]


def test_the_answer_is_that_of_the_network_on_these_cells() -> None:
    """Of values in their own unit: the mean of the mixture, moved back."""
    draw = torch.Generator().manual_seed(0)
    x, y = (torch.randn(12, n, generator=draw, dtype=torch.float64) for n in (3, 1))
    bare = make_module(torch.nn.Identity(), torch.nn.Identity())
    weights = NETWORK.init(1, torch.float64)
    params = {PRIOR + name: one for name, one in weights.items()}
    problem = Problem(bare, 3, "regression", head=None)
    phi = InContext().adapt(problem, params, Batch(x[:8], 5 * y[:8] + 20))
    said = InContext().predict(problem, phi, x[8:])
    cells = torch.stack([x, torch.zeros_like(x)], -1)[None]
    mixture = NETWORK.mixture(weights, cells, of_values(y[:8].T))
    wanted = 5 * (mixture.mean[0] * y[:8].std(unbiased=False) + y[:8].mean()) + 20
    torch.testing.assert_close(said[:, 0], wanted, rtol=0, atol=1e-9)
