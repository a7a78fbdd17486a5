"""`--fit-inputs`: images are inverted, made grey or their contrast stretched where the source then
answers better. Chosen on folds as a source is, and chosen again in every fold that is scored."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch

from metacli.data.image_changes import Change, changed, in_words
from metacli.data.user.appearance import appearance_of, unlike
from metacli.engine.adapting.choosing.choosing import Judge, judge_of
from metacli.engine.adapting.choosing.core import Candidate, Choice, choose
from metacli.engine.adapting.featured import Seen, featured
from metacli.engine.adapting.held_out import HeldOut
from metacli.engine.adapting.reading import Examples, content_of, pixels_of_some, read
from metacli.engine.adapting.request import Request
from metacli.engine.adapting.scoring import answers_of, how_held_out
from metacli.engine.adapting.source import Source
from metacli.engine.adapting.unlike import learned_from
from metacli.engine.events import Note, Progress, ignore
from metacli.engine.results.adapt import FittedInputs, TriedInputs
from metacli.errors import UsageProblem
from metacli.threads import one_thread
from metacli.types import Batch

Changes = tuple[Change, ...]
FITS: tuple[Changes, ...] = ((), ("invert",), ("contrast",), ("contrast", "invert"))
IN_COLOUR: tuple[Changes, ...] = ((), ("grey",), ("invert",), ("contrast",), ("grey", "contrast"))
CODE = "adapt.fitted_inputs"


@dataclass(frozen=True)
class Fitted:
    """What `adapt` goes on with: the source that changes what it reads, and what each fold's own
    choice says of the examples that it held out."""

    source: Source
    examples: Examples
    held: HeldOut | None
    result: FittedInputs


def fitted_inputs(source: Source, request: Request) -> Fitted:
    """The changes that suit the source best.

    Raises:
        UsageProblem: it does not learn classes of images.
        DataError: problems in the task.
    """
    if source.inputs.kind != "image" or source.kind != "classification":
        raise UsageProblem("--fit-inputs is for models of images", hint="leave it out")
    fits = FITS if source.inputs.shape[0] == 1 else IN_COLOUR
    seen = {one: as_seen(with_changes(source, one), request) for one in fits}
    first = next(iter(seen.values()))
    splits = how_held_out(source, first.examples.support.y, request).splits
    judge = judge_of(source, first.examples, splits)
    made = tried(seen, judge, by_look(source, fits, request), request)
    best = made.best.setting
    told = FittedInputs(
        best,
        tuple(
            scored(one.setting, np.concatenate(one.answers) if one.answers else None, judge)
            for one in made.tried
        ),
        made.left_out,
    )
    request.report(Note(said(told), CODE))
    chosen = with_changes(source, best)
    return Fitted(chosen, read(chosen, request), judge.held_of(made.answers), told)


def with_changes(source: Source, changes: Changes) -> Source:
    return replace(source, inputs=replace(source.inputs, changes=changes))


def as_seen(source: Source, request: Request) -> Seen:
    """The task as the source reads it. What is noticed in it is reported where it is read for
    good."""
    quiet = replace(request, report=ignore)
    return featured(source, read(source, quiet), request.report)


def tried(
    seen: Mapping[Changes, Seen], judge: Judge, default: int, request: Request
) -> Choice[Changes]:
    """Every fit on every fold, as far as the budget allows."""
    done = 0

    def tell(name: str) -> None:
        nonlocal done
        request.report(Progress(f"trying images {name}", done, len(seen), "fits"))
        done += 1

    with one_thread():
        return choose(
            [candidate_of(changes, one) for changes, one in seen.items()],
            judge.targets,
            judge.splits,
            default=default,
            seed=request.seed,
            budget=request.budget,
            clock=time.process_time,
            tell=tell,
        )


def candidate_of(changes: Changes, seen: Seen) -> Candidate[Changes]:
    support = seen.examples.support
    answer = answers_of(seen.source, len(seen.examples.labels))

    @torch.no_grad()
    def explore(rows: np.ndarray, query: np.ndarray) -> Mapping[Changes, np.ndarray]:
        found = answer(Batch(support.x[rows], support.y[rows]), support.x[query])
        return {changes: found.double().cpu().numpy()}

    return Candidate(in_words(changes), explore, changes)


def by_look(source: Source, fits: Sequence[Changes], request: Request) -> int:
    """The number of the fit after which images look most like those that the source learned from,
    the first of equal ones: what stands where nothing can be held out."""
    recorded = learned_from(source.opened)
    images = [] if recorded is None else pixels_of_some(content_of(request))
    if recorded is None or not images:
        return 0
    apart = [
        len(unlike(appearance_of([changed(one, changes) for one in images]), recorded))
        for changes in fits
    ]
    return apart.index(min(apart))


def scored(changes: Changes, answers: np.ndarray | None, judge: Judge) -> TriedInputs:
    held = judge.held_of(answers)
    if held is None:
        return TriedInputs(changes, None, None, None)
    score = judge.score_of(held)
    return TriedInputs(changes, score.value, score.low, score.high)


def said(result: FittedInputs) -> str:
    """`the images are inverted before the model sees them: 94 % held out, 61 % as they are`."""
    values = {one.changes: one.value for one in result.tried}
    best, plain = values.get(result.changes), values.get(())
    words = in_words(result.changes)
    if not result.changes:
        return "the images stay as they are: no change helps the model"
    what = f"the images are {words} before the model sees them, here and in predict and exports"
    if best is None or plain is None:
        return what
    return f"{what}: {best:.0%} held out, {plain:.0%} as they are"
