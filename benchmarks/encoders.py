"""Meta-learning on pretrained encoders, measured as `protocols/encoders.md` says.

    METACLI_MIRROR=... python benchmarks/encoders.py photos SHOT RUN...  # runs of photos-* recipes
    METACLI_MIRROR=... python benchmarks/encoders.py texts HEAD...   # heads of divisions 1, 2, ...

`photos` writes results/encoders-photos.json, `texts` results/encoders-texts.json. Each method of a
row answers for the same queries from the same supports.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import torch
from own_data import clinc, interval, shared, tuned
from safetensors.numpy import load as load_tensors
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV, StratifiedKFold
from sklearn.preprocessing import Normalizer

from metacli.data.tables.joined_text import JoinedText
from metacli.data.tables.static_text import WEIGHTS as TOKENS
from metacli.data.tables.static_text import StaticText, projected, table_of
from metacli.data.tables.text import HashedText
from metacli.engine.events import ignore
from metacli.engine.models.model import FewShotModel
from metacli.engine.models.opening import open_model
from metacli.engine.scoring.episodes import score_episodes
from metacli.engine.training.few_shot.sources import make_source

RESULTS = Path(__file__).parent / "results"
EPISODES, QUERIES = 600, 15
EARLIER = ("cifar-fs-protonet", "cifar-fs-r2d2", "cifar-fs-maml", "cifar-fs-pretrain")
DRAWS, ASKED = 1, 20
UNSEEN = (
    "ImageNet, on which the encoder was trained, has most of these classes under other names: the "
    "data set is unseen by it, the concepts are not"
)


def photos(words: Sequence[str]) -> None:
    """5-way tasks of the test classes of CIFAR-FS; a row that is there of other shots stays."""
    shot, runs = int(words[0]), words[1:]
    models = {Path(run).name: opened(run) for run in runs}
    any_of = next(iter(models.values()))
    centre = mean_of_training(any_of)
    begin = time.process_time()
    source = make_source(any_of.recipe, "test", way=5, shot=shot, query=QUERIES, seed=0)
    found: dict[str, list[float]] = {}
    for name, model in models.items():
        scores = score_episodes(
            *(model.problem(), model.learner(), model.params, model.state),
            *(source.episode, EPISODES),
        )
        found[name] = scores.inductive.tolist()
    for index in range(EPISODES):
        support, query = source.episode(index)
        for name, value in alternatives(support, query, shot, centre).items():
            found.setdefault(name, []).append(value)
    made = row(5, shot, found, "logistic regression") | cost(begin)
    print(json.dumps(made["accuracy"]), flush=True)
    path = RESULTS / "encoders-photos.json"
    there = json.loads(path.read_text())["rows"] if path.is_file() else []
    rows = sorted([one for one in there if one["shot"] != shot] + [made], key=shot_of)
    write("photos", {"note": UNSEEN, "earlier": earlier(), "rows": rows})


def shot_of(one: Mapping[str, int]) -> int:
    return one["shot"]


def opened(run: str) -> FewShotModel:
    model = open_model(run, torch.device("cpu"), ignore).model
    assert isinstance(model, FewShotModel)
    return model


def mean_of_training(model: FewShotModel) -> np.ndarray:
    """Of the features of the training classes."""
    pool = make_source(model.recipe, "train", way=5, shot=1, query=1, seed=0).pool
    return pool.store[np.concatenate(pool.rows)].mean(0)


def alternatives(support, query, shot: int, centre: np.ndarray) -> dict[str, float]:  # type: ignore[no-untyped-def]
    """Accuracy of what needs no meta-training."""
    x, y = support.x.numpy(), support.y.numpy()
    asked, truth = query.x.numpy(), query.y.numpy()
    model = tuned(x, y, shot, Normalizer())
    moved, moved_query = unit(x - centre), unit(asked - centre)
    return {
        "logistic regression": right(model.predict(asked), truth),  # type: ignore[attr-defined]
        "nearest class mean": right(nearest(x, y, asked), truth),
        "SimpleShot": right(nearest(moved, y, moved_query), truth),
    }


def nearest(x: np.ndarray, y: np.ndarray, asked: np.ndarray) -> np.ndarray:
    means = np.stack([x[y == label].mean(0) for label in range(int(y.max()) + 1)])
    return np.asarray(((asked[:, None] - means) ** 2).sum(-1).argmin(1))


def unit(x: np.ndarray) -> np.ndarray:
    return x / np.maximum(np.linalg.norm(x, axis=1, keepdims=True), 1e-12)


def right(said: np.ndarray, truth: np.ndarray) -> float:
    return float(np.mean(np.asarray(said) == truth))


def earlier() -> list[dict[str, object]]:
    """What networks reach that were trained on CIFAR-FS alone."""
    found: list[dict[str, object]] = []
    for name in EARLIER:
        result = json.loads((RESULTS / f"{name}.json").read_text())
        found += [
            {"recipe": name, **{key: one[key] for key in ("way", "shot", "mean", "ci95")}}
            for one in result["evaluate"]
        ]
    return found


def texts(files: Sequence[str]) -> None:
    """Test intents of each division by the head of that division."""
    lists = json.loads((shared("clinc150") / "class_splits.json").read_text())
    known = clinc()
    rows = []
    for way, shot in ((50, 5), (10, 5)):
        begin = time.process_time()
        found: dict[str, list[float]] = {}
        divisions: list[int] = []
        for division, file in enumerate(files, 1):
            head = {
                k: v.astype(np.float32) for k, v in load_tensors(Path(file).read_bytes()).items()
            }
            names = sorted(lists[f"{division:02}"]["test"])
            for number in range(DRAWS):
                divisions.append(division)
                values = draw(known, names, head, (division, number), way, shot)
                for name, value in values.items():
                    found.setdefault(name, []).append(value)
                print(way, shot, division, number, values, flush=True)
        made = row(way, shot, found, "texts+ngrams") | cost(begin)
        made["by division"] = by_division(found, divisions)
        rows.append(made)
        write("texts", {"data": "clinc150", "divisions": divisions, "rows": rows})


def draw(
    known: Mapping[tuple[str, str], list[str]],
    names: Sequence[str],
    head: Mapping[str, np.ndarray],
    seed: tuple[int, int],
    way: int,
    shot: int,
) -> dict[str, float]:
    rng = np.random.default_rng([150, *seed, way, shot])
    labels = [names[i] for i in sorted(rng.choice(len(names), way, False))]
    support = [
        (str(text), n)
        for n, label in enumerate(labels)
        for text in rng.permutation(known["train", label])[:shot]
    ]
    query = [(text, n) for n, label in enumerate(labels) for text in known["test", label][:ASKED]]
    (said, y), (asked, truth) = (map(list, zip(*half, strict=True)) for half in (support, query))
    hashed, static = HashedText(sublinear=True).fit(said), StaticText()
    spelled = [
        JoinedText(static, hashed).share * hashed.encode(one).toarray() for one in (said, asked)
    ]
    meaning = [unit(static.encode(one)) for one in (said, asked)]
    learned = [projected(sums(one, head), head) for one in (said, asked)]
    features = {
        "wordllama": meaning,
        "ngrams": spelled,
        "texts+ngrams": [np.concatenate(pair, 1) for pair in zip(meaning, spelled, strict=True)],
        "intents": learned,
        "intents+ngrams": [np.concatenate(pair, 1) for pair in zip(learned, spelled, strict=True)],
    }
    return {
        name: right(answers(x, np.array(y), z, shot), np.array(truth))
        for name, (x, z) in features.items()
    }


def sums(texts_: Sequence[str], head: Mapping[str, np.ndarray]) -> np.ndarray:
    """Sums of weighed embeddings, as `StaticText.encode` makes them."""
    table, weight = table_of("wordllama"), np.exp(head[TOKENS])
    tokens = StaticText().tokens(list(texts_))
    return np.stack([weight[one] @ table[one] for one in tokens]).astype(np.float32)


def answers(x: np.ndarray, y: np.ndarray, asked: np.ndarray, shot: int) -> np.ndarray:
    """Of logistic regression, its C by cross-validation of the support. Its weights lie in the span
    of the support, so that it sees the coordinates there: the same answers, in fewer numbers."""
    basis = np.linalg.qr(x.T.astype(np.float64))[0]
    x, asked = x @ basis, asked @ basis
    folds = StratifiedKFold(min(3, shot), shuffle=True, random_state=0)
    grid = {"C": [1.0, 10.0, 100.0, 1000.0]}
    model = LogisticRegression(max_iter=5000, tol=1e-6)
    return np.asarray(GridSearchCV(model, grid, cv=folds).fit(x, y).predict(asked))


def by_division(
    found: Mapping[str, Sequence[float]], divisions: Sequence[int]
) -> dict[str, dict[str, object]]:
    """Means of each, and the interval of the difference over divisions."""
    numbers = sorted(set(divisions))
    means = {
        name: [float(np.mean(np.array(values)[np.array(divisions) == n])) for n in numbers]
        for name, values in found.items()
    }
    gain = [a - b for a, b in zip(means["intents+ngrams"], means["texts+ngrams"], strict=True)]
    return {"accuracy": dict(means), "intents+ngrams minus texts+ngrams": dict(interval(gain))}


def row(way: int, shot: int, found: Mapping[str, list[float]], against: str) -> dict[str, object]:
    """Means, and paired differences to one of them."""
    other = np.array(found[against])
    return {
        "way": way,
        "shot": shot,
        "accuracy": {name: interval(values) for name, values in found.items()},
        f"minus {against}": {
            name: interval((np.array(values) - other).tolist())
            for name, values in found.items()
            if name != against
        },
    }


def cost(begin: float) -> dict[str, object]:
    return {"processor seconds": round(time.process_time() - begin)}


def write(name: str, result: dict[str, object]) -> None:
    (RESULTS / f"encoders-{name}.json").write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    {"photos": photos, "texts": texts}[sys.argv[1]](sys.argv[2:])
