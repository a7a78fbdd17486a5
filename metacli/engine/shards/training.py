"""`meta-train --seeds` and `multitask --seeds` in parts."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path

from pydantic import BaseModel, ConfigDict, JsonValue, ValidationError

from metacli.data.catalogue.registry import DATASETS
from metacli.engine.results.base import Json
from metacli.engine.results.kept import KeptComparison
from metacli.engine.results.train import Limit, SeedsResult, Status, TrainResult
from metacli.engine.shards import part
from metacli.engine.shards.copying import copied_run
from metacli.engine.shards.part import Part, Verb
from metacli.engine.shards.shard import Shard
from metacli.engine.training.journal import versions
from metacli.engine.training.run import over_runs
from metacli.errors import BundleError
from metacli.schema.load import Loaded

COMPARED = ("tasks", "mean_delta", "mean_delta_ci95", "mean_delta_over", "baselines", "relatedness")


class Kept(BaseModel):
    """What a part keeps of one run."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    run: str
    model: str | None
    status: Status
    steps: int
    metrics: dict[str, dict[str, int | float | None]]
    best_step: int | None
    stopped_by: Limit | None = None
    planned_steps: int | None = None


def keep_runs(
    shard: Shard, folder: Path, loaded: Loaded, seeds: Sequence[int], made: SeedsResult
) -> None:
    """What `merge` needs of the runs of one part.

    Args:
        seeds: of all parts.
    """
    settings = {key: value for key, value in loaded.recipe.plain().items() if key != "seed"}
    if loaded.recipe.data.source not in DATASETS:  # a user's folder may be elsewhere
        settings["data"] = {k: v for k, v in settings["data"].items() if k != "source"}
    asked: dict[str, Json] = {
        "versions": versions(),
        "recipe": loaded.name,
        "settings": settings,
        "seeds": list(seeds),
    }
    verb: Verb = "multitask" if loaded.recipe.kind == "multitask" else "meta-train"
    runs = [one.as_dict() for one in made.runs]
    part.write(folder, verb, shard, asked, {"runs": runs})


def merge_runs(parts: Sequence[tuple[Path, Part]], out: Path) -> SeedsResult:
    """The runs of all seeds in one folder, and the mean over them. Raises BundleError."""
    found: list[TrainResult] = []
    for folder, one in parts:
        runs = one.made.get("runs")
        each = runs if isinstance(runs, list) else []
        found += [moved(run, folder, out, one.verb) for run in each]
    return over_runs(found)


def moved(run: JsonValue, folder: Path, out: Path, verb: Verb) -> TrainResult:
    """A run copied from a part into the folder of all, and its result there."""
    try:
        kept = Kept.model_validate(run)
        comparison = None
        if isinstance(run, Mapping) and "mean_delta" in run:
            shown = {key: run[key] for key in (*COMPARED, "metrics") if key in run}
            comparison = KeptComparison.model_validate(shown).comparison()
    except ValidationError as error:
        first = error.errors()[0]
        message = f"{part.FILE} is damaged: runs.{'.'.join(map(str, first['loc']))}"
        raise BundleError(message, code="shard.damaged", where=str(folder)) from None
    name = Path(kept.run).name
    place = copied_run(folder / name, out / name)
    return TrainResult(
        run=place,
        model=place / "model" if (place / "model").is_dir() else None,
        status=kept.status,
        steps=kept.steps,
        metrics=kept.metrics,
        best_step=kept.best_step,
        comparison=comparison,
        resume_command=f"metacli {verb} --resume {shlex.quote(str(place))}",
        stopped_by=kept.stopped_by,
        planned_steps=kept.planned_steps,
    )
