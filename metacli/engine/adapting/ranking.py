"""Which of several sources to adapt: the held-out score of each on the support, and measures that
need no adaptation."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from metacli.algorithms.meta.episodic import frozen_features
from metacli.algorithms.transfer.leep import leep, nce
from metacli.algorithms.transfer.logme import logme
from metacli.algorithms.transfer.transfer import network_of
from metacli.engine.adapting.reading import Examples, read
from metacli.engine.adapting.request import Request
from metacli.engine.adapting.scoring import held_out_score, how_held_out
from metacli.engine.adapting.source import Source
from metacli.engine.adapting.transfer import embedded
from metacli.engine.events import Notice, ignore
from metacli.engine.models.model import FewShotModel
from metacli.engine.results.adapt import RankedSource


@dataclass(frozen=True)
class Ranked:
    """A source, the task as it was read for it, and what the support says of it."""

    source: Source
    examples: Examples
    result: RankedSource


def rank(sources: Sequence[Source], request: Request) -> list[Ranked]:
    """The sources, best first: by the held-out score; by LogME where nothing can be held out, which
    is reported."""
    quiet = replace(request, report=ignore)
    found = [ranked(one, quiet) for one in sources]
    if all(one.result.score is not None for one in found):
        return sorted(found, key=lambda one: (-(one.result.score or 0.0), -one.result.logme))
    request.report(
        Notice("nothing can be held out of the support: ranked by LogME", "adapt.ranked_by_logme")
    )
    return sorted(found, key=lambda one: -one.result.logme)


def ranked(source: Source, request: Request) -> Ranked:
    examples = read(source, request)
    y = examples.support.y
    splits = how_held_out(source, y, request).splits
    theirs = own_classes(source, examples)
    said = RankedSource(
        model=source.opened.path,
        score=held_out_score(source, examples, splits) if splits else None,
        logme=logme(features_of(source, examples), y),
        leep=None if theirs is None else leep(theirs, y),
        nce=None if theirs is None else nce(theirs, y),
    )
    return Ranked(source, examples, said)


@torch.no_grad()
def features_of(source: Source, examples: Examples) -> Tensor:
    """What the source's network makes of the support, [M, D]."""
    problem = source.problem()
    network = network_of(problem, source.params)
    if problem.statistics == "support":
        return frozen_features(problem, network, examples.support)[1]
    return embedded(problem, network, examples.support.x)


@torch.no_grad()
def own_classes(source: Source, examples: Examples) -> Tensor | None:
    """The source's probabilities of the classes that it was trained on, [M, Z]; None where it
    was not trained on classes."""
    model = source.opened.model
    if not isinstance(model, FewShotModel) or "head.weight" not in model.params:
        return None
    if model.learner().trains_on != "classes":
        return None
    problem = model.problem()
    return torch.softmax(problem.read_out(model.params, features_of(source, examples)), 1)
