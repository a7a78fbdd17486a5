"""Runs of a fraction of a second: recipes, a trained run to copy, and what its files hold."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file

from metacli.engine.events import Event, StepDone
from metacli.engine.meta_train import meta_train

RECIPE = """# A tiny run.
version: 1
kind: meta
data: {source: glyphs}
episodes: {way: 3, shot: 2, query: 2}
backbone: {name: conv4, width: 8, norm: group}
algorithm: {name: protonet}
train: {steps: 12, meta_batch: 2, lr: 1e-3}
evaluate: {every: 4, episodes: 3}
"""
FIXED_HEAD = ("algorithm.name=maml", "algorithm.inner_steps=2", "algorithm.first_order=true")
WAVES = """version: 1
kind: meta
data: {source: sinusoid}
episodes: {way: 1, shot: 5, query: 5}
backbone: {name: mlp, hidden: [8]}
algorithm: {name: maml, inner_steps: 1}
train: {steps: 4, meta_batch: 2, lr: 1e-3}
evaluate: {every: 2, episodes: 3, inner_steps: 2}
baselines: [joint]
"""


def recipe(text: str = RECIPE, name: str = "tiny.yaml") -> str:
    """A recipe file in the current folder."""
    Path(name).write_text(text)
    return name


def trained(out: str | None, *overrides: str, **options: Any) -> dict[str, Any]:
    """`meta_train` of the tiny recipe."""
    return meta_train(recipe(), overrides, out=out, device="cpu", **options)


def copied(run: Path, name: str = "run") -> Path:
    """A run of one's own in the current folder."""
    return Path(shutil.copytree(run, Path(name).absolute()))


def at_step(step: int, act: Callable[[], None]) -> Callable[[Event], None]:
    """A reporter that does something after a training step."""

    def report(event: Event) -> None:
        if isinstance(event, StepDone) and event.step == step:
            act()

    return report


def facts(run: Path | str, name: str = "run.json") -> dict[str, Any]:
    return json.loads((Path(run) / name).read_text())


def lines(run: Path | str) -> list[dict[str, Any]]:
    text = (Path(run) / "metrics.jsonl").read_text()
    return [json.loads(line) for line in text.splitlines()]


def weights(folder: Path | str, name: str = "weights.safetensors") -> dict[str, torch.Tensor]:
    return load_file(Path(folder) / name)


def assert_same_training(first: Path | str, second: Path | str, step: int = 12) -> None:
    """Weights, optimiser, validations and metrics are the same bit for bit."""
    a, b = Path(first), Path(second)
    assert (a / "metrics.jsonl").read_bytes() == (b / "metrics.jsonl").read_bytes()
    for name in (f"state/step-{step}/params", f"state/step-{step}/optimizer", "model/weights"):
        file = f"{name}.safetensors"
        assert (a / file).read_bytes() == (b / file).read_bytes(), name
    drop = ("seconds",)
    histories = [facts(one / f"state/step-{step}", "state.json")["facts"] for one in (a, b)]
    kept = [{k: v for k, v in history.items() if k not in drop} for history in histories]
    assert kept[0] == kept[1]


def tree(folder: Path | str) -> dict[str, bytes]:
    """Every file below a folder."""
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(Path(folder).rglob("*"))
        if path.is_file()
    }


def damage(file: Path) -> None:
    """Flip one bit in the middle."""
    data = bytearray(file.read_bytes())
    data[len(data) // 2] ^= 1
    file.write_bytes(bytes(data))


def environment() -> dict[str, str]:
    """For a subprocess: one thread, the tests' cache."""
    return {**os.environ, "OMP_NUM_THREADS": "1"}
