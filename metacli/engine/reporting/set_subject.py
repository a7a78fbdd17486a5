"""What a report about sets is about: a run of a learner of sets, or a model of sets by itself."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from metacli.engine.reporting.subject import Line, called
from metacli.engine.sets.class_adapted import AdaptedClassSet
from metacli.engine.sets.class_model import ClassSetModel
from metacli.engine.sets.model import AdaptedSet, SetModel
from metacli.engine.sets.opening import AnySetModel, read_set_model
from metacli.engine.training import journal, run_file


@dataclass(frozen=True)
class SetSubject:
    """
    Args:
        name: as the user called it, for commands. run: the run's folder; None for a model by
            itself. facts: run.json. history: metrics.jsonl.
    """

    name: str
    path: Path
    run: Path | None
    model: AnySetModel
    facts: Line = field(default_factory=dict)
    history: tuple[Line, ...] = ()

    @property
    def source(self) -> SetModel | ClassSetModel:
        """The learner with its θ."""
        if isinstance(self.model, AdaptedSet | AdaptedClassSet):
            return self.model.source
        return self.model

    @property
    def title(self) -> str:
        if isinstance(self.model, AdaptedSet | AdaptedClassSet):
            return self.path.name
        return str(self.facts.get("recipe") or self.path.name)


def open_set_subject(folder: Path, name: str) -> SetSubject:
    """Of a model folder, which may be that of a run. Raises BundleError for a damaged one."""
    model = read_set_model(folder)
    run = folder.parent if (folder.parent / "run.json").is_file() else None
    if run is None:
        return SetSubject(called(folder, name), folder, None, model)
    facts, history = run_file.read(run).as_dict(), tuple(journal.history(run))
    return SetSubject(called(run, name), run, run, model, facts, history)
