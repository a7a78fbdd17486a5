"""`inspect` of a folder of models, as `adapt MODEL FOLDER_OF_TASKS` makes it."""

from __future__ import annotations

from metacli.engine.events import Reporter
from metacli.engine.inspecting.findings import Looked, bounded, command
from metacli.engine.inspecting.models import look_at_model
from metacli.engine.many.models import Models
from metacli.engine.results.base import Json
from metacli.errors import Finding, first_names

NAMED = 20  # models that are named


def look_at_models(models: Models, name: str, report: Reporter) -> Looked:
    """Each is looked at as one by itself; its problems are said here."""
    problems: list[Finding] = []
    for one in models.by_task.values():
        problems += look_at_model(one, str(one), report).problems
    names = list(models.by_task)
    details: dict[str, Json] = {"models": len(names), "tasks": first_names(names, NAMED)}
    broken = any(one.level == "error" for one in problems)
    next_ = () if broken else (command("evaluate", name, "LABELLED_TASKS"),)
    return Looked("models", models.path, bounded(problems), details, next_)
