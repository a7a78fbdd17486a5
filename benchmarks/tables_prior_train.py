"""The weights of `tables-prior` that come with metacli: made by a run of their recipe.

    metacli meta-train generated-tables-prior -o RUN           # --resume RUN goes on
    python benchmarks/tables_prior_train.py validate RUN       # beside simple models
    python benchmarks/tables_prior_train.py pack RUN           # into catalogue/trained_heads

`validate` compares the network of the run with simple models on tables of another stream and writes
RUN/validation.json. `pack` writes the weights in half precision and
`results/tables_prior-training.json`, and prints the SHA-256 that the catalogue has to know.

Shape letters: M support rows, Q query rows, C columns.
"""

from __future__ import annotations

import hashlib
import json
import sys
import warnings
from pathlib import Path

import numpy as np
import torch
from safetensors.numpy import save
from sklearn.base import BaseEstimator, clone
from sklearn.ensemble import RandomForestClassifier, RandomForestRegressor
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.neighbors import KNeighborsClassifier, KNeighborsRegressor

from metacli.algorithms.meta.tables_prior import FARTHEST
from metacli.algorithms.transfer.in_context import weights_of
from metacli.data.catalogue import heads
from metacli.data.tables_prior.generated import CATEGORY, MISSING, GeneratedTables, Shape
from metacli.engine.events import ignore
from metacli.engine.generated_tables.fitting import Group, logits_of, mixture_of, table_losses
from metacli.engine.generated_tables.run import group_of
from metacli.engine.models.opening import open_model
from metacli.nn.tables.labels import moments
from metacli.types import Params

TOLD = Path(__file__).parent / "results" / "tables_prior-training.json"
CPU = torch.device("cpu")
VALIDATION, EACH = 60, 2  # groups, and tables of each


def encoded(cells: np.ndarray, support: int) -> np.ndarray:
    """What a simple model reads of cells [N, C, 2]: numbers at mean 0 and variance 1, the mean
    where one is missing; a column for each category of the support, and for missing cells."""
    parts = []
    for values, what in cells.transpose(1, 2, 0):
        gone = (what == MISSING).astype(float)
        if (what == CATEGORY).any():
            seen = np.unique(values[:support][what[:support] == CATEGORY])
            parts += [(values == one) & (what == CATEGORY) for one in seen]
        else:
            known = values[:support][gone[:support] == 0]
            mean, scale = (known.mean(), known.std()) if len(known) else (0.0, 1.0)
            parts.append(np.where(gone, 0.0, (values - mean) / (scale or 1.0)))
        if gone.any():
            parts.append(gone)
    return np.stack(parts, 1).astype(float) if parts else np.zeros((len(cells), 1))


def models(classes: bool) -> dict[str, BaseEstimator]:
    """What the network is compared with on generated tables; no setting is tuned."""
    if classes:
        return {
            "linear": LogisticRegression(max_iter=2000),
            "random forest": RandomForestClassifier(100, min_samples_leaf=2, random_state=0),
            "nearest neighbours": KNeighborsClassifier(5),
        }
    return {
        "linear": Ridge(),
        "random forest": RandomForestRegressor(100, min_samples_leaf=2, random_state=0),
        "nearest neighbours": KNeighborsRegressor(5),
    }


def of_simple(model: BaseEstimator, x: np.ndarray, y: np.ndarray, made: Shape) -> dict[str, float]:
    """Log loss and error of a model on the rows without a label; of values, the squared error in
    variances of the support's."""
    known, asked = y[: made.support], y[made.support :]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        if not made.classes:
            scale = known.std() or 1.0
            model.fit(x[: made.support], known)
            z = np.clip((asked - model.predict(x[made.support :])) / scale, -FARTHEST, FARTHEST)
            return {"squared error": float(np.square(z).mean())}
        p = np.full((len(asked), made.classes), 1e-3)
        if isinstance(model, KNeighborsClassifier):
            model.set_params(n_neighbors=min(5, made.support))
        model.fit(x[: made.support], known)
        p[:, model.classes_.astype(int)] += model.predict_proba(x[made.support :])
    right = (p / p.sum(1, keepdims=True))[np.arange(len(asked)), asked.astype(int)]
    return {
        "log loss": float(-np.log(right).mean()),
        "error": float((p.argmax(1) != asked).mean()),
    }


def of_network(params: Params, group: Group) -> list[dict[str, float]]:
    """The same of the network, for each table; of values the log loss too."""
    weights, asked = weights_of(params), group.y[:, group.support :]
    loss = table_losses(params, group)
    if group.classes:
        error = (logits_of(weights, group).argmax(-1) != asked).float().mean(1)
        return [{"log loss": float(a), "error": float(b)} for a, b in zip(loss, error, strict=True)]
    mean, scale = moments(group.y[:, : group.support])
    z = (asked - mean) / scale
    error = (z - mixture_of(weights, group).mean).clamp(-FARTHEST, FARTHEST).square().mean(1)
    return [
        {"squared error": float(a), "density": float(b)} for a, b in zip(error, loss, strict=True)
    ]


@torch.no_grad()
def validate(run: Path) -> None:
    """Means over tables of another stream."""
    torch.set_num_threads(1)
    params = params_of(run)
    scores: dict[str, list[float]] = {}
    source = GeneratedTables(("compared", 0))
    for number in range(VALIDATION):
        made, group = source.at(number), group_of(source, number, CPU, EACH)
        rows = {"network": of_network(params, group)}
        for name, one in models(made.shape.classes > 0).items():
            rows[name] = [
                of_simple(clone(one), encoded(c, made.shape.support), y, made.shape)
                for c, y in zip(made.cells[:EACH], made.y[:EACH], strict=True)
            ]
        for name, tables in rows.items():
            for table in tables:
                for key, value in table.items():
                    scores.setdefault(f"{key}: {name}", []).append(value)
    means = {key: round(float(np.mean(one)), 4) for key, one in sorted(scores.items())}
    (run / "validation.json").write_text(json.dumps(means, indent=1) + "\n")
    print(json.dumps(means, indent=1))


def params_of(run: Path) -> Params:
    return dict(open_model(str(run), CPU, ignore).model.params)


def pack(run: Path, path: Path) -> None:
    """The weights in half precision."""
    weights = weights_of(params_of(run))
    content = save({name: one.detach().half().numpy() for name, one in weights.items()})
    path.write_bytes(content)
    digest, source = hashlib.sha256(content).hexdigest(), GeneratedTables(("train", 0))
    facts = json.loads((run / "run.json").read_text())
    lines = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    told = {
        "sha256": digest,
        "recipe": "generated-tables-prior",
        "steps": facts["steps"],
        "tables": sum(source.shape_at(group).tables for group in range(facts["steps"])),
        "seconds": round(facts["seconds"]),
        "log": [
            {"step": line["step"], **line["val"]["log_loss"]} for line in lines if "val" in line
        ],
        "validation": json.loads((run / "validation.json").read_text()),
    }
    TOLD.write_text(json.dumps(told, indent=1) + "\n")
    print(f"{path}: step {facts['steps']}, {len(content)} bytes, {digest}")


if __name__ == "__main__":
    run = Path(sys.argv[2])
    match sys.argv[1]:
        case "validate":
            validate(run)
        case "pack":
            pack(run, Path(heads.__file__).parent / heads.FOLDER / "tables-prior-2.safetensors")
