"""What a report is about: a run with everything it wrote, or a model by itself."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from metacli.engine.events import Reporter
from metacli.engine.models.model import AdaptedModel, AnyModel
from metacli.engine.models.opening import open_model
from metacli.engine.scoring import score_file
from metacli.engine.scoring.intervals import over_episodes
from metacli.engine.training import journal, run_file
from metacli.errors import MetacliError

Line = Mapping[str, Any]  # one of a file of results, or a part of it


@dataclass(frozen=True)
class Subject:
    """
    Args:
        name: as the user called it, for commands.
        run: the run's folder; None for a model by itself.
        facts: run.json. history: metrics.jsonl. comparison: tasks.json.
        relatedness: of the tasks of a run: `tasks`, `matrix`; None where it was not measured.
        evaluations: results of `evaluate`, oldest first.
    """

    name: str
    path: Path
    run: Path | None
    model: AnyModel
    facts: Line = field(default_factory=dict)
    history: tuple[Line, ...] = ()
    comparison: Line = field(default_factory=dict)
    relatedness: Line | None = None
    evaluations: tuple[Line, ...] = ()

    @property
    def title(self) -> str:
        recipe = self.model.provenance.get("recipe") or self.facts.get("recipe")
        if isinstance(self.model, AdaptedModel):
            return self.path.name
        return str(recipe or self.path.name)


def open_subject(name: str, device: torch.device, report: Reporter) -> Subject:
    """Raises BundleError when there is neither a run nor a model."""
    opened = open_model(name, device, report)
    run = opened.run
    place = score_file.place_for(run, opened.path, None)
    found = evaluations(place, opened.path)
    if run is None:
        return Subject(
            called(opened.path, name), opened.path, None, opened.model, evaluations=found
        )
    return Subject(
        called(run, name),
        run,
        run,
        opened.model,
        run_file.read(run).as_dict(),
        tuple(journal.history(run)),
        document(run / "tasks.json") or {},
        document(run / "relatedness.json"),
        found,
    )


def called(path: str | Path, otherwise: str | None = None) -> str:
    """What to type for a path: relative where it lies below the current folder, else as the user
    called it."""
    if (whole := Path(path).absolute()).is_relative_to(Path.cwd()):
        return os.path.relpath(whole)
    return str(path) if otherwise in (None, "@last") else str(otherwise)


def document(path: Path) -> Line | None:
    """A JSON object, or nothing where there is none."""
    try:
        value = json.loads(path.read_bytes())
    except (OSError, ValueError):
        return None
    return value if isinstance(value, dict) else None


def evaluations(path: Path, model: Path) -> tuple[Line, ...]:
    """Results of `evaluate` for the model, with the mean of the values where a file is older than
    that."""
    try:
        lines = score_file.read(path)
    except MetacliError:
        return ()
    lines = [line for line in lines if Path(str(line.get("model"))).name == model.name]
    inductive = [line for line in lines if line.get("mode") == "inductive"]
    # `unit` of a line is what was scored; that of a result what a number is measured in.
    return tuple(evaluation(line) for line in inductive)


def evaluation(line: Line) -> Line:
    """A line with its result, whose metric is that over all tasks where each task has its own."""
    result = line.get("result") or summed(line)
    several = line.get("unit") == "task" and "draws" not in line
    metric = result.get("metric", line.get("metric")) if several else line.get("metric")
    return {**result, **line, "metric": metric, "values": None}


def summed(line: Line) -> Line:
    import numpy as np

    values = np.array([np.nan if v is None else v for v in line.get("values") or []], float)
    return over_episodes(values).as_dict()
