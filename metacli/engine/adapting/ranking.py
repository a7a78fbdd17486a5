"""Which of several sources to adapt: each one's held-out score on the support, beside measures that
need no adaptation."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from metacli.algorithms.meta.episodic import frozen_features
from metacli.algorithms.transfer.leep import leep, nce
from metacli.algorithms.transfer.logme import logme
from metacli.algorithms.transfer.transfer import network_of
from metacli.engine.adapting.folds import held_out
from metacli.engine.adapting.reading import Job, Read, read, require_classes
from metacli.engine.adapting.scoring import native, splits_of, unit_of
from metacli.engine.adapting.source import Source
from metacli.engine.adapting.transfer import embedded
from metacli.engine.events import Notice, ignore
from metacli.engine.models.model import FewShotModel
from metacli.types import Batch


@dataclass(frozen=True)
class Ranked:
    """A source and what the support says of it; higher is better.

    Args:
        score: on held-out examples of the support, accuracy or minus the mean absolute error; None
            where none can be held out.
        logme: evidence of a linear model of its features.
        leep: and `nce`, how well its own classes tell the target's; None where it has none.
    """

    source: Source
    score: float | None
    logme: float
    leep: float | None
    nce: float | None

    def as_dict(self) -> dict[str, Any]:
        return {
            "model": str(self.source.opened.path),
            "score": self.score,
            "logme": self.logme,
            "leep": self.leep,
            "nce": self.nce,
        }


def rank(
    sources: Sequence[Source], job: Job, skip_bad: bool, allow_duplicates: bool
) -> list[Ranked]:
    """The sources, best first: by the held-out score; by LogME where nothing can be held out, which
    is said."""
    found = [ranked(replace(job, source=one), skip_bad, allow_duplicates) for one in sources]
    if all(one.score is not None for one in found):
        return sorted(found, key=lambda one: (-(one.score or 0.0), -one.logme))
    job.report(
        Notice("nothing can be held out of the support: ranked by LogME", "adapt.ranked_by_logme")
    )
    return sorted(found, key=lambda one: -one.logme)


def ranked(job: Job, skip_bad: bool, allow_duplicates: bool) -> Ranked:
    source, quiet = job.source, replace(job, report=ignore)
    examples = read(quiet, skip_bad, allow_duplicates)
    require_classes(source, examples.task)
    splits, _, _ = splits_of(quiet, examples)
    score = None
    if splits:
        predict = native(source, len(examples.task.labels))
        unit = unit_of(source)
        found = held_out(predict, examples.x, examples.y, splits, unit)
        score = float(found.quality.mean())
    theirs = own_classes(source, examples)
    return Ranked(
        source,
        score,
        logme(features_of(source, examples), examples.y),
        None if theirs is None else leep(theirs, examples.y),
        None if theirs is None else nce(theirs, examples.y),
    )


@torch.no_grad()
def features_of(source: Source, examples: Read) -> Tensor:
    """What the source's network makes of the support, [M, D]."""
    problem = source.problem()
    network = network_of(problem, source.params)
    if problem.statistics == "support":
        return frozen_features(problem, network, Batch(examples.x, examples.y))[1]
    return embedded(problem, network, examples.x)


@torch.no_grad()
def own_classes(source: Source, examples: Read) -> Tensor | None:
    """The source's probabilities of the classes that it was trained on, [M, Z]; None where it
    was not trained on classes."""
    model = source.opened.model
    if not isinstance(model, FewShotModel) or "head.weight" not in model.params:
        return None
    if model.learner().trains_on != "classes":
        return None
    problem = model.problem()
    return torch.softmax(problem.read_out(model.params, features_of(source, examples)), 1)


def none_helps(result: Mapping[str, Any]) -> bool:
    """Whether the best of several sources is no better than what needs no source."""
    transfer = result["transfer"]
    if transfer["delta"] is None:
        return False
    return transfer["delta"] <= 0 or transfer["verdict"] in ("hurt", "no_difference")
