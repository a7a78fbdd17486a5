"""Processes that are killed at random moments, and what is left of their work.

A server process has everything imported and makes a child for each trial, so that a trial takes
what its work takes and not the seconds of an interpreter that starts. It is not the process of the
tests that is divided: PyTorch refuses gradients in the child of one that has used its threads.
"""

from __future__ import annotations

import hashlib
import multiprocessing
import os
import random
import shutil
import signal
import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

CHILDREN = multiprocessing.get_context("forkserver")
CHILDREN.set_forkserver_preload(
    [
        "torch._dynamo",
        *(f"metacli.engine.{verb}" for verb in ("meta_train", "adapt", "export")),
    ]
)
STORED = Path(__file__).resolve().parents[1] / "fixtures"
RECIPE = """version: 1
kind: meta
data: {source: sinusoid}
episodes: {way: 1, shot: 5, query: 5}
backbone: {name: mlp, hidden: [8]}
algorithm: {name: maml, inner_steps: 1}
train: {steps: 12, meta_batch: 2, lr: 1e-3}
evaluate: {every: 2, episodes: 3}
"""


@dataclass
class Kills:
    """How trials ended.

    Args:
        struck: that a signal met at work; the others were done before it came.
        lost: a checkpoint, model or file that was there before and is not, or cannot be read.
        refused: runs that could not be resumed or begun again by the command that is named.
        different: results that are not bit for bit those of an undisturbed run.
        litter: temporary files that were still there after the next start.
    """

    trials: int = 0
    struck: int = 0
    lost: int = 0
    refused: int = 0
    different: int = 0
    litter: int = 0
    verbs: Counter[str] = field(default_factory=Counter)
    notes: list[str] = field(default_factory=list)

    def as_dict(self) -> dict[str, Any]:
        names = ("trials", "struck", "lost", "refused", "different", "litter")
        return {**{name: getattr(self, name) for name in names}, "verbs": dict(self.verbs)}


def killed(work: Callable[[], object], delay: float) -> bool:
    """Runs `work` in a child that is killed after a delay; whether that met it at work."""
    child = started(work)
    child.join(delay)
    struck = child.is_alive()
    if struck and child.pid is not None:
        os.kill(child.pid, signal.SIGKILL)
    child.join()
    return struck


def started(work: Callable[[], object]) -> BaseProcess:
    """A child at work, with the environment and the folder of this process as they are now."""
    child = CHILDREN.Process(
        target=_quietly, args=(work, dict(os.environ), str(Path.cwd())), daemon=True
    )
    child.start()
    return child


def _quietly(work: Callable[[], object], environment: Mapping[str, str], folder: str) -> None:
    import torch

    torch.set_num_threads(1)
    os.environ.clear()
    os.environ.update(environment)
    os.chdir(folder)
    quiet = os.open(os.devnull, os.O_WRONLY)
    os.dup2(quiet, 1)
    os.dup2(quiet, 2)
    work()
    os._exit(0)


def in_child(work: Callable[[], object]) -> int | None:
    """Runs `work` to its end in a child; its exit code."""
    child = started(work)
    child.join()
    return child.exitcode


def meta_trainings(folder: Path, count: int, seed: int = 0) -> Kills:
    """`meta-train` killed once to three times, then resumed (or begun again) to its end."""
    from metacli.engine.meta_train import meta_train
    from metacli.engine.training import checkpoint

    folder.mkdir(parents=True, exist_ok=True)
    recipe = folder / "tiny.yaml"
    recipe.write_text(RECIPE)
    whole = folder / "whole"
    began = time.monotonic()
    in_child(partial(meta_train, recipe, out=whole, device="cpu"))
    usual, wanted = time.monotonic() - began, digests(whole)
    assert wanted, "the undisturbed run did not end"
    found = Kills()
    for number in range(count):
        draw = random.Random(f"{seed}/{number}")
        run = folder / f"run-{number}"
        first = partial(meta_train, recipe, out=run, device="cpu")
        again = partial(meta_train, resume=run, device="cpu")
        found.trials += 1
        found.verbs["meta-train"] += 1
        for _ in range(draw.randint(1, 3)):
            begun = (run / "recipe.yaml").is_file()
            had = _newest(run)
            found.struck += killed(again if begun else first, draw.random() * 1.2 * usual)
            if had is not None and (_newest(run) or -1) < had:
                found.lost += 1
                found.notes.append(f"meta-train {number}: step {had} is gone")
        code = in_child(again if (run / "recipe.yaml").is_file() else first)
        if code != 0:
            found.refused += 1
            found.notes.append(f"meta-train {number}: exit {code}")
        elif digests(run) != wanted:
            found.different += 1
            found.notes.append(f"meta-train {number}: other bits")
        found.litter += len(list(run.rglob(".metacli-*")))
        checkpoint.newest(run / "state", "step")
        shutil.rmtree(run, ignore_errors=True)
    return found


def _newest(run: Path) -> int | None:
    from metacli.engine.training import checkpoint
    from metacli.errors import BundleError

    try:
        saved, _ = checkpoint.newest(run / "state", "step")
    except BundleError:
        return -1
    return None if saved is None else saved.snapshot.step


def digests(run: Path) -> dict[str, str]:
    """What has to be the same bit for bit: weights, optimiser, metrics."""
    names = ["metrics.jsonl", "model/weights.safetensors"]
    names += [f"state/step-12/{one}.safetensors" for one in ("params", "optimizer")]
    paths = {name: run / name for name in names}
    if not all(path.is_file() for path in paths.values()):
        return {}
    return {name: hashlib.sha256(path.read_bytes()).hexdigest() for name, path in paths.items()}


def writings(
    folder: Path, verb: str, work: Callable[[Path], object], count: int, seed: int = 0
) -> Kills:
    """A verb that writes one target, killed at a random moment: afterwards the target is not there
    or whole, and the same command without --force or with it does it."""
    folder.mkdir(parents=True, exist_ok=True)
    began = time.monotonic()
    assert in_child(partial(work, folder / "whole")) == 0
    usual, wanted = time.monotonic() - began, _tree(folder / "whole")
    found = Kills()
    for number in range(count):
        draw = random.Random(f"{seed}/{verb}/{number}")
        place = folder / f"out-{number}"
        found.trials += 1
        found.verbs[verb] += 1
        delay = usual * (0.3 + 0.8 * draw.random())  # most of it is reading and thinking
        found.struck += killed(partial(work, place), delay)
        if place.exists() and set(_tree(place)) != set(wanted):
            found.lost += 1
            found.notes.append(f"{verb} {number}: part of {sorted(_tree(place))}")
        if not place.exists():
            code = in_child(partial(work, place))
            if code != 0 or set(_tree(place)) != set(wanted):
                found.refused += 1
                found.notes.append(f"{verb} {number}: exit {code}")
        for one in (place, *folder.glob(f"out-{number}*")):
            if one.is_dir():
                shutil.rmtree(one, ignore_errors=True)
            else:
                one.unlink(missing_ok=True)
    return found


def _tree(place: Path) -> dict[str, int]:
    if place.is_file():
        return {"file": place.stat().st_size}
    return {str(one.relative_to(place)): 1 for one in place.rglob("*") if one.is_file()}


def adapted(place: Path) -> None:
    from metacli.engine.adapt import adapt

    model, task = STORED / "models" / "protonet-images", STORED / "data" / "shapes"
    adapt(model, task, out=place, compare=False, folds=2, device="cpu")


def exported(place: Path) -> None:
    from metacli.engine.export import export

    export(STORED / "models" / "hard-numbers", out=place.with_suffix(".pt2"))


def together(parts: list[Kills]) -> Kills:
    """The sums."""
    whole = Kills()
    for part in parts:
        for name in ("trials", "struck", "lost", "refused", "different", "litter"):
            setattr(whole, name, getattr(whole, name) + getattr(part, name))
        whole.verbs.update(part.verbs)
        whole.notes += part.notes
    return whole
