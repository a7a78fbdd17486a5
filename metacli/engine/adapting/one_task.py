"""One task through `adapt`: read for the best source, scored, adapted to, saved."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple

from metacli.engine.adapting.adding import Before, require_same
from metacli.engine.adapting.better_source import better_source
from metacli.engine.adapting.choosing.choosing import choose_source
from metacli.engine.adapting.choosing.options import Option
from metacli.engine.adapting.class_names import named
from metacli.engine.adapting.doubts import doubts_about, names_of_doubts
from metacli.engine.adapting.featured import featured
from metacli.engine.adapting.fitted_inputs import fitted_inputs
from metacli.engine.adapting.held_out import HeldOut, OfFolds
from metacli.engine.adapting.making import adapted
from metacli.engine.adapting.ranking import rank
from metacli.engine.adapting.reading import Examples, read
from metacli.engine.adapting.request import Request
from metacli.engine.adapting.scoring import measured
from metacli.engine.adapting.source import Source
from metacli.engine.events import Notice
from metacli.engine.models.folder import save
from metacli.engine.models.model import AdaptedModel
from metacli.engine.results.adapt import Adaptation, ChosenSource, FittedInputs, RankedSource
from metacli.engine.results.base import Json

NONE_HELPS = "adapt.none_helps"


@dataclass(frozen=True)
class Output:
    """Where the model goes; `force` replaces what is there, `dry_run` writes nothing,
    `standalone` puts the encoder into the folder, `forget` names no examples, as none are kept."""

    folder: Path
    force: bool = False
    dry_run: bool = False
    standalone: bool = False
    forget: bool = False

    def save(self, model: AdaptedModel) -> None:
        """Write the model. Raises as `folder.save`."""
        save(model, self.folder, replace=self.force, standalone=self.standalone)


Save = Callable[[Output, AdaptedModel], None]


def adapt_to_task(
    sources: Sequence[Source],
    request: Request,
    output: Output,
    earlier: Before | None = None,
    options: Sequence[Option] = (),
    keep: Save = Output.save,
) -> Adaptation:
    """The result; the model is in `output.folder`.

    Args:
        sources: several are ranked on the support, and the best is adapted.
        earlier: the model to which these examples are added.
        options: among which the source is chosen, in place of `sources`.
        keep: writes the model, or sees to it that it is written.

    Raises:
        DataError: problems in the task, all of them listed, before any work.
    """
    picked = pick(sources, request, options)
    examples = picked.examples
    if earlier is not None:
        require_same(earlier, examples.hashes)
    source = named(picked.source, examples.labels, request.device)
    seen = featured(source, examples, request.report)
    found = measured(source, examples, request, seen, picked.held, picked.said)
    doubts = doubts_about(found.score, found.transfer)
    for doubt in doubts:
        request.report(doubt)
    better = None if options else better_source(source, examples, found, request)
    result = Adaptation(
        task=examples.facts,
        score=found.score,
        transfer=found.transfer,
        calibration=found.confidence.calibration,
        reject=found.confidence.reject,
        source=source.opened.path,
        method=source.method,
        device=str(request.device),
        sources=picked.ranked,
        choice=picked.choice,
        doubts=names_of_doubts(doubts),
        inputs=picked.fitted,
        better_source=better,
    )
    if earlier is not None:
        added = len(examples.hashes) - len(earlier.support)
        result = replace(result, onto=earlier.model.path, added=added)
    if picked.ranked:
        result = replace(result, none_helps=found.transfer.none_helps)
    report_none_helps(result, request)
    if output.dry_run:
        return replace(result, dry_run=True)
    made = adapted(source, examples, seen, found, request, output.folder)
    if output.forget:
        made = replace(made, provenance=without(made.provenance, "task"))
    keep(output, made)
    return replace(result, model=output.folder, options=made.options)


class Picked(NamedTuple):
    """What is adapted, and how it was found.

    Args:
        held: what the choice, made again in each fold, says of the examples that the fold held out;
            None where nothing was chosen on folds.
        said: what the source says of them.
    """

    source: Source
    examples: Examples
    held: HeldOut | None = None
    choice: ChosenSource | None = None
    fitted: FittedInputs | None = None
    said: OfFolds | None = None
    ranked: tuple[RankedSource, ...] = ()


def pick(sources: Sequence[Source], request: Request, options: Sequence[Option]) -> Picked:
    """The best of the options or of several sources, or the one that was named."""
    if options:
        chosen = choose_source(options, request)
        held, said = chosen.held, chosen.said
        return Picked(chosen.source, chosen.examples, held, chosen.result, said=said)
    if len(sources) > 1:
        ranked = rank(sources, request)
        rows = tuple(one.result for one in ranked)
        return Picked(ranked[0].source, ranked[0].examples, ranked=rows)
    if request.fit_inputs:
        fitted = fitted_inputs(sources[0], request)
        return Picked(fitted.source, fitted.examples, fitted.held, fitted=fitted.result)
    return Picked(sources[0], read(sources[0], request))


def without(provenance: Mapping[str, Json], *keys: str) -> dict[str, Json]:
    return {key: value for key, value in provenance.items() if key not in keys}


def report_none_helps(result: Adaptation, request: Request) -> None:
    """Says that the best of several sources is no better than a simple model."""
    if result.none_helps and result.transfer.best is not None:
        name = result.transfer.best.baseline.name
        message = f"none helps: the best of the sources is no better than {name}"
        request.report(Notice(message, NONE_HELPS))
