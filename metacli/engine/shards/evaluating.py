"""`evaluate` on episodes in parts: the merged result is made by the same code, from scores that are
known already."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from metacli.data.user.open import Reading
from metacli.engine.events import Reporter
from metacli.engine.models.hashes import weights_hash
from metacli.engine.models.model import FewShotModel
from metacli.engine.models.opening import Opened, open_model
from metacli.engine.results.base import Json, plain
from metacli.engine.results.evaluate import EpisodeEvaluation
from metacli.engine.results.shards import ShardResult
from metacli.engine.scoring.episode_evaluate import evaluate_episodes
from metacli.engine.scoring.request import EpisodeOptions, Request
from metacli.engine.shards import part
from metacli.engine.shards.part import Part
from metacli.engine.shards.shard import Shard
from metacli.engine.shards.values import MergedValues, PartValues
from metacli.engine.storage.paths import require_device, target
from metacli.engine.training.journal import versions
from metacli.errors import BundleError, UsageProblem

_OPTIONS: TypeAdapter[EpisodeOptions] = TypeAdapter(EpisodeOptions)
_READING: TypeAdapter[Reading] = TypeAdapter(Reading)
_WORDS: TypeAdapter[tuple[str, ...]] = TypeAdapter(tuple[str, ...])


def evaluate_part(
    opened: Opened[FewShotModel], request: Request, shard: Shard, folder: Path, *, force: bool
) -> ShardResult:
    """The scores of one part of the episodes, kept in a folder for `merge`.

    Raises:
        UsageProblem: not episodes, or an expectation, which is of all of them.
        BundleError: something is in the folder.
    """
    if request.wanted.expect:
        raise UsageProblem("--expect is of all episodes: metacli merge, then evaluate --expect")
    folder = target(folder, folder, force=force)
    values = PartValues(shard)
    facts = evaluate_episodes(opened, replace(request, out=None, values=values))
    assert isinstance(facts, EpisodeEvaluation)  # `evaluate_episodes` refuses the others
    asked: dict[str, Json] = {
        "versions": versions(),
        "model": weights_hash(opened.model.params),
        "data": facts.data_digest,
        "overrides": list(request.overrides),
        "episodes": plain(asdict(request.wanted)),
        "device": next(iter(opened.model.params.values())).device.type,
    }
    call: dict[str, Json] = {
        "model": str(opened.path),
        "data": as_named(request.data),
        "overrides": list(request.overrides),
        "wanted": plain(asdict(request.wanted)),
        "reading": plain(asdict(request.reading)),
    }
    if not request.dry_run:
        part.write(folder, "evaluate", shard, asked, {"call": call, "values": values.kept})
    first, last = shard.of(request.wanted.episodes)
    return ShardResult(str(shard), folder, last - first, opened.path)


def as_named(data: str | None) -> str | None:
    """A folder by its whole path, from wherever `merge` is called."""
    return data if data is None or not Path(data).exists() else str(Path(data).absolute())


def merge_scores(
    parts: Sequence[tuple[Path, Part]], out: Path, report: Reporter
) -> EpisodeEvaluation:
    """The score file at `out` and the result, as `evaluate -o out` gives them.

    Raises:
        BundleError: the model is not here, is another one by now, or a part is damaged.
    """
    first, folder = parts[0][1], parts[0][0]
    call = first.made.get("call")
    if not isinstance(call, dict):
        raise BundleError(
            "the part says nothing of its call", code="shard.damaged", where=str(folder)
        )
    opened = open_model(str(call.get("model")), require_device("cpu"), report)
    model = opened.model
    if not isinstance(model, FewShotModel) or weights_hash(model.params) != first.asked["model"]:
        raise BundleError(
            "is not the model that the parts were measured with",
            code="shard.foreign",
            where=str(opened.path),
        )
    try:
        data = call.get("data")
        request = Request(
            str(call["model"]),
            None if data is None else str(data),
            _WORDS.validate_python(call["overrides"]),
            _OPTIONS.validate_python(call["wanted"]),
            _READING.validate_python(call["reading"]),
            out=out,
            report=report,
            values=MergedValues([one for _, one in parts]),
        )
    except (KeyError, ValidationError) as error:
        message = f"{part.FILE} is damaged: call, {error}"
        raise BundleError(message, code="shard.damaged", where=str(folder)) from None
    result = evaluate_episodes(opened.having(model), request)
    assert isinstance(result, EpisodeEvaluation)  # as every part was
    return result
