"""What a report about sets is about: a run of a learner of sets, or a model of sets by itself."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from metacli.engine.reporting.subject import Line, called, lines_of
from metacli.engine.sets.folder import load
from metacli.engine.sets.model import AdaptedSet, SetModel
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
    model: SetModel | AdaptedSet
    facts: Line = field(default_factory=dict)
    history: tuple[Line, ...] = ()

    @property
    def source(self) -> SetModel:
        """The learner with its θ."""
        return self.model if isinstance(self.model, SetModel) else self.model.source

    @property
    def title(self) -> str:
        if isinstance(self.model, AdaptedSet):
            return self.path.name
        return str(self.facts.get("recipe") or self.path.name)


def open_set_subject(folder: Path, name: str) -> SetSubject:
    """Of a model folder, which may be that of a run. Raises BundleError for a damaged one."""
    model = load(folder)
    run = folder.parent if (folder.parent / "run.json").is_file() else None
    if run is None:
        return SetSubject(called(folder, name), folder, None, model)
    facts, history = run_file.read(run).as_dict(), tuple(lines_of(run / journal.METRICS))
    return SetSubject(called(run, name), run, run, model, facts, history)
