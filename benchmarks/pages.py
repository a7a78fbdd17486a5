"""One page for each algorithm, made of what is there already: its file's docstring, its fields, the
shipped recipes and the results files.

    python benchmarks/pages.py        # writes docs/algorithms/*.md, and metacli/__init__.pyi

A test fails when a page is stale. What a page says is changed where it comes from.
"""

from __future__ import annotations

import ast
import dataclasses
import json
import re
import sys
from functools import cache
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any

import metacli
import metacli.algorithms
from metacli.algorithms import ALGORITHMS, Entry, canonical
from metacli.schema.load import load, shipped

ROOT = Path(__file__).resolve().parents[1]
PAGES = ROOT / "docs" / "algorithms"
STUB = ROOT / "metacli" / "__init__.pyi"
PUBLISHED = Path(__file__).resolve().parent / "published.json"
HEADINGS = (
    *("Idea", "Equation", "Recipe and command", "What the metrics mean"),
    *("Details that matter", "Results", "Differences from the paper"),
)
METRICS = {
    "meta": """\
`query_loss` and `query_accuracy` (regression: `query_mse`) are means over a meta-batch of
training tasks, *after* adaptation, on their queries. Validation and `evaluate` give the mean
over episodes of classes that training never saw with a 95 % interval: *inductive* answers every
query by itself, as `predict` does; *transductive* normalises over all queries of an episode
together, and is null where no layer uses batch statistics.""",
    "multitask": """`loss/<task>` is a task's own loss on its training rows, `loss` their plain mean
whatever the weights are. `evaluate` gives each task's metric on rows that training never read
beside the same network trained for that task alone; `delta` is the difference, with its interval
and a verdict that allows for the number of tasks.""",
    "meta-multitask": """\
`query_loss` and `query_mse` are means over a meta-batch of training sets. Validation sets are
fixed: *joint* answers a task from the labels of all tasks of its set, *separate* from its own.""",
    "transfer": """`adapt` prints the score on held-out examples and how they were held out, beside
logistic or ridge regression on the raw inputs; the verdict says whether the source helps.""",
}


# The rates that `protocols/meta_multitask.md` found, for learners of sets without a recipe.
SET_WORDS = {
    "mmaml": "algorithm.inner_lr=0.1 train.lr=0.01",
    "manil": "algorithm.inner_lr=0.1 train.lr=0.01",
    "mcavia": "algorithm.inner_lr=3",
    "mreptile": "train.optimizer=sgd train.lr=1 train.schedule=linear train.clip=null",
    "coupled": "algorithm.context=8 algorithm.adapts=[context.] algorithm.inner_lr=3",
}


def main() -> None:
    PAGES.mkdir(parents=True, exist_ok=True)
    for name in ALGORITHMS:
        (PAGES / f"{name}.md").write_text(page(name))
    (PAGES / "README.md").write_text(index())
    STUB.write_text(stub())


def stub() -> str:
    """The types of what `import metacli` offers, which is imported on first use."""
    names = {
        **{name: f"engine.{name}" for name in metacli._VERBS},
        **metacli._OTHERS,
        **metacli._algorithms(),
    }
    lines = [
        "# Made by `python benchmarks/pages.py`.",
        *sorted(f"from metacli.{module} import {name} as {name}" for name, module in names.items()),
    ]
    return "\n".join([*lines, "", "__version__: str"]) + "\n"


def index() -> str:
    """Every page, by family."""
    lines = ["# Algorithms", "", "Made by `python benchmarks/pages.py`; one page each."]
    for family in METRICS:
        names = [name for name, entry in ALGORITHMS.items() if entry.family == family]
        lines += ["", f"## {family}", ""]
        lines += [f"- [{name}]({name}.md): {ALGORITHMS[name].summary}" for name in names]
    return "\n".join(lines) + "\n"


def page(name: str) -> str:
    entry = ALGORITHMS[name]
    said = parts_of(docstring(entry))
    bodies = {
        "Idea": said["idea"],
        "Equation": said["equation"],
        "Recipe and command": commands(name, entry),
        "What the metrics mean": METRICS[entry.family],
        "Details that matter": "\n\n".join(filter(None, (said["details"], fields(entry)))),
        "Results": results(name),
        "Differences from the paper": said["differences"],
    }
    assert tuple(bodies) == HEADINGS
    sections = [f"## {heading}\n\n{body}" for heading, body in bodies.items()]
    top = f"# {name}\n\n{sentence(entry.summary)}\n\n{said['source']}"
    return "\n\n".join([top, *sections]) + "\n"


def docstring(entry: Entry) -> str:
    root = Path(metacli.algorithms.__file__).parent
    source = (root / (entry.module.replace(".", "/") + ".py")).read_text()
    return ast.get_docstring(ast.parse(source), clean=True) or ""


def parts_of(text: str) -> dict[str, str]:
    """The paragraphs of an algorithm's docstring by what they say; equations are indented."""
    source, *rest = re.split(r"\n\n+", text.strip())
    for start in ("Idea: ", "Where we differ"):
        assert any(part.startswith(start) for part in rest), f"no paragraph {start!r}: {source}"
    at = {
        "idea": next(i for i, part in enumerate(rest) if part.startswith("Idea: ")),
        "differences": next(i for i, part in enumerate(rest) if part.startswith("Where we differ")),
    }
    between = rest[at["idea"] + 1 : at["differences"]]
    shown = [f"```\n{dedented(p)}\n```" if p.startswith("    ") else p for p in between]
    assert any(part.startswith("```") for part in shown), f"no equation: {source}"
    return {
        "source": source,
        "idea": sentence(rest[at["idea"]].removeprefix("Idea: ")),
        "equation": "\n\n".join(shown),
        "details": "\n\n".join(rest[at["differences"] + 1 :]),
        "differences": sentence(
            re.sub(r"^Where we differ[^:]*: ?", "", rest[at["differences"]], count=1)
        ),
    }


def dedented(text: str) -> str:
    return "\n".join(line[4:] for line in text.splitlines())


def sentence(text: str) -> str:
    if text[1:2].isalpha():  # a word, not a symbol
        text = text[:1].upper() + text[1:]
    return text if text.endswith((".", ")")) else text + "."


def commands(name: str, entry: Entry) -> str:
    """Commands that run it: the shipped recipes with it, else another recipe with it put in."""
    if entry.family == "transfer":
        return block([f"metacli adapt MODEL TASK --method {name}"])
    verb = "multitask" if entry.family == "multitask" else "meta-train"
    own = recipes_with(name)
    if entry.family == "meta-multitask" and not own:
        words = f"algorithm.name={name} {SET_WORDS[name]}"
        return block([f"metacli meta-train functions-4t-mtnp {words}"])
    if own:
        return block([f"metacli {verb} {recipe}" for recipe in own])
    note = "No shipped recipe is made for it; any recipe of its kind takes it:\n\n"
    return note + block([f"metacli {verb} {' '.join(words_for(name, entry))}"])


def words_for(name: str, entry: Entry) -> list[str]:
    """A recipe and the overrides that put an algorithm into it."""
    if entry.family == "multitask":
        key = "surgery" if ".surgery." in entry.module else "weighting"
        given = ["weighting.weights=[1,1,1,1,1,1,1,1]"] if name == "fixed" else []
        if key == "surgery" and (goes_with := entry.load()().weighting) != "equal":
            given = [f"weighting.name={goes_with}"]
        return ["task-families-hard", f"{key}.name={name}", *given]
    learner = entry.learner()
    if "classification" not in learner.kinds or learner.shared_labels:
        return ["sinusoid-10shot-maml", f"algorithm.name={name}"]
    # A head of fixed way is trained on as many classes as it is validated with.
    way = [] if learner.any_way else ["episodes.way=5"]
    return ["glyphs-5w1s-protonet", f"algorithm.name={name}", *way]


@cache
def recipes_with(name: str) -> tuple[str, ...]:
    """Shipped recipes that name the algorithm as learner, weighting or surgery."""
    found = []
    for recipe in dict(shipped()):
        blocks = load(recipe).recipe.plain()
        named = [blocks.get(key) for key in ("algorithm", "weighting", "surgery")]
        if name in [canonical(one["name"]) for one in named if one is not None]:
            found.append(recipe)
    return tuple(found)


def block(lines: list[str]) -> str:
    return "\n".join(["```", *lines, "```"])


def fields(entry: Entry) -> str:
    """The fields as a table: they are the keys of the recipe."""
    rows = [
        f"| `{one.name}` | `{plain(entry.preset.get(one.name, default_of(one)))}` |"
        + (" what the name means |" if one.name in entry.preset else " |")
        for one in dataclasses.fields(entry.load())
    ]
    if not rows:
        return "There is nothing to set."
    return "\n".join(["| field | default | |", "| --- | --- | --- |", *rows])


def default_of(field: Any) -> Any:
    return "required" if field.default is dataclasses.MISSING else field.default


def plain(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def results(name: str) -> str:
    """Rows of the results files, and what was published."""
    if balanced := neighbour("balancing_table").page_table(name):
        return str(balanced)
    tables = neighbour("result_tables")
    rows = []
    for recipe in recipes_with(name):
        for path in sorted((ROOT / "benchmarks" / "results").glob(f"{recipe}*.json")):
            result = json.loads(path.read_text())
            if result["recipe"] == recipe:  # with settings of its own, too
                rows += [tables.row(result, score, "../../") for score in result["evaluate"]]
    shown = "\n".join([*tables.HEAD, *rows]) if rows else "None is committed."
    published = json.loads(PUBLISHED.read_text()).get(name)
    if published is None:
        return shown
    figures = [f"| {task} | {figure} |" for task, figure in published["figures"].items()]
    head = [f"Published ({published['source']}):", "", "| task | accuracy, % |", "| --- | --- |"]
    return "\n".join([shown, "", *head, *figures])


@cache
def neighbour(name: str) -> ModuleType:
    """Another file of this folder, wherever this one was loaded from."""
    folder = str(Path(__file__).resolve().parent)
    if folder not in sys.path:
        sys.path.append(folder)
    return import_module(name)


if __name__ == "__main__":
    main()
