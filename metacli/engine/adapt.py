"""`adapt`: use what was learned on a user's own few examples. The source model is never changed."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Unpack

from metacli.engine.adapting.adding import before, onto
from metacli.engine.adapting.one_task import Output, adapt_to_task
from metacli.engine.adapting.request import AdaptKeywords, Request, Settings
from metacli.engine.adapting.sources import metric_of, names_of, open_sources, require_type
from metacli.engine.events import Reporter, ignore
from metacli.engine.results.adapt import Adaptation
from metacli.engine.scoring.checks import require_checks, require_known
from metacli.engine.storage.paths import RUNS, new_folder, require_device, target
from metacli.errors import UsageProblem
from metacli.schema.overrides import Overrides, spelled


def adapt(
    model: str | Path | Sequence[str | Path],
    task: str | Path,
    overrides: Overrides = (),
    *,
    method: str = "native",
    holdout: float | None = None,
    baseline: bool = False,
    add: bool = False,
    report: Reporter = ignore,
    **more: Unpack[AdaptKeywords],
) -> Adaptation:
    """Adapt a model to a folder or table of examples, and say how good it is and whether the source
    helps.

    Args:
        model: one or more; several are ranked on the support and the best is adapted.
        overrides: fields of the learner, such as `["inner_steps=10"]` or `{"inner_steps": 10}`.
        method: `native` (the learner's own) or a transfer method: `prototype`, `linear-probe`,
            `fine-tune`, `lp-ft`, `l2-sp`.
        holdout: share of the support to score on, instead of k-fold.
        baseline: also train the same network from scratch.
        add: `model` is adapted already; these examples are added to those that it was adapted to.
        more: `target`, `input`, `type`, `skip_bad`, `allow_duplicates`, `fail_under`, `fail_over`,
            `out`, `force`, `device`, `seed`, `dry_run`; see `Settings`.

    Raises:
        DataError: problems in the task, all of them listed, before any work.
        CheckFailed: the score is not what was asked for; the model is written all the same.
    """
    settings, names, examples = Settings(**more), names_of(model), Path(task)
    checks, place = settings.checks(), require_device(settings.device)
    request = Request(
        *(examples, method, spelled(overrides), holdout, baseline, settings.choice()),
        *(settings.skip_bad, settings.allow_duplicates, settings.seed or 0, place, report),
    )
    earlier = before(names, request) if add else None
    if earlier is not None:
        request = onto(earlier, request)
    sources = open_sources(names, request) if earlier is None else [earlier.source]
    require_known(checks, (metric_of(sources),))
    require_type(settings.type, sources)
    first = request.onto[0][0] if request.onto else examples
    usual = new_folder(RUNS / "adapted" / first.absolute().name)
    folder = target(settings.out, usual, force=settings.force)
    output = Output(folder, settings.force, settings.dry_run)
    result = adapt_to_task(sources, request, output, earlier)
    if result.dry_run or not checks:
        return result
    if result.score.value is None:
        raise UsageProblem(
            f"no score to check: {result.score.why}", hint="add a query/ folder", result=result
        )
    require_checks(checks, {result.score.metric: result.score.value}, result)
    return result
