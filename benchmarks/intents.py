"""Intents that were never seen: five folds of CLINC150 under both protocols and of HWU64, beside
TF-IDF and logistic regression on the same supports; and requests that mean none of the intents.

    python benchmarks/intents.py            # every plan, into benchmarks/results/intents.json
    python benchmarks/intents.py hwu64      # one of them, into the same file
    python benchmarks/intents.py --table    # only the the documentation's table, from that file

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
from metacli.engine.scoring.simple_scores import TFIDF
from metacli.engine.storage.paths import cache_root, require_device
from metacli.engine.training.few_shot.sources import make_source

RESULTS = Path(__file__).resolve().parent / "results"
FILE = RESULTS / "intents.json"
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


def main() -> None:
    table_only = sys.argv[1:] == ["--table"]
    wanted = [name for name in PLANS if not sys.argv[1:] or sys.argv[1] in name]
    for name in wanted:
        recipe, words, settings = PLANS[name]
        with tempfile.TemporaryDirectory() as scratch:
            folds = [
                one_fold(recipe, [*words, f"data.fold={fold}"], settings, Path(scratch) / str(fold))
                for fold in FOLDS
            ]
        whole = json.loads(FILE.read_text()) if FILE.exists() else {}
        whole[name] = {
            "recipe": recipe,
            "overrides": words,
            "folds": len(FOLDS),
            "episodes_of_each_fold": {f"{way}-way": count for way, count in EPISODES.items()},
            "threads": torch.get_num_threads(),
            "settings": [over_folds(setting, folds) for setting in settings],
        }
        FILE.write_text(json.dumps(whole, indent=1) + "\n")
    if wanted or table_only:
        result_pages.replace(PAGE, BEGIN, END, table())


def table() -> str:
    """Markdown from the results file; accuracies in %."""
    lines = [
        "| requests | task | metacli | TF-IDF + logistic regression | lead, 95 % over 5 folds "
        "| out of scope, AUROC | above max-softmax |",
        "| --- | --- | --- | --- | --- | --- | --- |",
    ]
    whole = json.loads(FILE.read_text())
    for name in [name for name in PLANS if name in whole]:
        for found in whole[name]["settings"]:
            low, high = (100 * value for value in found["delta_ci95"])
            cells = [
                name,
                f"{found['way']}-way {found['shot']}-shot",
                f"**{100 * found['accuracy']:.1f}**",
                f"{100 * found['tfidf_logistic']:.1f}",
                f"{100 * found['delta']:+.1f} ({low:+.1f} to {high:+.1f})",
                *strange_cells(found.get("out_of_scope")),
            ]
            lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def strange_cells(found: dict[str, Any] | None) -> list[str]:
    if found is None:
        return ["", ""]
    low, high = (100 * value for value in found["delta_ci95"])
    return [
        f"{100 * found[LOGIT]:.1f}",
        f"{100 * found['delta']:+.2f} ({low:+.2f} to {high:+.2f})",
    ]


def one_fold(recipe: str, words: list[str], settings: list[Setting], out: Path) -> dict[str, Any]:
    """A model of one fold, and what it reaches."""
    run = str(meta_train(recipe, words, out=str(out))["run"])
    found: dict[str, Any] = {}
    for way, shot in settings:
        result = evaluate(run, way=way, shot=shot, query=10, episodes=EPISODES[way])
        simple = result["baselines"][TFIDF]
        found[f"{way}w{shot}s"] = (result["mean"], simple["mean"])
        say(f"{words} {way}-way {shot}-shot {result['mean']:.4f}, tf-idf {simple['mean']:.4f}")
        if recipe.startswith("clinc150"):
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
    """Means, and the difference with its interval over folds."""
    pairs = np.array([fold["{}w{}s".format(*setting)] for fold in folds])
    delta, low, high = paired(pairs[:, 0] - pairs[:, 1])
    return {
        "way": setting[0],
        "shot": setting[1],
        "accuracy": float(pairs[:, 0].mean()),
        "tfidf_logistic": float(pairs[:, 1].mean()),
        "delta": delta,
        "delta_ci95": [low, high],
        "by_fold": pairs.tolist(),
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
