"""`adapt DATA` on small tables beside what a user would take instead.

    python benchmarks/tables.py scored MINUTES       # resumes; writes results/tables.json
    python benchmarks/tables.py development MINUTES  # writes results/tables-development.json

`protocols/tables.md` is the protocol. MINUTES are of processor time for this call.
"""

from __future__ import annotations

import json
import sys
import tempfile
import time
import warnings
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
from own_data import interval
from scipy.stats import rankdata
from sklearn.compose import ColumnTransformer
from sklearn.ensemble import (
    GradientBoostingClassifier,
    GradientBoostingRegressor,
    RandomForestClassifier,
    RandomForestRegressor,
)
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.model_selection import GridSearchCV, KFold, StratifiedKFold
from sklearn.neighbors import KNeighborsClassifier, KNeighborsRegressor
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler
from small_tables import DEVELOPMENT, SCORED, SIZES, Draw, SmallTable, planned, quality

from metacli.engine.adapt import adapt
from metacli.engine.predict import predict

RESULTS = Path(__file__).parent / "results"
LISTS = {"scored": (SCORED, "tables"), "development": (DEVELOPMENT, "tables-development")}
OURS = "adapt"
GRIDS: Mapping[str, Mapping[str, Sequence[object]]] = {
    "linear": {"C": [0.01, 0.1, 1.0, 10.0, 100.0]},
    "boosted trees": {"max_depth": [1, 3], "n_estimators": [20, 100]},
    "random forest": {"max_features": ["sqrt", 1.0], "min_samples_leaf": [1, 3]},
    "nearest neighbours": {"n_neighbors": [1, 3, 5, 10, 20], "weights": ["uniform", "distance"]},
}
MODELS = {
    "classification": {
        "linear": LogisticRegression(max_iter=5000),
        "boosted trees": GradientBoostingClassifier(random_state=0),
        "random forest": RandomForestClassifier(200, random_state=0),
        "nearest neighbours": KNeighborsClassifier(),
    },
    "regression": {
        "linear": Ridge(),
        "boosted trees": GradientBoostingRegressor(random_state=0),
        "random forest": RandomForestRegressor(200, random_state=0),
        "nearest neighbours": KNeighborsRegressor(),
    },
}


def columns_for(one: Draw) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Training and test columns, with the parts of dates."""
    frames = []
    for rows in (one.train, one.test):
        frame = rows.drop(columns=[one.table.target])
        for name in one.table.dates:
            date = pd.to_datetime(frame.pop(name))
            frame = frame.assign(year=date.dt.year, month=date.dt.month, day=date.dt.day)
        frames.append(frame)
    return frames[0], frames[1]


def prepared(columns: pd.DataFrame) -> ColumnTransformer:
    """Numbers and words as every alternative reads them."""
    numbers = [one for one in columns if pd.api.types.is_numeric_dtype(columns[one])]
    words = [one for one in columns if one not in numbers]
    filled = SimpleImputer(strategy="median", add_indicator=True, keep_empty_features=True)
    return ColumnTransformer(
        [
            ("numbers", make_pipeline(filled, StandardScaler()), numbers),
            ("words", OneHotEncoder(handle_unknown="ignore"), words),
        ],
        sparse_threshold=0,
    )


def tuned(name: str, kind: str, first: ColumnTransformer, y: np.ndarray) -> GridSearchCV:
    """An alternative whose settings are chosen by cross-validation."""
    classes = kind == "classification"
    k = min(5, int(np.unique(y, return_counts=True)[1].min())) if classes else 5
    grid = GRIDS[name]
    if name == "linear" and not classes:
        grid = {"alpha": grid["C"]}
    if name == "nearest neighbours":
        grid = {**grid, "n_neighbors": [k_ for k_ in (1, 3, 5, 10, 20) if k_ <= len(y) // 2]}
    model = Pipeline([("columns", first), ("model", MODELS[kind][name])])
    return GridSearchCV(
        model,
        {f"model__{key}": values for key, values in grid.items()},
        cv=(StratifiedKFold if classes else KFold)(k, shuffle=True, random_state=0),
        scoring="accuracy" if classes else "neg_mean_squared_error",
    )


def with_adapt(one: Draw, folder: Path) -> list[object]:
    """As a user calls it."""
    train, test = folder / "train.csv", folder / "test.csv"
    one.train.to_csv(train, index=False)
    one.test.drop(columns=[one.table.target]).to_csv(test, index=False)
    kind = {} if one.table.kind == "classification" else {"type": "regression"}
    adapt(None, train, target=one.table.target, out=folder / "m", compare=False, **kind)
    return [row["prediction"] for row in predict(str(folder / "m"), str(test))["rows"]]


def measure(one: Draw, known: Mapping[str, dict[str, float]]) -> dict[str, dict[str, float]]:
    """Quality and seconds of processor time of every method; those that are `known` stay."""
    found = {OURS: known.get(OURS, {}), **{name: known.get(name, {}) for name in GRIDS}}
    truth, y = one.test[one.table.target], one.train[one.table.target].to_numpy()
    begin = time.process_time()
    if not found[OURS]:
        with tempfile.TemporaryDirectory() as folder:
            said = with_adapt(one, Path(folder))
        found[OURS] = {
            "quality": quality(one.table, said, truth),
            "seconds": time.process_time() - begin,
        }
    x, asked = columns_for(one)
    for name in [one for one in GRIDS if not found[one]]:
        begin = time.process_time()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            fitted = tuned(name, one.table.kind, prepared(x), y).fit(x, y)
            answers = fitted.predict(asked)
        found[name] = {
            "quality": quality(one.table, list(answers), truth),
            "seconds": time.process_time() - begin,
        }
    return found


def summary(tables: Sequence[SmallTable], runs: Mapping[str, Mapping]) -> dict[str, object]:
    """Mean ranks and paired differences over tables, of whole draws alone."""
    methods = [OURS, *GRIDS]
    ranks: dict[str, list[np.ndarray]] = {one.name: [] for one in tables}
    apart: dict[str, list[np.ndarray]] = {one.name: [] for one in tables}
    by_size: dict[int, dict[str, list[np.ndarray]]] = {size: {} for size in SIZES}
    sign = {one.name: -1.0 if one.kind == "classification" else 1.0 for one in tables}
    for run in runs.values():
        name, size = run["table"], run["rows"]
        values = sign[name] * np.array([run["methods"][key]["quality"] for key in methods])
        ranks[name].append(rankdata(np.round(values, 9)))
        by_size[size].setdefault(name, []).append(ranks[name][-1])
        apart[name].append(sign[name] * (values[0] - values))

    def over(found: Mapping[str, list[np.ndarray]], column: int) -> dict[str, float]:
        means = [float(np.mean(one, 0)[column]) for one in found.values() if one]
        return interval(means) if means else {}

    kinds = {"accuracy": "classification", "error": "regression"}
    of_kind = {
        key: {one.name: apart[one.name] for one in tables if one.kind == kind}
        for key, kind in kinds.items()
    }
    return {
        "mean rank": {key: over(ranks, at) for at, key in enumerate(methods)},
        "mean rank by rows": {
            str(size): {key: over(found, at) for at, key in enumerate(methods)}
            for size, found in by_size.items()
            if found
        },
        "adapt minus": {
            what: {key: over(found, at) for at, key in enumerate(methods) if at}
            for what, found in of_kind.items()
        },
        "seconds": {
            key: float(np.mean([run["methods"][key]["seconds"] for run in runs.values()]))
            for key in methods
        },
        "AutoGluon": beside_autogluon(runs),
    }


def beside_autogluon(runs: Mapping[str, Mapping]) -> dict[str, object]:
    """`adapt` minus AutoGluon on the draws that it answered, over tables; empty without any."""
    path = RESULTS / "tables-autogluon.json"
    known = json.loads(path.read_text()) if path.exists() else {"runs": {}}
    kinds = {one.name: one.kind for one in SCORED}
    apart: dict[str, dict[str, list[float]]] = {"accuracy": {}, "error": {}}
    wins, spent = [], []
    for key in [one for one in runs if one in known["runs"]]:
        other, ours, name = known["runs"][key], runs[key]["methods"][OURS], runs[key]["table"]
        what = "accuracy" if kinds[name] == "classification" else "error"
        difference = ours["quality"] - other["quality"]
        apart[what].setdefault(name, []).append(difference)
        wins.append(difference * (1 if what == "accuracy" else -1))
        spent.append(other["seconds"])
    if not spent:
        return {}
    return {
        "version": known["version"],
        "adapt minus it": {
            what: interval([float(np.mean(one)) for one in found.values()])
            for what, found in apart.items()
            if found
        },
        "draws": len(wins),
        "better": int(np.sum(np.array(wins) > 1e-9)),
        "worse": int(np.sum(np.array(wins) < -1e-9)),
        "seconds": float(np.mean(spent)),
    }


def main(which: str, minutes: float) -> None:
    tables, file = LISTS[which]
    path = RESULTS / f"{file}.json"
    runs = json.loads(path.read_text())["runs"] if path.exists() else {}
    for key, size, made in planned(tables):
        known = runs.get(key, {}).get("methods", {})
        if {OURS, *GRIDS} <= set(known):
            continue
        if time.process_time() > 60 * minutes:
            break
        found = measure(made, known)
        runs[key] = {"table": made.table.name, "rows": size, "methods": found}
        shown = {name: round(one["quality"], 3) for name, one in runs[key]["methods"].items()}
        print(key, shown, round(runs[key]["methods"][OURS]["seconds"], 1), flush=True)
        write(path, told(which, runs))
    write(path, told(which, runs))


def told(which: str, runs: Mapping[str, Mapping]) -> dict[str, object]:
    """What the file says: of the draws that every method has answered, and all of them."""
    whole = {key: one for key, one in runs.items() if {OURS, *GRIDS} <= set(one["methods"])}
    return {"list": which, **summary(LISTS[which][0], whole), "runs": runs}


def write(path: Path, found: Mapping[str, object]) -> None:
    """Indented, but a run is one line: there are many."""
    runs = found["runs"]
    assert isinstance(runs, Mapping)
    short = partial(json.dumps, separators=(",", ":"))
    lines = ",\n".join(f" {short(key)}:{short(one)}" for key, one in runs.items())
    others = {key: value for key, value in found.items() if key != "runs"}
    start = json.dumps(others, indent=1).removesuffix("\n}")
    path.write_text(f'{start},\n "runs": {{\n{lines}\n }}\n}}\n')


if __name__ == "__main__":
    main(sys.argv[1], float(sys.argv[2]))
