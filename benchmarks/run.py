"""Train and evaluate shipped recipes; write benchmarks/results/<recipe>.json and the README's
table.

    python benchmarks/run.py                            # every recipe of PLANS, then the table
    python benchmarks/run.py omniglot-5w1s-protonet     # these
    python benchmarks/run.py --table                    # only the table, from the results that are
    there
    python benchmarks/run.py --simple school-10shot-maml  # adds simple methods that a result lacks

A result holds the commands' own JSON `result`s, so whoever reads the command line can read a
benchmark. It names the commit that trained and the one that evaluated: a finished run may be
evaluated again (`--run`).
"""

from __future__ import annotations

import argparse
import json
import platform
import resource
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import result_pages
import result_tables

from metacli.data.few_shot.regression import RegressionEpisodes
from metacli.engine.scoring.intervals import over_episodes
from metacli.engine.scoring.simple_scores import (
    POOLED,
    SHRUNKEN,
    pooled_ridge,
    shrunken_ridge,
)
from metacli.engine.training.few_shot.build import build_few_shot
from metacli.engine.training.few_shot.sources import make_source, regression_tasks_of
from metacli.schema.load import load

HERE = Path(__file__).resolve().parent
RESULTS = HERE / "results"
PAGE = result_pages.FEW_SHOT
BEGIN, END = "<!-- results: made by benchmarks/run.py -->", "<!-- end of results -->"

Options = dict[str, Any]
CHARACTERS: list[Options] = [
    {"way": 5, "shot": 1, "query": 15},
    {"way": 5, "shot": 5, "query": 15},
    {"way": 20, "shot": 1, "query": 5},
    {"way": 20, "shot": 5, "query": 5},
]
AS_MANY: list[Options] = [  # queries as shots, as the authors of MAML have it
    {"way": way, "shot": shot, "query": shot} for way in (5, 20) for shot in (1, 5)
]
ANY_WAY: list[Options] = [
    {"way": n, "shot": "1-10", "query": 10, "episodes": 200} for n in (3, 7, 20, 50)
]
WAVES: list[Options] = [{"episodes": 2000}, {"shot": 5, "episodes": 2000}]
FURTHER: list[Options] = [{**options, "inner_steps": 10} for options in WAVES]  # than in training
INTENTS: list[Options] = [{"way": 10, "shot": 5, "query": 10, "episodes": 60}]
PHOTOGRAPHS: list[Options] = [{"way": 5, "shot": 1}, {"way": 5, "shot": 5}]
PLANS: dict[str, list[Options]] = {
    "glyphs-5w1s-protonet": [
        {"way": 5, "shot": 1},
        {"way": 5, "shot": 5},
        {"way": 20, "shot": 1, "query": 5},
    ],
    "omniglot-5w1s-protonet": CHARACTERS,
    "omniglot-20w1s-protonet": [
        *CHARACTERS,
        {"data": "mnist", "way": 5, "shot": 1, "query": 15},
        {"data": "mnist", "way": 10, "shot": 5, "query": 15},
        {"data": "kannada-mnist", "way": 5, "shot": 1, "query": 15},
        {"data": "kannada-mnist", "way": 10, "shot": 5, "query": 15},
    ],
    "omniglot-20w1s-protonet-random": CHARACTERS,
    "omniglot-20w1s-protonet-warp": [],  # tried, and no better on validation classes
    "omniglot-20w1s-r2d2": CHARACTERS,
    "omniglot-20w1s-anil": CHARACTERS,
    "omniglot-20w1s-maml": AS_MANY,
    "omniglot-20w1s-maml-vinyals": AS_MANY,
    "cifar-fs-protonet": PHOTOGRAPHS,
    "cifar-fs-r2d2": PHOTOGRAPHS,
    "cifar-fs-maml": PHOTOGRAPHS,
    "cifar-fs-pretrain": PHOTOGRAPHS,
    "omniglot-5w1s-reptile": [{"way": 5, "shot": k, "query": 1} for k in (1, 5)],
    "omniglot-5w1s-reptile-published": [{"way": 5, "shot": k, "query": 1} for k in (1, 5)],
    "omniglot-20w1s-reptile": [{"way": 20, "shot": k, "query": 1} for k in (1, 5)],
    "omniglot-5w1s-maml": [{"way": 5, "shot": 1, "query": 1}, {"way": 5, "shot": 1, "query": 15}],
    "sinusoid-10shot-maml": [WAVES[0], *FURTHER],
    "sinusoid-10shot-meta_sgd": WAVES,
    "sinusoid-10shot-maml_plus_plus": WAVES,
    "sinusoid-10shot-cavia": WAVES,
    "sinusoid-10shot-anil": WAVES,
    "sinusoid-10shot-fomaml": WAVES,
    "sinusoid-10shot-boil": WAVES,
    "sinusoid-10shot-reptile": WAVES,
    "sinusoid-10shot-imaml": WAVES,
    "clinc150-10w5s-r2d2": [
        {"way": 10, "shot": 5, "query": 10, "episodes": 60},
        {"way": 10, "shot": 10, "query": 10, "episodes": 60},
        {"way": 50, "shot": 5, "query": 5, "episodes": 12},
        {"way": 50, "shot": 10, "query": 5, "episodes": 12},
    ],
    "hwu64-10w5s-r2d2": [{"way": 10, "shot": 5, "query": 10, "episodes": 60}],
    "texts-10w5s-r2d2": [{"way": 10, "shot": 5, "query": 10, "episodes": 60}],
    "texts-words-protonet": INTENTS,
    "texts-words-r2d2": INTENTS,
    "texts-words-maml": INTENTS,
    "texts-words-anil": INTENTS,
    "school-10shot-maml": [{"episodes": 600}],
    "computer-buyers-8shot-maml": [{"episodes": 600}],
    "glyphs-anyway-maml": ANY_WAY,
    "glyphs-anyway-protonet": ANY_WAY,
}
# The same recipe with other settings: a result of its own, under this name.
VARIANTS: dict[str, tuple[str, list[str]]] = {
    "omniglot-5w1s-reptile-published": (  # the authors' number of steps
        "omniglot-5w1s-reptile",
        [
            "train.steps=100000",
            "train.execution=compiled",
            "train.precision=bfloat16",
            "evaluate.every=10000",
        ],
    ),
    "omniglot-20w1s-protonet-random": ("omniglot-20w1s-protonet", ["data.scheme=random"]),
    "omniglot-20w1s-protonet-warp": ("omniglot-20w1s-protonet", ["episodes.warp=0.2"]),
    "omniglot-20w1s-maml-vinyals": (
        "omniglot-20w1s-maml",
        ["data.scheme=vinyals", "train.steps=26000", "evaluate.every=2600"],
    ),
}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("recipes", nargs="*", metavar="RECIPE")
    parser.add_argument("--table", action="store_true", help="only write the table")
    parser.add_argument("--run", help="evaluate this finished run instead of training one")
    parser.add_argument("--simple", action="store_true", help="only simple methods that lack")
    given = parser.parse_args()
    unknown = set(given.recipes) - set(PLANS)
    if unknown:
        parser.error(f"no plan for {', '.join(sorted(unknown))}")
    if not given.table:
        for recipe in given.recipes or PLANS:
            add_simple(recipe) if given.simple else measure(recipe, given.run)
    write_table()


def measure(name: str, run: str | None) -> None:
    """One recipe, trained unless a run is given, and evaluated as its plan says."""
    start, used = time.time(), processor_seconds()
    recipe, changes = VARIANTS.get(name, (name, []))
    command = ["meta-train", recipe, *changes]
    train = metacli(*command) if run is None else trained(recipe, changes, run)
    took = time.time() - start if run is None else seconds_of(train["run"])
    facts = json.loads((Path(train["run"]) / "run.json").read_text())
    if run is None and facts["threads"] == 1:  # what a core takes that does nothing else
        took = min(took, processor_seconds() - used)
    commands, scores = [["metacli", *command]], []
    for options in PLANS[name]:
        words = words_of(options)
        scores.append(relative(metacli("evaluate", train["run"], *words)))
        commands.append(["metacli", "evaluate", "@last", *words])
    result = {
        "recipe": recipe,
        "name": name,
        "commands": [" ".join(words) for words in commands],
        "train_commit": (facts.get("commit") or "")[:7] or None,
        "evaluate_commit": commit(),
        "machine": machine(),
        "threads": facts["threads"],
        "versions": facts["versions"],
        "hours": round(took / 3600, 4),
        "train": relative(train),
        "curve": curve(Path(train["run"])),
        "evaluate": scores,
    }
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / f"{name}.json").write_text(json.dumps(result, indent=1) + "\n")


def add_simple(name: str) -> None:
    """Of few-shot regressions the ridge regressions of all training tasks that a result lacks, on
    its episodes; what it has comes out as it is there, or the program ends."""
    path = RESULTS / f"{name}.json"
    result = json.loads(path.read_text())
    recipe = build_few_shot(load(result["recipe"])).recipe
    learned = regression_tasks_of(recipe, "train")
    for score in result["evaluate"]:
        sizes = {key: score[key] for key in ("way", "shot", "query")}
        source = make_source(recipe, score["split"], seed=score["episodes_seed"], **sizes)
        assert isinstance(source, RegressionEpisodes)
        methods = {POOLED: pooled_ridge(source, learned), SHRUNKEN: shrunken_ridge(source, learned)}
        for method, error in methods.items():
            found = over_episodes(np.array([error(k) for k in range(score["episodes"])]))
            there = score["baselines"].setdefault(method, found.as_dict())
            if abs(there["mean"] / found.mean - 1) > 1e-5:
                raise SystemExit(f"{name}: {method} is {found.mean}, and was {there['mean']}")
    path.write_text(json.dumps(result, indent=1) + "\n")


def words_of(options: Options) -> list[str]:
    """The words of `evaluate` for one entry of a plan; `data` is another data set, `inner_steps` a
    field of the learner."""
    named = [
        word
        for key, value in options.items()
        if key not in ("data", "inner_steps")
        for word in (f"--{key}", str(value))
    ]
    field = [f"inner_steps={options['inner_steps']}"] if "inner_steps" in options else []
    return [*([options["data"]] if "data" in options else []), *named, *field]


def curve(run: Path) -> list[dict[str, Any]]:
    """Every validation while the run trained: step, metric, mean and half of its interval."""
    lines = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    return [
        {"step": line["step"], "metric": name, "mean": found["mean"], "ci95": found["ci95"]}
        for line in lines
        for name, found in line.get("val", {}).items()
    ]


def metacli(*words: str) -> dict[str, Any]:
    """The `result` of a command, which is shown as it runs."""
    sys.stderr.write(f"$ metacli {' '.join(words)}\n")
    program = Path(sys.executable).with_name("metacli")
    done = subprocess.run([program, *words, "--json"], stdout=subprocess.PIPE, check=True)
    result: dict[str, Any] = json.loads(done.stdout)["result"]
    return result


def trained(recipe: str, changes: list[str], run: str) -> dict[str, Any]:
    """What meta-train said of a run that is there already, which must be of this very recipe."""
    details = metacli("inspect", run)["details"]
    path = Path(run).absolute()
    wanted, found = settings(recipe, changes), settings(str(path / "recipe.yaml"), [])
    if wanted != found:
        different = [key for key in wanted if wanted[key] != found[key]]
        sys.exit(f"{run} is not a run of {recipe}: {', '.join(different)}")
    metrics = json.loads((path / "metrics.json").read_text())
    return {"run": str(path), "metrics": metrics, "steps": details.get("steps")}


def settings(recipe: str, changes: list[str]) -> dict[str, Any]:
    """What a run of the recipe is made with, apart from how its computation is divided."""
    plain = build_few_shot(load(recipe, changes)).recipe.plain()
    plain.pop("expect")
    for key in ("execution", "chunk"):
        plain["train"].pop(key)
    return plain


def processor_seconds() -> float:
    """Of the commands that have ended."""
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def seconds_of(run: str) -> float:
    return float(json.loads((Path(run) / "run.json").read_text())["seconds"])


def relative(result: dict[str, Any]) -> dict[str, Any]:
    """Without the paths of the machine that it was measured on."""
    return {
        k: v for k, v in result.items() if k not in ("run", "model", "scores", "resume_command")
    }


def commit() -> str:
    done = subprocess.run(
        ["git", "rev-parse", "--short", "HEAD"],
        cwd=HERE,
        capture_output=True,
        text=True,
        check=False,
    )
    return done.stdout.strip()


def machine() -> str:
    cpu = platform.processor() or platform.machine()
    info = Path("/proc/cpuinfo")
    if info.exists():
        models = [line for line in info.read_text().splitlines() if line.startswith("model name")]
        cpu = models[0].partition(":")[2].strip() if models else cpu
    return f"{cpu}, {len(models) if info.exists() else 0} cores"


def table() -> str:
    """Markdown tables from every results file, in the order of PLANS."""
    paths = [RESULTS / f"{name}.json" for name in PLANS]
    return result_tables.tables([json.loads(path.read_text()) for path in paths if path.exists()])


def write_table() -> None:
    result_pages.replace(PAGE, BEGIN, END, table())


if __name__ == "__main__":
    main()
