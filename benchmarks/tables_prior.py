"""`tables-prior` on small tables beside tuned models.

    python benchmarks/tables_prior.py run MINUTES [METHOD...]  # resumes; results/tables_prior.json
    python benchmarks/tables_prior.py choice MINUTES  # `adapt` with it and without, development

`protocols/tables_prior.md` is the protocol. MINUTES are of processor time for this call; a METHOD
is one of those below, all where none is named.
"""

from __future__ import annotations

import json
import sys
import tempfile
import time
import warnings
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple
from unittest import mock

import numpy as np
import torch
from own_data import interval
from scipy.stats import norm, rankdata
from sklearn.ensemble import (
    GradientBoostingClassifier,
    GradientBoostingRegressor,
    RandomForestClassifier,
    RandomForestRegressor,
)
from sklearn.gaussian_process import GaussianProcessClassifier, GaussianProcessRegressor
from sklearn.gaussian_process.kernels import RBF, ConstantKernel, DotProduct, WhiteKernel
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.model_selection import GridSearchCV, KFold, StratifiedKFold
from sklearn.neighbors import KNeighborsClassifier, KNeighborsRegressor
from sklearn.pipeline import Pipeline
from small_tables import DEVELOPMENT, SCORED, Draw, draw
from small_tables import quality as quality_of
from tables import columns_for, prepared, with_adapt, write

from metacli.algorithms.transfer.in_context import ANSWERS, InContext
from metacli.data.tables.reader import read_table
from metacli.engine.adapt import adapt
from metacli.engine.adapting.choosing import options
from metacli.engine.events import ignore
from metacli.engine.models.model import AdaptedModel
from metacli.engine.models.opening import open_model
from metacli.nn.tables.labels import moments

RESULTS = Path(__file__).parent / "results"
OURS = "tables-prior"
SIZES = ((20, 50), (10, 100))
TRIES, MOST_TEST = 20, 200
MIXED = 0.01  # of the shares of the classes, in the probabilities of scikit-learn's models
INSIDE = 0.9  # of a distribution
GAUSS = ConstantKernel(1.0, (1e-2, 1e2)) * RBF(3.0, (0.3, 100.0))
LINE = ConstantKernel(0.1, (1e-3, 1e1)) * DotProduct(1.0, "fixed")
NOISE = WhiteKernel(0.3, (1e-3, 10.0))
GRIDS: Mapping[str, Mapping[str, Sequence[object]]] = {
    "linear": {"C": [0.01, 0.1, 1.0, 10.0, 100.0]},
    "boosted trees": {"max_depth": [1, 3], "n_estimators": [20, 100]},
    "random forest": {"max_features": ["sqrt", 1.0], "min_samples_leaf": [1, 3]},
    "nearest neighbours": {"n_neighbors": [1, 3, 5, 10, 20], "weights": ["uniform", "distance"]},
    "Gaussian process": {"kernel": [GAUSS, GAUSS + LINE]},
}
METHODS = (OURS, *GRIDS)
PARTS = ("quality", "likelihood", "seconds", "told")
MODELS = {
    "classification": {
        "linear": LogisticRegression(max_iter=5000),
        "boosted trees": GradientBoostingClassifier(random_state=0),
        "random forest": RandomForestClassifier(100, random_state=0),
        "nearest neighbours": KNeighborsClassifier(),
        "Gaussian process": GaussianProcessClassifier(random_state=0),
    },
    "regression": {
        "linear": Ridge(),
        "boosted trees": GradientBoostingRegressor(random_state=0),
        "random forest": RandomForestRegressor(100, random_state=0),
        "nearest neighbours": KNeighborsRegressor(),
        "Gaussian process": GaussianProcessRegressor(normalize_y=True, random_state=0),
    },
}


class Said(NamedTuple):
    """What a method says of M test rows.

    Args:
        answers: words, or values. right: the probability of the true class, or the density of the
            true value in standard deviations of the test targets, as a logarithm.
        sure: the largest probability, or the probability of less than the true value.
    """

    answers: np.ndarray
    right: np.ndarray
    sure: np.ndarray


def of_classes(p: np.ndarray, classes: Sequence[str], truth: np.ndarray) -> Said:
    """Of probabilities [M, N]."""
    places = [list(classes).index(one) for one in truth]
    right = np.log(np.maximum(p[np.arange(len(p)), places], 1e-12))
    return Said(np.asarray(classes)[p.argmax(1)], right, p.max(1))


def of_gaussian(mean: np.ndarray, scale: np.ndarray, truth: np.ndarray) -> Said:
    density = norm.logpdf(truth, mean, scale) + np.log(truth.std())
    return Said(mean, density, norm.cdf(truth, mean, scale))


def tuned(name: str, one: Draw) -> Said:
    """An alternative whose settings are chosen by cross-validation."""
    x, asked = columns_for(one)
    y = one.train[one.table.target].to_numpy()
    truth = one.test[one.table.target].to_numpy()
    classes = one.table.kind == "classification"
    k = min(5, int(np.unique(y, return_counts=True)[1].min())) if classes else 5
    grid = dict(GRIDS[name])
    if name == "linear" and not classes:
        grid = {"alpha": grid["C"]}
    if name == "nearest neighbours":
        grid["n_neighbors"] = [k_ for k_ in (1, 3, 5, 10, 20) if k_ <= len(y) // 2]
    if name == "Gaussian process" and not classes:
        grid["kernel"] = [kernel + NOISE for kernel in grid["kernel"]]
    search = GridSearchCV(
        Pipeline([("columns", prepared(x)), ("model", MODELS[one.table.kind][name])]),
        {f"model__{key}": values for key, values in grid.items()},
        cv=(StratifiedKFold if classes else KFold)(k, shuffle=True, random_state=0),
        scoring="neg_log_loss" if classes else "neg_mean_squared_error",
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        search.fit(x, y)
        if classes:
            shares = np.array([np.mean(y == label) for label in search.classes_])
            p = (1 - MIXED) * search.predict_proba(asked) + MIXED * shares
            return of_classes(p, search.classes_, truth)
        if name == "Gaussian process":
            mean, scale = search.best_estimator_.predict(asked, return_std=True)
            return of_gaussian(mean, scale, truth)
        scale = np.sqrt(-search.best_score_)
        return of_gaussian(search.predict(asked), np.full(len(truth), scale), truth)


def opened(folder: Path) -> AdaptedModel:
    model = open_model(str(folder), torch.device("cpu"), ignore).model
    assert isinstance(model, AdaptedModel)
    return model


@torch.no_grad()
def prior(one: Draw) -> Said:
    """The network's own distribution."""
    target, kind = one.table.target, one.table.kind
    truth = one.test[target].to_numpy()
    with tempfile.TemporaryDirectory() as folder:
        train, test = Path(folder) / "train.csv", Path(folder) / "test.csv"
        one.train.to_csv(train, index=False)
        one.test.drop(columns=[target]).to_csv(test, index=False)
        told = {} if kind == "classification" else {"type": "regression"}
        adapt(OURS, train, target=target, out=Path(folder) / "m", compare=False, **told)
        model = opened(Path(folder) / "m")
        x = torch.from_numpy(model.inputs.encoder.encode(read_table(test)))
    learner, problem = model.learner(), model.problem()
    assert isinstance(learner, InContext)
    if kind == "classification":
        p = torch.softmax(learner.predict(problem, model.params, x).double(), 1).numpy()
        return of_classes(p, model.classes, truth)
    found = learner.mixture(problem, model.params, x)
    mean, scale = (float(one) for one in moments(model.params[ANSWERS].T))
    unscaled = model.inputs.unscaled
    z = (torch.from_numpy(unscaled.encode(truth)).float() - mean) / scale
    density = found.log_density(z[None])[0] - np.log(scale * unscaled.scale)
    values = unscaled.decode((found.mean[0] * scale + mean).double().numpy())
    right = density.double().numpy() + np.log(truth.std())
    return Said(values, right, found.below(z[None])[0].double().numpy())


def measured(name: str, one: Draw) -> list[object]:
    """`PARTS`, with seconds of processor time. Told is of values the share inside the interval; of
    classes, for each tenth of the largest probability, those probabilities minus the hits."""
    begin = time.process_time()
    said = prior(one) if name == OURS else tuned(name, one)
    seconds = time.process_time() - begin
    truth = one.test[one.table.target]
    if one.table.kind == "classification":
        hits = (said.answers == truth.to_numpy()).astype(float)
        bins = np.minimum((10 * said.sure).astype(int), 9)
        apart = [float((said.sure - hits)[bins == b].sum()) for b in range(10)]
        told: object = [round(value, 3) for value in apart]
    else:
        inside = np.abs(said.sure - 0.5) <= INSIDE / 2
        told = round(float(inside.mean()), 6)
    quality = round(quality_of(one.table, list(said.answers), truth), 6)
    return [quality, round(float(said.right.mean()), 6), round(seconds, 3), told]


def part(run: Mapping, name: str, what: str) -> Any:
    """What was measured of a method."""
    return run["methods"][name][PARTS.index(what)]


def planned() -> Iterator[tuple[str, Draw]]:
    """(key, draw) in the order of the protocol."""
    rows = {one.name: one.rows() for one in SCORED}
    for number in range(TRIES):
        for sizes in SIZES:
            for one in SCORED:
                for size in sizes:
                    made = draw(one, rows[one.name], size, number)
                    if made is not None:
                        kept = Draw(one, made.train, made.test.iloc[:MOST_TEST])
                        yield f"{number} {one.name} {size}", kept


def summary(runs: Mapping[str, Mapping]) -> dict[str, object]:
    """Of the draws that every method has answered."""
    whole = {key: run for key, run in runs.items() if set(METHODS) <= set(run["methods"])}
    sizes = sorted({run["rows"] for run in whole.values()})
    found: dict[str, object] = {"draws": len(whole)}
    for what in ("quality", "likelihood"):
        found[f"rank by {what}"] = {
            "all": ranks(whole.values(), what),
            **{str(n): ranks([r for r in whole.values() if r["rows"] == n], what) for n in sizes},
        }
        found[f"minus, {what}"] = {
            kind: differences([r for r in whole.values() if r["kind"] == kind], what)
            for kind in ("classification", "regression")
        }
    found["calibration error"] = {name: calibration(list(whole.values()), name) for name in METHODS}
    found["coverage"] = {
        name: over(
            [
                (run["table"], part(run, name, "told"))
                for run in whole.values()
                if run["kind"] == "regression"
            ]
        )
        for name in METHODS
    }
    found["seconds"] = {
        name: float(np.mean([part(run, name, "seconds") for run in whole.values()] or [0]))
        for name in METHODS
    }
    return found


def signed(run: Mapping, what: str) -> np.ndarray:
    """Of each method, smaller is better."""
    values = np.array([part(run, name, what) for name in METHODS])
    return values if what == "quality" and run["kind"] == "regression" else -values


def ranks(runs: Iterable[Mapping], what: str) -> dict[str, dict[str, float]]:
    each = [(run["table"], rankdata(np.round(signed(run, what), 9))) for run in runs]
    return {
        name: over([(table, float(one[at])) for table, one in each])
        for at, name in enumerate(METHODS)
    }


def differences(runs: Iterable[Mapping], what: str) -> dict[str, dict[str, float]]:
    values = [(run["table"], [part(run, n, what) for n in METHODS]) for run in runs]
    return {
        name: over([(table, one[0] - one[at]) for table, one in values])
        for at, name in enumerate(METHODS)
        if at
    }


def over(values: Sequence[tuple[str, float]]) -> dict[str, float]:
    """The mean over tables of the means of each, with its interval."""
    tables: dict[str, list[float]] = {}
    for table, one in values:
        tables.setdefault(table, []).append(one)
    return interval([float(np.mean(one)) for one in tables.values()]) if tables else {}


def calibration(runs: Sequence[Mapping], name: str) -> float:
    """The expected calibration error over all rows."""
    said = [part(run, name, "told") for run in runs if run["kind"] == "classification"]
    rows = sum(run["asked"] for run in runs if run["kind"] == "classification")
    return float(np.abs(np.sum(said, 0)).sum() / max(rows, 1))


def run(minutes: float, methods: Sequence[str]) -> None:
    path = RESULTS / "tables_prior.json"
    runs = json.loads(path.read_text())["runs"] if path.exists() else {}
    for key, one in planned():
        if time.process_time() > 60 * minutes:
            break
        known = runs.setdefault(
            key,
            {
                "table": one.table.name,
                "rows": len(one.train),
                "kind": one.table.kind,
                "asked": len(one.test),
                "methods": {},
            },
        )
        missing = [name for name in methods if name not in known["methods"]]
        for name in missing:
            known["methods"][name] = measured(name, one)
        if missing:
            print(key, {n: round(m[0], 3) for n, m in known["methods"].items()}, flush=True)
            write(path, {"summary": summary(runs), "runs": runs})


def choice(minutes: float) -> None:
    """`adapt` with and without the network among its candidates."""
    path = RESULTS / "tables_prior-choice.json"
    runs = json.loads(path.read_text())["runs"] if path.exists() else {}
    for table in DEVELOPMENT:
        for size in SIZES[0]:
            one, key = draw(table, table.rows(), size, 0), f"{table.name} {size}"
            if one is None or key in runs or time.process_time() > 60 * minutes:
                continue
            truth, found = one.test[table.target], {}
            with tempfile.TemporaryDirectory() as folder:
                found["with"] = quality_of(table, with_adapt(one, Path(folder)), truth)
                method = opened(Path(folder) / "m").method
            with (
                tempfile.TemporaryDirectory() as folder,
                mock.patch.object(options, "prior_options", return_value=[]),
            ):
                found["without"] = quality_of(table, with_adapt(one, Path(folder)), truth)
            runs[key] = {"table": table.name, "rows": size, "kind": table.kind, **found}
            runs[key]["chosen"] = method
            print(key, runs[key], flush=True)
            kinds = ("classification", "regression")
            apart = {
                kind: over(
                    [
                        (one["table"], one["with"] - one["without"])
                        for one in runs.values()
                        if one["kind"] == kind
                    ]
                )
                for kind in kinds
            }
            write(path, {"with minus without": apart, "runs": runs})


if __name__ == "__main__":
    minutes = float(sys.argv[2])
    if sys.argv[1] == "choice":
        choice(minutes)
    else:
        run(minutes, sys.argv[3:] or METHODS)
