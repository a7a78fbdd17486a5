"""The weights of `tables-prior` that come with metacli, made again.

    python benchmarks/tables_prior_train.py train FOLDER MINUTES  # resumes; at most so long
    python benchmarks/tables_prior_train.py validate FOLDER       # beside simple models
    python benchmarks/tables_prior_train.py pack FOLDER           # into catalogue/trained_heads

`train` meta-trains the network of `metacli.nn.tables` on generated tables as `SETTINGS` says, and
writes what is needed to go on into FOLDER every two minutes; stopped and started again, it makes
the same weights. `validate` compares the network with simple models on tables of another stream and
adds a line to FOLDER/validation.jsonl. `pack` writes the weights in half precision and
`results/tables_prior-training.json`, and prints the SHA-256 that the catalogue has to know.

Shape letters: B tables, M support rows, Q query rows.
"""

from __future__ import annotations

import hashlib
import json
import sys
import time
import warnings
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
from safetensors.numpy import save
from sklearn.base import BaseEstimator, clone
from sklearn.ensemble import RandomForestClassifier, RandomForestRegressor
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.neighbors import KNeighborsClassifier, KNeighborsRegressor
from torch import Tensor
from torch.nn import functional as F

from metacli.autodiff import gradient
from metacli.data.catalogue import heads
from metacli.data.tables_prior.generated import (
    CATEGORY,
    MISSING,
    GeneratedTables,
    Shape,
    Tables,
)
from metacli.nn.tables.attention import TableAttention
from metacli.nn.tables.labels import moments, of_classes, of_values
from metacli.types import Params

TOLD = Path(__file__).parent / "results" / "tables_prior-training.json"
KEPT_EVERY = 120  # seconds
TOLD_EVERY = 50  # steps
FARTHEST = 6.0  # standard deviations of a value, in the loss
VALIDATION, EACH = 60, 2  # groups, and tables of each


@dataclass(frozen=True)
class Settings:
    """Args:
    cycles: each its steps of the optimiser, AdamW, its rate, and in how many steps at its end that
        falls to 0. groups: of generated tables in a step.
    warmup: steps at the beginning of a cycle in which the rate rises from 0.
    """

    cycles: tuple[tuple[int, float, int], ...] = ((2600, 2e-3, 1300), (1500, 1.2e-3, 1500))
    groups: int = 1
    warmup: int = 100
    weight_decay: float = 0.01
    clip: float = 1.0

    @property
    def steps(self) -> int:
        return sum(steps for steps, _, _ in self.cycles)


SETTINGS = Settings()
NETWORK = TableAttention()


def rate_at(step: int, settings: Settings) -> float:
    """The learning rate of a step: in every cycle a rise, a plateau and a fall (I. Loshchilov, F.
    Hutter, "SGDR: Stochastic Gradient Descent with Warm Restarts", ICLR 2017)."""
    for steps, rate, decay in settings.cycles:
        if step < steps:
            return rate * min(1.0, (step + 1) / settings.warmup, (steps - step) / decay)
        step -= steps
    return 0.0


def loss_of(params: Params, made: Tables) -> Tensor:
    """The mean over tables and query rows of -log p(y | the support)."""
    cells, y = torch.from_numpy(made.cells), torch.from_numpy(made.y)
    known, asked = y[:, : made.shape.support], y[:, made.shape.support :]
    if made.shape.classes:
        member = F.one_hot(known.long(), made.shape.classes).to(cells.dtype)
        logits = NETWORK.logits(params, cells, of_classes(member))
        return F.cross_entropy(logits.flatten(0, 1), asked.long().flatten())
    mean, scale = moments(known)
    z = ((asked - mean) / scale).clamp(-FARTHEST, FARTHEST)
    return -NETWORK.mixture(params, cells, of_values(known)).log_density(z).mean()


@dataclass
class Progress:
    """Where a training is: parameters, the optimiser with its memory, steps, processor seconds."""

    params: Params
    optimizer: torch.optim.AdamW
    step: int = 0
    seconds: float = 0.0

    def keep(self, folder: Path) -> None:
        """Written beside and put in place, so that a kill leaves the file before it."""
        state = {
            "params": {name: one.detach() for name, one in self.params.items()},
            "optimizer": self.optimizer.state_dict(),
            "step": self.step,
            "seconds": self.seconds,
        }
        torch.save(state, folder / "state.new")
        (folder / "state.new").replace(folder / "state")


def start(folder: Path, settings: Settings) -> Progress:
    """As the folder has it, or from the beginning."""
    fresh = {name: one.requires_grad_() for name, one in NETWORK.init(0).items()}
    wide = [one for one in fresh.values() if one.ndim > 1]
    flat = [one for one in fresh.values() if one.ndim == 1]
    groups = [{"params": wide}, {"params": flat, "weight_decay": 0.0}]
    optimizer = torch.optim.AdamW(
        groups, lr=0.0, betas=(0.9, 0.98), weight_decay=settings.weight_decay
    )
    made = Progress(fresh, optimizer)
    if (folder / "state").exists():
        state = torch.load(folder / "state", weights_only=True)
        with torch.no_grad():
            for name, one in fresh.items():
                one.copy_(state["params"][name])
        optimizer.load_state_dict(state["optimizer"])
        made.step, made.seconds = state["step"], state["seconds"]
    return made


def train(folder: Path, minutes: float, settings: Settings = SETTINGS) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    torch.set_num_threads(1)
    now = start(folder, settings)
    source = GeneratedTables(("train", 0))
    begin = kept = time.monotonic()
    spent = time.process_time() - now.seconds
    losses: list[tuple[bool, float]] = []
    while now.step < settings.steps and time.monotonic() - begin < 60 * minutes:
        losses += step(now, source, settings)
        now.seconds = time.process_time() - spent
        if now.step % TOLD_EVERY == 0:
            tell(folder, now, losses)
            losses = []
        if time.monotonic() - kept > KEPT_EVERY:
            now.keep(folder)
            kept = time.monotonic()
    now.keep(folder)


def step(now: Progress, source: GeneratedTables, settings: Settings) -> list[tuple[bool, float]]:
    """One step of the optimiser; of each group whether it has classes, and its loss."""
    losses = []
    for number in range(settings.groups):
        made = source.at(now.step * settings.groups + number)
        found, value = gradient(lambda theta, made=made: twice(loss_of(theta, made)), now.params)
        for name, one in now.params.items():
            part = found[name] / settings.groups
            one.grad = part if number == 0 else one.grad + part
        losses.append((made.shape.classes > 0, float(value)))
    torch.nn.utils.clip_grad_norm_(now.params.values(), settings.clip, error_if_nonfinite=True)
    for group in now.optimizer.param_groups:
        group["lr"] = rate_at(now.step, settings)
    now.optimizer.step()
    now.step += 1
    return losses


def twice(value: Tensor) -> tuple[Tensor, Tensor]:
    return value, value


def tell(folder: Path, now: Progress, losses: list[tuple[bool, float]]) -> None:
    """A line of the log: the mean loss of classifications and of regressions since the last."""
    means: list[float | None] = []
    for kind in (True, False):
        values = [value for classes, value in losses if classes == kind]
        means.append(float(np.mean(values)) if values else None)
    line = {"step": now.step, "seconds": round(now.seconds), "class": means[0], "value": means[1]}
    with (folder / "log.jsonl").open("a") as file:
        file.write(json.dumps(line) + "\n")
    print(json.dumps(line), flush=True)


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


def of_network(params: Params, made: Tables) -> list[dict[str, float]]:
    """The same of the network, for each table; of values the log loss too."""
    cells, y = torch.from_numpy(made.cells), torch.from_numpy(made.y)
    known, asked = y[:, : made.shape.support], y[:, made.shape.support :]
    if made.shape.classes:
        member = F.one_hot(known.long(), made.shape.classes).to(cells.dtype)
        logs = torch.log_softmax(NETWORK.logits(params, cells, of_classes(member)), -1)
        loss = -logs.gather(2, asked.long()[..., None])[..., 0].mean(1)
        error = (logs.argmax(-1) != asked).float().mean(1)
        return [{"log loss": float(a), "error": float(b)} for a, b in zip(loss, error, strict=True)]
    found = NETWORK.mixture(params, cells, of_values(known))
    mean, scale = moments(known)
    z = (asked - mean) / scale
    loss = -found.log_density(z.clamp(-FARTHEST, FARTHEST)).mean(1)
    error = (z - found.mean).clamp(-FARTHEST, FARTHEST).square().mean(1)
    return [
        {"squared error": float(a), "density": float(b)} for a, b in zip(error, loss, strict=True)
    ]


@torch.no_grad()
def validate(folder: Path) -> None:
    """Means over tables of another stream; simple models are computed once."""
    torch.set_num_threads(1)
    now, kept = start(folder, SETTINGS), folder / "simple.json"
    simple = json.loads(kept.read_text()) if kept.exists() else {}
    scores: dict[str, list[float]] = {}
    source = GeneratedTables(("validation", 0))
    for group in range(VALIDATION):
        made = source.at(group)
        few = Tables(made.cells[:EACH], made.y[:EACH], made.shape)
        rows = {"network": of_network(now.params, few)}
        if str(group) not in simple:
            simple[str(group)] = {
                name: [
                    of_simple(clone(one), encoded(c, few.shape.support), y, few.shape)
                    for c, y in zip(few.cells, few.y, strict=True)
                ]
                for name, one in models(few.shape.classes > 0).items()
            }
            kept.write_text(json.dumps(simple))
        for name, tables in {**rows, **simple[str(group)]}.items():
            for table in tables:
                for key, value in table.items():
                    scores.setdefault(f"{key}: {name}", []).append(value)
    means = {key: round(float(np.mean(one)), 4) for key, one in sorted(scores.items())}
    with (folder / "validation.jsonl").open("a") as file:
        file.write(json.dumps({"step": now.step, "seconds": round(now.seconds), **means}) + "\n")
    print(now.step, json.dumps(means, indent=1))


def pack(folder: Path, path: Path) -> None:
    """The weights in half precision."""
    now = start(folder, SETTINGS)
    content = save({name: one.detach().half().numpy() for name, one in now.params.items()})
    path.write_bytes(content)
    digest, source = hashlib.sha256(content).hexdigest(), GeneratedTables(("train", 0))
    groups = range(now.step * SETTINGS.groups)
    told = {
        "sha256": digest,
        "settings": asdict(SETTINGS),
        "steps": now.step,
        "tables": sum(source.shape_at(group).tables for group in groups),
        "seconds": round(now.seconds),
        "log": [json.loads(line) for line in (folder / "log.jsonl").read_text().splitlines()],
        "validation": json.loads((folder / "validation.jsonl").read_text().splitlines()[-1]),
    }
    TOLD.write_text(json.dumps(told, indent=1) + "\n")
    print(f"{path}: step {now.step}, {len(content)} bytes, {digest}")


if __name__ == "__main__":
    folder = Path(sys.argv[2])
    match sys.argv[1]:
        case "train":
            train(folder, float(sys.argv[3]))
        case "validate":
            validate(folder)
        case "pack":
            pack(folder, Path(heads.__file__).parent / heads.FOLDER / "tables-prior-1.safetensors")
