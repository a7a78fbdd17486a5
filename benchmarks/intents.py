"""Intents that were never seen: five folds of CLINC150 under both protocols and of HWU64, beside
simple methods on the same supports; and requests that mean none of the intents.

    python benchmarks/intents.py              # every plan, into benchmarks/results/intents.json
    python benchmarks/intents.py hwu64        # one of them, into the same file
    python benchmarks/intents.py --baselines  # only what the models are compared with
    python benchmarks/intents.py --table      # only the documentation's table, from that file

The model has the settings of its recipe. It is compared with TF-IDF of words and characters and a
linear support vector machine or logistic regression, which of the two and with which C chosen on
folds of each support (`simple.texts.CHOICES`, written down before the test episodes were read);
with the same network untrained, which tells what meta-training adds; and with TF-IDF of words
alone and logistic regression, scikit-learn's with their defaults. `--baselines` draws the same
episodes again, and ends where words alone do not give what the file has of them.

A difference is averaged over the episodes of a fold; its interval is Student's t over the five
folds, which hold different test classes, so it speaks of other intents too.
"""

from __future__ import annotations

import json
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import result_pages
import torch
from sklearn.metrics import roc_auc_score

from metacli.data.catalogue.intents import out_of_scope
from metacli.engine.adapting.scoring import answers_of
from metacli.engine.adapting.sources import prepared
from metacli.engine.evaluate import evaluate
from metacli.engine.meta_train import meta_train
from metacli.engine.models.opening import open_model
from metacli.engine.scoring.intervals import paired
from metacli.engine.scoring.simple_scores import TFIDF, TUNED
from metacli.engine.storage.paths import cache_root, require_device
from metacli.engine.training.few_shot.sources import make_source

RESULTS = Path(__file__).resolve().parent / "results"
FILE = RESULTS / "intents.json"
BUILD = Path(__file__).resolve().parent.parent / "build" / "intents"
PAGE = result_pages.TEXTS
BEGIN, END = "<!-- intents: made by benchmarks/intents.py -->", "<!-- end of intents -->"
FOLDS = (1, 2, 3, 4, 5)
EPISODES = {10: 16, 50: 8}  # of each fold and setting, by way: a query has 10 examples a class
TASKS = 3  # of each fold and setting, for what means none of the intents
LOGIT, SOFTMAX = "auroc_largest_logit", "auroc_max_softmax"
Setting = tuple[int, int]
PLANS: dict[str, tuple[str, list[str], list[Setting]]] = {
    "clinc150, unseen intents": (
        *("clinc150-10w5s-r2d2", ["data.scheme=intents"]),
        [(10, 5), (10, 10), (50, 5), (50, 10)],
    ),
    "hwu64, unseen intents": ("hwu64-10w5s-r2d2", [], [(10, 5), (10, 10)]),
    "clinc150, unseen domains": (
        *("clinc150-10w5s-r2d2", ["data.scheme=domains"]),
        [(10, 5), (10, 10)],
    ),
}


COMPARED = {  # in the file: in the result of `evaluate`
    "tfidf_tuned": TUNED,
    "untrained": "untrained",
    "tfidf_logistic": TFIDF,
}


def main() -> None:
    words = sys.argv[1:]
    if words == ["--table"]:
        return result_pages.replace(PAGE, BEGIN, END, table())
    only = "--baselines" in words
    named = [word for word in words if word != "--baselines"]
    for name in [name for name in PLANS if not named or named[0] in name]:
        recipe, overrides, settings = PLANS[name]
        whole = json.loads(FILE.read_text()) if FILE.exists() else {}
        before: list[dict[str, Any]] | None = whole[name]["settings"] if only else None
        more = ["train.steps=1", "evaluate.episodes=2"] if only else []
        with tempfile.TemporaryDirectory() as scratch:
            folds = [
                one_fold(
                    *(recipe, [*overrides, f"data.fold={fold}", *more], settings),
                    *(Path(scratch) / str(fold), only),
                )
                for fold in FOLDS
            ]
        if before is not None:
            folds = [with_model(found, before, k) for k, found in enumerate(folds)]
        whole[name] = {
            "recipe": recipe,
            "overrides": overrides,
            "folds": len(FOLDS),
            "episodes_of_each_fold": {f"{way}-way": count for way, count in EPISODES.items()},
            "threads": torch.get_num_threads(),
            "settings": [over_folds(setting, folds) for setting in settings],
        }
        if before is not None:  # requests that mean none of the intents are the model's own
            for old, new in zip(before, whole[name]["settings"], strict=True):
                new["out_of_scope"] = old.get("out_of_scope")
        FILE.write_text(json.dumps(whole, indent=1) + "\n")
        for kept in BUILD.glob(f"{recipe} *.json"):
            kept.unlink()
    return result_pages.replace(PAGE, BEGIN, END, table())


def with_model(found: dict[str, Any], before: list[dict[str, Any]], fold: int) -> dict[str, Any]:
    """What the file has of the models, in the place of one that was hardly trained; words alone
    have to be as they were, since they depend on the episodes and on nothing else."""
    for old in before:
        scores = found["{way}w{shot}s".format(**old)]
        told = {name: values[fold] for name, values in old["by_fold"].items()}
        if abs(told["tfidf_logistic"] - scores["tfidf_logistic"]) > 1e-9:
            raise SystemExit(f"other episodes than before: {old['way']}-way, fold {fold + 1}")
        scores["accuracy"] = told["accuracy"]
    return found


def table() -> str:
    """Markdown from the results file; accuracies in %."""
    lines = [
        "| requests | task | metacli | tuned TF-IDF of words and characters "
        "| lead, 95 % over 5 folds | untrained | training adds | TF-IDF of words "
        "| out of scope, AUROC | above max-softmax |",
        "| --- " * 10 + "|",
    ]
    whole = json.loads(FILE.read_text())
    for name in [name for name in PLANS if name in whole]:
        for found in [one for one in whole[name]["settings"] if "minus" in one]:
            cells = [
                name,
                f"{found['way']}-way {found['shot']}-shot",
                f"**{100 * found['accuracy']:.1f}**",
                f"{100 * found['tfidf_tuned']:.1f}",
                points(found["minus"]["tfidf_tuned"]),
                f"{100 * found['untrained']:.1f}",
                points(found["minus"]["untrained"]),
                f"{100 * found['tfidf_logistic']:.1f}",
                *strange_cells(found.get("out_of_scope")),
            ]
            lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def points(found: dict[str, Any]) -> str:
    low, high = (100 * value for value in found["delta_ci95"])
    return f"{100 * found['delta']:+.1f} ({low:+.1f} to {high:+.1f})"


def strange_cells(found: dict[str, Any] | None) -> list[str]:
    if found is None:
        return ["", ""]
    low, high = (100 * value for value in found["delta_ci95"])
    return [
        f"{100 * found[LOGIT]:.1f}",
        f"{100 * found['delta']:+.2f} ({low:+.2f} to {high:+.2f})",
    ]


def one_fold(
    recipe: str, words: list[str], settings: list[Setting], out: Path, only: bool
) -> dict[str, Any]:
    """A model of one fold, and what it and the others reach; `only`: without strange requests. What
    a run that was stopped has measured is kept in build/intents."""
    kept = BUILD / f"{recipe} {' '.join(words)}.json"
    if kept.is_file():
        found: dict[str, Any] = json.loads(kept.read_text())
        return found
    found = measured_fold(recipe, words, settings, out, only)
    BUILD.mkdir(parents=True, exist_ok=True)
    kept.write_text(json.dumps(found))
    return found


def measured_fold(
    recipe: str, words: list[str], settings: list[Setting], out: Path, only: bool
) -> dict[str, Any]:
    run = str(meta_train(recipe, words, out=str(out))["run"])
    found: dict[str, Any] = {}
    for way, shot in settings:
        result = evaluate(run, way=way, shot=shot, query=10, episodes=EPISODES[way])
        others = {key: result["baselines"][name]["mean"] for key, name in COMPARED.items()}
        found[f"{way}w{shot}s"] = {"accuracy": result["mean"], **others}
        say(f"{words} {way}-way {shot}-shot {found[f'{way}w{shot}s']}")
        if recipe.startswith("clinc150") and not only:
            found[f"{way}w{shot}s strange"] = strange = unknown(run, way, shot)
            say(f"{words} {way}-way {shot}-shot out of scope: {strange}")
    return found


@torch.no_grad()
def unknown(run: str, way: int, shot: int) -> tuple[float, float]:
    """AUROC of telling the 1,000 out-of-scope requests from queries of known intents: by the
    largest logit, which `--reject auto` goes by, and by the largest probability."""
    opened = open_model(run, require_device("cpu"), lambda _: None)
    model = opened.model
    texts = out_of_scope(cache_root())["test"]
    strange = torch.from_numpy(model.inputs.encoder.encode(texts).toarray())
    episodes = make_source(model.recipe, "test", way=way, shot=shot, query=10, seed=0)
    answer = answers_of(prepared(opened, (), "native"), way)
    far, unsure = [], []
    for index in range(TASKS):
        support, query = episodes.episode(index)
        logits = answer(support, torch.cat([query.x, strange]))
        foreign = np.r_[np.zeros(len(query.x)), np.ones(len(strange))]
        far.append(roc_auc_score(foreign, -logits.max(1).values.numpy()))
        unsure.append(roc_auc_score(foreign, -torch.softmax(logits, 1).max(1).values.numpy()))
    return float(np.mean(far)), float(np.mean(unsure))


def over_folds(setting: Setting, folds: list[dict[str, Any]]) -> dict[str, Any]:
    """Means, and the differences with their intervals over folds."""
    each = [fold["{}w{}s".format(*setting)] for fold in folds]
    by_fold = {name: [one[name] for one in each] for name in ("accuracy", *COMPARED)}
    minus = {}
    for name in COMPARED:
        delta, low, high = paired(np.array(by_fold["accuracy"]) - np.array(by_fold[name]))
        minus[name] = {"delta": delta, "delta_ci95": [low, high]}
    return {
        "way": setting[0],
        "shot": setting[1],
        **{name: float(np.mean(values)) for name, values in by_fold.items()},
        "minus": minus,
        "by_fold": by_fold,
        "out_of_scope": auroc_over_folds(setting, folds),
    }


def auroc_over_folds(setting: Setting, folds: list[dict[str, Any]]) -> dict[str, Any] | None:
    name = "{}w{}s strange".format(*setting)
    if name not in folds[0]:
        return None
    both = np.array([fold[name] for fold in folds])
    delta, low, high = paired(both[:, 0] - both[:, 1])
    return {
        LOGIT: float(both[:, 0].mean()),
        SOFTMAX: float(both[:, 1].mean()),
        "delta": delta,
        "delta_ci95": [low, high],
    }


def say(line: str) -> None:
    sys.stderr.write(f"{line}\n")
    sys.stderr.flush()


if __name__ == "__main__":
    main()
