"""Engine verbs that compute nothing: results of the shape that docs promise, and what they got."""

from __future__ import annotations

import sys
from collections.abc import Callable
from types import ModuleType
from typing import Any

from metacli.cli import early
from metacli.engine.events import EvaluationDone, Notice, Progress, RunStarted, StepDone

VERBS = {  # command: (module, function)
    "doctor": ("doctor", "doctor"),
    "fetch": ("fetch", "fetch"),
    "sample": ("sample", "sample"),
    "recipes": ("recipes", "list_recipes"),
    "inspect": ("inspect", "inspect"),
    "meta-train": ("meta_train", "meta_train"),
    "tune": ("tune", "tune"),
    "multitask": ("multitask", "multitask"),
    "adapt": ("adapt", "adapt"),
    "predict": ("predict", "predict"),
    "evaluate": ("evaluate", "evaluate"),
    "merge": ("merge", "merge"),
    "serve": ("serve", "serve"),
    "report": ("report", "report"),
    "compare": ("compare", "compare"),
    "export": ("export", "export"),
    "push": ("push", "push"),
}

ARGUMENTS = {  # the fewest words with which each command runs
    "doctor": [],
    "fetch": ["omniglot"],
    "sample": ["glyphs", "task"],
    "recipes": [],
    "inspect": ["task"],
    "meta-train": ["glyphs-5w1s-protonet"],
    "tune": ["glyphs-5w1s-protonet", "train.lr=1e-4..1e-2"],
    "multitask": ["school-soft"],
    "adapt": ["model", "task"],
    "predict": ["model", "a.png"],
    "evaluate": ["model"],
    "merge": ["all", "one", "other"],
    "serve": ["model"],
    "report": ["run"],
    "compare": ["one", "other"],
    "export": ["model"],
    "push": ["model", "team/name"],
}

RESULTS: dict[str, dict[str, Any]] = {
    "doctor": {
        "versions": {"metacli": "0.1.0", "python": "3.11.9", "torch": "2.14.0"},
        "devices": [{"name": "cpu", "ok": True, "seconds": 0.01}],
        "extras": {"onnx": "pip install 'metacli[onnx]'"},
        "cache": {"path": "/home/me/.cache/metacli", "bytes": 1234567},
        "problems": [],
    },
    "fetch": {
        "name": "omniglot",
        "path": "/home/me/.cache/metacli/omniglot",
        "bytes": 9464212,
        "digest": "ab12",
        "from_cache": False,
    },
    "sample": {"path": "/data/task", "way": 2, "shot": 5, "query": 5, "classes": ["one", "two"]},
    "recipes": {
        "recipes": [
            {
                "name": "glyphs-5w1s-protonet",
                "kind": "meta",
                "data": "glyphs",
                "minutes": 2,
                "expect": {"metric": "accuracy", "min": 0.9, "max": 0.95},
                "measured": {
                    "metric": "accuracy",
                    "mean": 0.9434,
                    "ci95": 0.0045,
                    "task": "5-way 1-shot",
                    "minutes": 2.2,
                },
                "summary": "ProtoNet on invented characters.",
            },
            {
                "name": "sinusoid-10shot-maml",
                "kind": "meta",
                "data": "sinusoid",
                "minutes": 4,
                "expect": None,
            },
        ]
    },
    "inspect": {
        "what": "task",
        "path": "/data/task",
        "valid": False,
        "problems": [
            {
                "level": "error",
                "code": "image.unreadable",
                "message": "not a picture",
                "where": "a/1.png",
                "hint": "remove it",
            }
        ],
        "details": {"classes": ["a", "b"], "support": 10, "query": None},
        "next": ["metacli adapt @last task"],
    },
    "meta-train": {
        "run": "/data/runs/glyphs/20260101T000000Z",
        "model": "/data/runs/glyphs/20260101T000000Z/model",
        "status": "finished",
        "steps": 600,
        "planned_steps": 600,
        "stopped_by": None,
        "metrics": {"accuracy": {"mean": 0.931, "ci95": 0.004, "n": 600}},
        "best_step": 500,
        "resume_command": "metacli meta-train --resume runs/glyphs/20260101T000000Z",
    },
    "multitask": {
        "run": "/data/runs/school-soft/20260101T000000Z",
        "model": "/data/runs/school-soft/20260101T000000Z/model",
        "status": "finished",
        "steps": 1,
        "planned_steps": 1,
        "stopped_by": None,
        "metrics": {"val_explained_variance": {"mean": 0.385, "ci95": 0.039, "n": 2301}},
        "best_step": 1,
        "tasks": [
            {
                "name": "school-001",
                "metric": "mse",
                "value": 76.7,
                "single_task": 79.9,
                "delta": -3.2,
            }
        ],
        "mean_delta": -3.2,
        "baselines": {"single-task": {"mean": 0.334, "ci95": 0.041, "n": 2301}},
        "relatedness": None,
        "resume_command": "metacli multitask --resume runs/school-soft/20260101T000000Z",
    },
    "adapt": {
        "model": "/data/runs/adapted/task/20260101T000000Z",
        "from": "/data/runs/glyphs/20260101T000000Z/model",
        "method": "native",
        "task": {
            "path": "/data/task",
            "kind": "images",
            "type": "classification",
            "labels": ["a", "b", "c"],
            "support": 15,
            "query": 0,
            "guessed": ["labels are folder names"],
        },
        "score": {
            "metric": "accuracy",
            "value": 0.93,
            "low": 0.8,
            "high": 0.99,
            "how": "kfold:5",
            "chance": 1 / 3,
        },
        "transfer": {
            "baseline": "logistic regression",
            "delta": 0.21,
            "delta_ci95": [0.05, 0.37],
            "verdict": "helped",
        },
        "sources": [],
        "device": "cpu",
    },
    "predict": {
        "rows": [
            {
                "input": "a.png",
                "prediction": "a",
                "probabilities": {"b": 0.25, "a": 0.75},
                "low": None,
                "high": None,
                "error": None,
            }
        ]
    },
    "evaluate": {
        "metric": "accuracy",
        "mean": 0.9312,
        "ci95": 0.0041,
        "inductive": {"mean": 0.9312, "ci95": 0.0041},
        "transductive": {"mean": 0.951, "ci95": 0.003},
        "episodes": 600,
        "episodes_seed": 0,
        "split": "test",
        "scheme": "vinyals",
        "way": 5,
        "shot": 1,
        "query": 15,
        "statistics": "support",
        "chance": 0.2,
        "baselines": {"nearest pixel": {"mean": 0.61, "ci95": 0.01}},
        "per_step": [
            {"step": 0, "mean": 0.2, "ci95": 0.0},
            {"step": 5, "mean": 0.9312, "ci95": 0.0041},
        ],
        "curve": [],
        "tasks": [],
        "data_digest": "ab12",
        "scores": "/data/scores.jsonl",
        "expect": None,
    },
    "compare": {
        "items": [
            {
                "path": f"/data/{name}",
                "metric": "accuracy",
                "mean": mean,
                "ci95": 0.004,
                "n": 600,
                "split": "test",
                "way": 5,
                "shot": 1,
                "query": 15,
                "unit": "episode",
                "mode": "inductive",
                "data_digest": "ab12",
                "models": [f"/data/{name}/model"],
                "seeds": [0],
            }
            for name, mean in (("one", 0.91), ("other", 0.93))
        ],
        "pairs": [
            {
                "a": "/data/one",
                "b": "/data/other",
                "metric": "accuracy",
                "delta": 0.02,
                "delta_ci95": [0.015, 0.025],
                "p": 0.001,
                "p_adjusted": 0.001,
                "n": 600,
                "not_finite": 0,
                "about": "models",
                "split": "test",
                "way": 5,
                "shot": 1,
                "query": 15,
                "unit": "episode",
                "mode": "inductive",
                "data_digest": "ab12",
                "verdict": "helped",
            }
        ],
    },
    "tune": {
        "run": "/data/runs/tuned/r/20260101T000000Z",
        "recipe": "/data/runs/tuned/r/20260101T000000Z/recipe.yaml",
        "metric": "val_accuracy",
        "best": {"number": 1, "settings": ["train.lr=0.01", "a.b=1"], "value": 0.9},
        "trials": [
            {"number": 0, "settings": ["train.lr=0.1", "a.b=1"], "error": "not finite"},
            {"number": 1, "settings": ["train.lr=0.01", "a.b=1"], "value": 0.9, "seconds": 2.5},
        ],
    },
    "serve": {
        "address": "http://127.0.0.1:8000",
        "models": ["model"],
        "folder": "/data/runs/served",
        "adapted": 2,
        "requests": {"200": 12, "201": 2},
    },
    "report": {"file": "/data/report.html", "bytes": 123456},
    "export": {
        "file": "/data/model.pt2",
        "readme": "/data/model.pt2.README.md",
        "example": "/data/model.pt2.example.py",
        "usage": "PICTURE...",
        "format": "pt2",
        "bytes": 456789,
        "parity": {"checked": True, "max_abs": 1.2e-6, "tolerance": 1e-5, "n": 15},
        "inputs": [{"name": "x", "shape": ["N", 1, 28, 28], "dtype": "uint8"}],
        "outputs": [{"name": "probabilities", "shape": ["N", 3], "dtype": "float32"}],
    },
    "push": {
        "name": "team/name",
        "url": "https://huggingface.co/team/name",
        "revision": "0123abcd",
        "model": "/data/model",
        "files": ["README.md", "manifest.json", "model.json", "weights.safetensors"],
        "bytes": 456789,
    },
}
RESULTS["merge"] = RESULTS["evaluate"]  # as of the command whose parts they are

Calls = list[tuple[tuple[Any, ...], dict[str, Any]]]


def install(
    command: str | None = None,
    effect: Callable[..., dict[str, Any]] | BaseException | None = None,
    put: Callable[[str, ModuleType], None] = sys.modules.__setitem__,
    patch: Callable[[ModuleType, str, Any], None] = setattr,
) -> Calls:
    """Put stubs in the place of the engine's verbs; the calls that they get are returned.

    Args:
        command: the one whose verb misbehaves.
        effect: what that verb does: raise this, or call this.
        put: how a module gets into `sys.modules`, so that a test can take it out again.
        patch: how an attribute is set, likewise.
    """
    calls: Calls = []
    # What the stubs are called with is not on this disk, and need not be.
    for check in ("require_paths", "require_data", "require_models", "require_recipe"):
        patch(early, check, lambda *words: None)

    def verb_of(name: str) -> Callable[..., dict[str, Any]]:
        def verb(*args: Any, **options: Any) -> dict[str, Any]:
            calls.append((args, options))
            if name == command and isinstance(effect, BaseException):
                raise effect
            if name == command and effect is not None:
                return effect(*args, **options)
            return RESULTS[name]

        return verb

    for name, (module_name, function) in VERBS.items():
        module = ModuleType(f"metacli.engine.{module_name}")
        setattr(module, function, verb_of(name))
        put(module.__name__, module)
    fill_in(put, calls)
    return calls


def fill_in(put: Callable[[str, ModuleType], None], calls: Calls) -> None:
    """The functions beside the verbs: listing, showing, copying."""
    fetch, recipes = sys.modules["metacli.engine.fetch"], sys.modules["metacli.engine.recipes"]
    row = {"name": "omniglot", "kind": "images", "bytes": 9464212, "fetched": False}
    fetch.fetchable = lambda: [row]  # type: ignore[attr-defined]
    fetch.place_of_network = lambda name, dir: None  # type: ignore[attr-defined]
    recipes.show_recipe = lambda name: f"version: 1\n# {name}\n"  # type: ignore[attr-defined]

    def copy_recipe(*args: Any, **options: Any) -> dict[str, Any]:
        calls.append((args, options))
        return {"path": "/data/mine.yaml"}

    recipes.copy_recipe = copy_recipe  # type: ignore[attr-defined]


def training(report: Callable[[Any], None], steps: int = 20, pause: float = 0.0) -> None:
    """The events of a small run, for looking at the progress."""
    import time

    report(RunStarted("/data/runs/glyphs/1", "glyphs-5w1s-protonet", steps, 0, {"device": "cpu"}))
    report(Progress("drawing glyphs", 5, 5, "alphabets"))
    for step in range(1, steps + 1):
        time.sleep(pause)
        report(StepDone(step, steps, {"query_loss": 1.0 / step, "query_accuracy": 1 - 1.0 / step}))
        if step % (steps // 2) == 0:
            value = {"mean": 0.9, "ci95": 0.01, "n": 600}
            report(EvaluationDone(step, "val", {"accuracy": value}, best=True))
    report(Notice("a best state was damaged; the one before it is used", code="state.damaged"))
