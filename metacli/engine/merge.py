"""`merge`: put together what `--shard` has divided, as if it had never been."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from metacli.engine.events import Reporter, ignore
from metacli.engine.results.adapt_many import Adaptations
from metacli.engine.results.evaluate import EpisodeEvaluation
from metacli.engine.results.shards import Mergeable
from metacli.engine.results.train import SeedsResult
from metacli.engine.scoring.score_file import require_place
from metacli.engine.shards.adapting import merge_adapted
from metacli.engine.shards.evaluating import merge_scores
from metacli.engine.shards.part import complete
from metacli.engine.shards.training import merge_runs
from metacli.engine.storage.paths import target
from metacli.errors import UsageProblem


def merge(
    out: str | Path,
    shards: Sequence[str | Path],
    *,
    force: bool = False,
    dry_run: bool = False,
    report: Reporter = ignore,
) -> Adaptations | EpisodeEvaluation | SeedsResult | Mergeable:
    """The result of a command whose parts were run with `shard="1/N"` to `"N/N"`: the same scores
    and weights byte for byte as without; times, hosts and paths are those of the parts.

    Args:
        out: of `adapt` the folder of models, of `evaluate` the score file, of several seeds the
            folder of runs. New or empty.
        shards: the folder of every part, in any order.
        force: of `evaluate`, replace the score file.
        dry_run: say only whether the parts are complete.

    Raises:
        UsageProblem: no parts.
        BundleError: one is missing, there twice, damaged, or of other work; nothing is written.
        DataError: some tasks could not be adapted; its `result` has every row.
    """
    if not shards:
        raise UsageProblem(
            "merge needs the folder of every shard", hint="metacli merge OUT SHARD..."
        )
    parts = complete([Path(one).absolute() for one in shards])
    if dry_run:
        return Mergeable(len(parts), parts[0][1].verb)
    place = Path(out).absolute()
    if parts[0][1].verb == "evaluate":
        require_place(place, force=force, dry_run=False)
        return merge_scores(parts, place, report)
    folder = target(place, place, force=False)
    return (
        merge_adapted(parts, folder) if parts[0][1].verb == "adapt" else merge_runs(parts, folder)
    )
