"""Whether what `adapt DATA` would have chosen by itself is better than the source that was named.

Both answer for the same held-out examples; what is chosen is chosen again in every fold, so that
its score is not the best of many. What that may cost is bounded: by `LIMIT` seconds beside
features, and by `MOST` examples, above which the user is told that nothing was compared.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from metacli.data.user.row_loading import RowSpec
from metacli.engine.adapting.choosing.choosing import Chosen, choose_source
from metacli.engine.adapting.choosing.options import options_for
from metacli.engine.adapting.featured import featured
from metacli.engine.adapting.held_out import HeldOut, compare
from metacli.engine.adapting.reading import Examples
from metacli.engine.adapting.request import Request
from metacli.engine.adapting.scoring import Measured, native, on_query, unit_of
from metacli.engine.adapting.source import Source
from metacli.engine.adapting.splits import Split
from metacli.engine.events import Event, Notice, Progress, Reporter
from metacli.engine.models.learners import NATIVE
from metacli.engine.results.adapt import BetterSource
from metacli.engine.spelling import magnitude, score
from metacli.errors import MetacliError

BETTER = "adapt.better_source"
NOT_COMPARED = "adapt.not_compared"
LIMIT = 10.0  # seconds of processor time, of trying sources beside the usual one
MOST = {"images": 300}  # examples; features of an image cost 35 ms
MOST_ROWS = 1000


def better_source(
    source: Source, examples: Examples, found: Measured, request: Request
) -> BetterSource | None:
    """What would have been chosen, where the interval of the difference is on its side; reported
    in words."""
    if found.found is None or not request.compare or request.onto:
        return None
    most = MOST.get(examples.facts.kind, MOST_ROWS)
    command = f"metacli adapt {request.typed}"
    count = examples.facts.support + examples.facts.query
    if count > most:
        message = (
            f"not compared with what adapt chooses by itself: {count} examples, at most {most}"
        )
        request.report(Notice(f"{message}; {command} does", NOT_COMPARED))
        return None
    try:
        other, theirs = default_answers(source, request, found.splits)
    except MetacliError as error:
        message = f"not compared with what adapt chooses by itself: {error}"
        request.report(Notice(message, NOT_COMPARED))
        return None
    if theirs is None or (other.result.source, other.result.method) == named(source):
        return None
    better = judged(other, found.found, theirs, found.score.how, command)
    if better is not None:
        request.report(Notice(in_words(better, found, found.score.metric), BETTER))
    return better


def default_answers(
    source: Source, request: Request, splits: Sequence[Split]
) -> tuple[Chosen, HeldOut | None]:
    """What is chosen without a source, and what it says of the same examples.

    Args:
        splits: of the support; () where the query is answered for.

    Raises:
        MetacliError: the task cannot be read without the source, or an encoder cannot be opened.
    """
    wanted = source.inputs.wanted(request.columns)
    choice = request.choice.completed(wanted) if isinstance(wanted, RowSpec) else request.choice
    bare = replace(
        request,
        method=NATIVE,
        overrides=(),
        baseline=False,
        choice=choice,
        budget=min(LIMIT, request.budget),
        report=progress_alone(request.report),
    )
    chosen = choose_source(options_for(bare), bare, splits or None)
    if splits:
        return chosen, chosen.held
    query = chosen.examples.query
    if query is None:
        return chosen, None
    seen = featured(chosen.source, chosen.examples, bare.report)
    assert seen.examples.query is not None  # as `query` itself
    predict = native(seen.source, len(chosen.examples.labels))
    unit = unit_of(chosen.source)
    return chosen, on_query(predict, seen.examples.support, seen.examples.query, unit)


def judged(
    other: Chosen, ours: HeldOut, theirs: HeldOut, how: str, command: str
) -> BetterSource | None:
    """The comparison, where it is against the source that was named."""
    if theirs.sizes != ours.sizes:  # files were read, or left out, in another way
        return None
    name = f"{other.result.source} + {other.result.method}"
    against = compare(ours, theirs, name, how)
    if not against.found.high < 0:
        return None
    result = other.result
    value = against.baseline.value
    return BetterSource(result.source, result.method, value, against.found, command)


def named(source: Source) -> tuple[str, str]:
    """As a choice calls it."""
    return str(source.opened.path), source.method


def in_words(better: BetterSource, found: Measured, metric: str) -> str:
    apart, near, far = (
        magnitude(metric, one) for one in (better.found.delta, better.found.high, better.found.low)
    )
    theirs, ours = score(metric, better.value), score(metric, found.score.value)
    return (
        f"{better.source} with {better.method}, which adapt chooses by itself, is better on the "
        f"same held-out examples: {theirs}, this model {ours}; the difference is {apart} "
        f"(95 % interval {near} to {far}): {better.command}"
    )


def progress_alone(report: Reporter) -> Reporter:
    """What was noticed is said once already."""

    def tell(event: Event) -> None:
        if isinstance(event, Progress):
            report(event)

    return tell
