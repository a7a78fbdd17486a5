"""TablesPrior against the network by itself and its loss written out, and on tables of a user."""

from __future__ import annotations

import csv
import math
from pathlib import Path

import numpy as np
import pytest
import torch
import toys

from metacli.algorithms.meta.tables_prior import BIAS, MOMENTS, WEIGHT, TablesPrior, residuals
from metacli.algorithms.transfer.in_context import NETWORK, PRIOR, InContext, weights_of
from metacli.data.catalogue.table_prior import prior_tensors
from metacli.engine.adapt import adapt
from metacli.engine.evaluate import evaluate
from metacli.engine.export import export
from metacli.engine.meta_train import meta_train
from metacli.engine.models.beginnings import own_start
from metacli.engine.predict import predict
from metacli.engine.training.few_shot.build import build_few_shot
from metacli.errors import DataError, RecipeError, UsageProblem
from metacli.nn.tables.cells import NUMBER
from metacli.nn.tables.labels import of_values
from metacli.nn.tables.regression import solve
from metacli.schema.load import load
from metacli.types import Batch, Episode

pytestmark = pytest.mark.usefixtures("one_thread")
RECIPE = """
version: 1
kind: meta
data: {source: %s, target: price}
episodes: {way: 1, shot: 6, query: 4}
backbone: {name: cells}
algorithm: {name: tables-prior}
train: {steps: 60, meta_batch: 4, lr: 5e-3}
evaluate: {every: 20, episodes: 20}
"""


def begun(kind: str = "regression"):
    """Learner, problem of two numbers, θ with shaken weights in float64."""
    problem, learner = toys.bare_problem(kind, 2, None), TablesPrior()
    own, _ = learner.init(problem, {"like": torch.zeros((), dtype=torch.float64)})
    rng = toys.rng(1)
    shaken = {
        name: one + 0.05 * torch.randn(one.shape, generator=rng, dtype=one.dtype)
        for name, one in own.items()
    }
    return learner, problem, shaken


def tasks(count: int, seed: int = 0) -> Episode:
    rng = toys.rng(seed)
    x = torch.randn(count, 9, 2, generator=rng, dtype=torch.float64)
    y = 2 * x[..., :1] + torch.sin(x[..., 1:]) + 3
    return Episode(Batch(x[:, :6], y[:, :6]), Batch(x[:, 6:], y[:, 6:]))


def test_without_what_is_learned_beside_it_it_is_the_network_itself() -> None:
    learner, problem, params = begun()
    params[WEIGHT], params[BIAS] = torch.zeros_like(params[WEIGHT]), torch.zeros_like(params[BIAS])
    params[MOMENTS] = torch.full_like(params[MOMENTS], -10.0)  # κ and κ' of 4e-18
    support, query = toys.task(tasks(1))
    mine = learner.predict(problem, learner.adapt(problem, params, support), query.x)
    alone = InContext()
    known = {PRIOR + name: one for name, one in weights_of(params).items()}
    theirs = alone.predict(problem, alone.adapt(problem, known, support), query.x)
    torch.testing.assert_close(mine, theirs, rtol=0, atol=1e-12)


def test_the_loss_is_the_density_of_the_values_with_moments_drawn_to_those_of_all_tasks() -> None:
    learner, problem, params = begun()
    params[MOMENTS] = torch.tensor([0.1, -0.2, 0.05], dtype=torch.float64)
    episodes = tasks(1)
    support, query = toys.task(episodes)
    one, other, usual = (4 * params[MOMENTS]).exp().tolist()
    r = [
        float(y) - float(params[WEIGHT][0] @ x + params[BIAS][0])
        for x, y in zip(support.x, support.y, strict=True)
    ]
    mean = sum(r) / (len(r) + one)
    variance = (sum((v - mean) ** 2 for v in r) + other * usual**2) / (len(r) + other)
    z = torch.tensor([[(v - mean) / math.sqrt(variance) for v in r]], dtype=torch.float64)
    labels = (z / (1 + (z / 4).square()).sqrt())[:, None]
    cells = torch.cat([support.x, query.x])
    cells = torch.stack([cells, torch.full_like(cells, NUMBER)], -1)[None]
    known = of_values(z)._replace(labels=labels)
    said = NETWORK.mixture(weights_of(params), cells, known)
    losses = []
    for number, (x, y) in enumerate(zip(*query[:2], strict=True)):
        g = float(params[WEIGHT][0] @ x + params[BIAS][0])
        at = torch.tensor([[(float(y) - g - mean) / math.sqrt(variance)]], dtype=torch.float64)
        row = type(said)(*(part[:, number : number + 1] for part in said))
        losses.append(0.5 * math.log(variance) - float(row.log_density(at)))
    found = learner.direction(problem, params, episodes, {}, toys.rng()).metrics["query_loss"]
    assert float(found) == pytest.approx(np.mean(losses), abs=1e-12)


def test_a_far_value_counts_like_one_at_six_standard_deviations() -> None:
    learner, problem, params = begun()
    episodes = tasks(1)
    support, query = toys.task(episodes)
    _, mean, scale = residuals(problem, params, support, support.x)
    g = query.x @ params[WEIGHT].T + params[BIAS]

    def loss(z: float) -> float:
        far = episodes._replace(query=Batch(query.x[None], (g + mean + z * scale)[None]))
        update = learner.direction(problem, params, far, {}, toys.rng())
        return float(update.metrics["query_loss"])

    for side in (-1.0, 1.0):
        assert loss(100 * side) == pytest.approx(loss(6 * side), rel=1e-9)
        assert loss(6 * side) > loss(5 * side) + 0.1


def test_what_the_learned_mean_takes_off_the_values_is_put_back_on_the_answers() -> None:
    learner, problem, params = begun()
    support, query = toys.task(tasks(1))
    slope = torch.tensor([[1.5, -2.0]], dtype=torch.float64)
    plain = learner.predict(problem, learner.adapt(problem, params, support), query.x)
    tilted = support._replace(y=support.y + support.x @ slope.T)
    params[WEIGHT] = params[WEIGHT] + slope
    found = learner.predict(problem, learner.adapt(problem, params, tilted), query.x)
    torch.testing.assert_close(found, plain + query.x @ slope.T)


@pytest.mark.parametrize("kind", ["regression", "classification"])
def test_the_direction_is_the_slope_of_its_loss(kind: str) -> None:
    learner, problem, params = begun(kind)
    episodes = tasks(2)
    if kind == "classification":
        labels = torch.tensor([0, 1, 0, 1, 1, 0, 0, 1, 1]).expand(2, -1)
        episodes = Episode(
            Batch(episodes.support.x, labels[:, :6]), Batch(episodes.query.x, labels[:, 6:])
        )
    step = learner.direction(problem, params, episodes, {}, toys.rng()).direction
    assert set(step) == set(params)
    along = {n: torch.randn(v.shape, generator=toys.rng(3), dtype=v.dtype) for n, v in step.items()}
    ends = [
        learner.direction(
            problem, {n: params[n] + s * v for n, v in along.items()}, episodes, {}, toys.rng()
        ).metrics["query_loss"]
        for s in (-1e-6, 1e-6)
    ]
    slope = sum(float((step[n] * along[n]).sum()) for n in step)
    assert float(ends[1] - ends[0]) / 2e-6 == pytest.approx(slope, rel=1e-5)


def test_padded_supports_are_refused() -> None:
    learner, problem, params = begun()
    support, query = tasks(2)
    padded = support._replace(mask=torch.ones(support.y.shape[:2], dtype=torch.bool))
    with pytest.raises(UsageProblem, match="supports of one size"):
        learner.direction(problem, params, Episode(padded, query), {}, toys.rng())


def test_it_begins_with_the_weights_that_come_along_or_with_fresh_ones() -> None:
    problem = toys.bare_problem("regression", 2, None)
    shipped = {PRIOR + name: torch.from_numpy(one) for name, one in prior_tensors().items()}
    trained, _ = own_start(TablesPrior(), problem, {})
    fresh, _ = own_start(TablesPrior(start="fresh"), problem, {})
    assert set(trained) == set(fresh) == {*shipped, WEIGHT, BIAS, MOMENTS}
    toys.assert_bits({name: trained[name] for name in shipped}, shipped)
    assert not any(torch.equal(fresh[n], shipped[n]) for n in shipped if n.endswith("o.weight"))


def test_fresh_weights_are_those_of_seed_zero_whatever_the_backbones_weights_are() -> None:
    """Where recorded results of `start: fresh` began."""
    problem = toys.bare_problem("classification", 2, None)
    for seed in (1, 2):
        drawn = {"like": torch.randn(3, generator=toys.rng(seed))}
        fresh, _ = own_start(TablesPrior(start="fresh"), problem, drawn)
        toys.assert_bits(weights_of(fresh), NETWORK.init(0))


def towns(folder: Path, count: int, seed: int = 0) -> Path:
    """A table of each town, whose prices follow one formula, each from a level of its own."""
    folder.mkdir(parents=True)
    for number in range(count):
        draw = np.random.Generator(np.random.PCG64(100 * seed + number))
        level = 5 * draw.normal()
        with (folder / f"town{number:02}.csv").open("w", newline="") as file:
            rows = csv.writer(file)
            rows.writerow(["size", "noise", "kind", "price"])
            for _ in range(14):
                size, noise = draw.normal(), draw.normal()
                kind = ("flat", "house", "barn")[draw.integers(3)]
                worth = {"flat": 0, "house": 8, "barn": -8}[kind]
                rows.writerow([size, noise, kind, level + 4 * size + worth + 0.1 * draw.normal()])
    return folder


def test_the_recipe_learns_from_the_folder_which_columns_are_words(tmp_path: Path) -> None:
    recipe = tmp_path / "towns.yaml"
    recipe.write_text(RECIPE % towns(tmp_path / "towns", 6))
    options = build_few_shot(load(str(recipe))).recipe.backbone.options
    assert options == {"widths": [1, 1, 4], "categories": [2]}


def test_a_resolved_recipe_on_other_tables_reads_their_columns(tmp_path: Path) -> None:
    recipe = tmp_path / "towns.yaml"
    text = RECIPE % towns(tmp_path / "towns", 6)
    recipe.write_text(text.replace("{name: cells}", "{name: cells, widths: [1, 1]}"))
    assert build_few_shot(load(str(recipe))).recipe.backbone.options["widths"] == [1, 1, 4]


def test_columns_of_texts_are_refused(tmp_path: Path) -> None:
    folder = tmp_path / "notes"
    folder.mkdir()
    for name in range(6):
        lines = [f"a long note number {row} of {name},{row}" for row in range(14)]
        (folder / f"t{name}.csv").write_text("note,price\n" + "\n".join(lines) + "\n")
    recipe = tmp_path / "notes.yaml"
    recipe.write_text((RECIPE % folder).replace("target: price", "target: price, input: note"))
    with pytest.raises((RecipeError, DataError)) as caught:
        build_few_shot(load(str(recipe)))
    assert "text" in caught.value.message


def test_more_rows_than_it_looks_at_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    learner, problem, params = begun()
    monkeypatch.setattr("metacli.algorithms.transfer.in_context.MOST_ROWS", 5)
    with pytest.raises(UsageProblem, match="at most 5"):
        learner.adapt(problem, params, toys.task(tasks(1)).support)


def test_a_system_that_is_none_gives_no_numbers_and_no_bug() -> None:
    _, _, params = begun()
    labels = torch.ones(1, 1, 3, dtype=torch.float64)
    found = solve(weights_of(params), -torch.eye(3, dtype=torch.float64)[None], labels)
    assert bool(torch.isnan(found.inverse).all())
    assert bool(torch.isnan(found.weights).all())


def test_several_values_of_a_row_are_refused() -> None:
    learner, problem, params = begun()
    support, query = tasks(2)
    both = support._replace(y=support.y.expand(-1, -1, 2))
    with pytest.raises(UsageProblem, match="one value of a row"):
        learner.direction(problem, params, Episode(both, query), {}, toys.rng())


@pytest.mark.slow
def test_a_folder_of_related_tables_trains_it_further(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    recipe = tmp_path / "towns.yaml"
    recipe.write_text(RECIPE % towns(tmp_path / "towns", 12))
    meta_train(recipe, out="run")
    scored = evaluate("run", episodes=20)
    fresh = scored["baselines"]["untrained"]
    assert scored["mean"] < 0.5 * fresh["mean"]  # from 6 rows of a town that was never seen
    new = towns(tmp_path / "new", 1, seed=9) / "town00.csv"
    adapted = adapt("run", new, out="mine", folds=2, compare=False)
    assert adapted["score"]["value"] < 2
    assert len(predict("mine", new)["rows"]) == 14
    made = export("mine", out="mine-export", format="pt2")
    assert made["parity"]["max_abs"] < 1e-3


def test_episodes_of_several_sizes_are_refused_in_the_recipe(tmp_path: Path) -> None:
    recipe = tmp_path / "bad.yaml"
    text = RECIPE.replace("{source: %s, target: price}", "{source: glyphs}")
    text = text.replace("way: 1, shot: 6", "way: 3, shot: [1, 4], balanced: false")
    recipe.write_text(text.replace("{name: cells}", "{name: conv4}"))
    with pytest.raises(RecipeError, match="supports of one size"):
        meta_train(recipe, out=tmp_path / "run", dry_run=True)
