"""Meta-training on generated tables: the direction, a run that stops and goes on, and what becomes
of its network."""

from __future__ import annotations

import csv
import os
import signal
from pathlib import Path

import numpy as np
import pytest
import torch
from small_runs import at_step

from metacli.algorithms.meta.tables_prior import FARTHEST, TablesPrior
from metacli.algorithms.transfer.in_context import NETWORK, PRIOR
from metacli.data.tables_prior.generated import GeneratedTables
from metacli.engine.adapt import adapt
from metacli.engine.evaluate import evaluate
from metacli.engine.events import ignore
from metacli.engine.generated_tables.fitting import Group, PriorFitting, table_losses
from metacli.engine.generated_tables.run import group_of
from metacli.engine.generated_tables.scorer import LABELS, labels_alone
from metacli.engine.meta_train import meta_train
from metacli.engine.models.opening import open_model
from metacli.engine.predict import predict
from metacli.engine.report import report
from metacli.errors import Interrupted, RecipeError, UsageProblem
from metacli.nn.problem import Problem, make_module
from metacli.nn.tables.labels import moments, of_classes, of_values
from metacli.types import Params

pytestmark = pytest.mark.usefixtures("workplace", "signals_heard", "one_thread")
RECIPE, CPU = "generated-tables-prior", torch.device("cpu")
SHORT = ("episodes.shot=[5,9]", "train.steps=4", "evaluate.every=2", "evaluate.episodes=3")


def weights_in(run: str) -> Params:
    return dict(open_model(run, CPU, ignore).model.params)


def two_groups() -> tuple[Group, Group]:
    """The first with classes, and the first of values."""
    source, found = GeneratedTables(("test", 3), rows=(5, 9)), {}
    for number in range(20):
        group = group_of(source, number, CPU, 2)
        found.setdefault(group.classes > 0, group)
    return found[True], found[False]


def test_the_loss_is_minus_the_log_of_what_is_said_of_each_row() -> None:
    params = {PRIOR + name: one for name, one in NETWORK.init(1).items()}
    weights = NETWORK.init(1)
    for group in two_groups():
        for table, found in enumerate(table_losses(params, group)):
            one = one_table(group, table)
            known, asked = one.y[:, : one.support], one.y[:, one.support :]
            total = 0.0
            if one.classes:
                shares = torch.nn.functional.one_hot(known.long(), one.classes).float()
                said = NETWORK.logits(weights, one.cells, of_classes(shares)).softmax(-1)[0]
                for row, label in enumerate(asked[0].long().tolist()):
                    total -= float(said[row, label].log())
            else:
                mean, scale = moments(known)
                z = ((asked - mean) / scale).clamp(-FARTHEST, FARTHEST)
                mixture = NETWORK.mixture(weights, one.cells, of_values(known))
                for row, value in enumerate(z[0]):
                    each = torch.distributions.Normal(mixture.means[0, row], mixture.scales[0, row])
                    density = (mixture.logs[0, row].exp() * each.log_prob(value).exp()).sum()
                    total -= float(density.log())
            assert float(found) == pytest.approx(total / asked.shape[1], rel=1e-4)


def one_table(group: Group, table: int) -> Group:
    keep = slice(table, table + 1)
    return group._replace(cells=group.cells[keep], y=group.y[keep])


def test_a_step_is_the_mean_over_its_groups() -> None:
    params = {PRIOR + name: one for name, one in NETWORK.init(0).items()}
    problem = Problem(
        make_module(torch.nn.Identity(), torch.nn.Identity()), 2, "classification", head=None
    )
    method, rng, groups = PriorFitting(TablesPrior()), torch.Generator(), two_groups()
    found = method.direction(problem, params, groups, {}, rng)
    theta = {name: one.clone().requires_grad_() for name, one in params.items()}
    loss = torch.stack([table_losses(theta, one).mean() for one in groups]).mean()
    loss.backward()
    assert float(found.metrics["query_loss"]) == pytest.approx(float(loss.detach()))
    for name, one in theta.items():
        wanted = torch.zeros_like(one) if one.grad is None else one.grad
        torch.testing.assert_close(found.direction[name], wanted, rtol=1e-4, atol=1e-6)


def test_labels_alone_are_shares_or_a_gaussian() -> None:
    classes, values = two_groups()
    known, asked = classes.y[0, : classes.support], classes.y[0, classes.support :]
    shares = [
        (float((known == one).sum()) + 1) / (classes.support + classes.classes)
        for one in range(classes.classes)
    ]
    wanted = -np.mean([np.log(shares[int(one)]) for one in asked])
    assert float(labels_alone(classes)[0]) == pytest.approx(wanted, rel=1e-5)
    assert labels_alone(values).shape == (2,)


def test_a_run_that_was_stopped_makes_the_same_weights() -> None:
    meta_train(RECIPE, SHORT, out="whole")
    stop = at_step(3, lambda: os.kill(os.getpid(), signal.SIGTERM))
    with pytest.raises(Interrupted):
        meta_train(RECIPE, SHORT, out="parts", report=stop)
    meta_train(resume="parts")
    one, other = weights_in("whole"), weights_in("parts")
    fresh = NETWORK.init(0)
    assert one.keys() == other.keys() == {PRIOR + name for name in fresh}
    assert all(bool((one[name] == other[name]).all()) for name in one)
    assert any(bool((one[PRIOR + name] != fresh[name]).any()) for name in fresh)


def test_its_network_answers_a_table_and_is_measured() -> None:
    found = meta_train(RECIPE, SHORT, out="run")
    assert "val_log_loss" in found["metrics"]
    measured = evaluate("run", episodes=4)
    assert measured["metric"] == "log_loss"
    assert LABELS in measured["baselines"]
    assert evaluate("run", episodes=4)["mean"] == measured["mean"]
    assert evaluate("run", episodes=4, seed=1)["mean"] != measured["mean"]
    report("run", out="page.html")
    assert "None" not in Path("page.html").read_text()
    draw = np.random.default_rng(0)
    with Path("t.csv").open("w", newline="") as file:
        rows = [
            [f"{a:.3f}", k, f"{2 * a + 0.5:.4f}"]
            for a, k in zip(draw.normal(size=30), "xyz" * 10, strict=True)
        ]
        csv.writer(file).writerows([["a", "k", "value"], *rows])
    made = adapt("run", "t.csv", target="value", folds=2, out="mine")
    assert made.method == "native"
    assert len(predict("mine", "t.csv")["rows"]) == 30
    with pytest.raises(UsageProblem, match="measured on others"):
        evaluate("run", "t.csv")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("episodes.way=5", "2 to 10 classes"),
        ("episodes.shot=[5,300]", "5 to 200 rows"),
        ("episodes.query=10", "24 rows"),
        ("baselines=[joint]", "nothing else learns"),
    ],
)
def test_what_the_generator_does_not_make_is_said(words: str, said: str) -> None:
    with pytest.raises(RecipeError, match=said):
        meta_train(RECIPE, [*SHORT, words], out="run")


def test_no_other_learner_is_for_tables_without_anything_in_common() -> None:
    text = (Path(__file__).parents[2] / "recipes" / f"{RECIPE}.yaml").read_text()
    Path("other.yaml").write_text(text.replace("tables-prior, start: fresh", "protonet"))
    with pytest.raises(RecipeError, match="nothing in common"):
        meta_train("other.yaml", SHORT, out="run")
