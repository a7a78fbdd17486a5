"""A search as a folder: `tune.json` says what is searched, `study.log` holds every training that
was begun (optuna's journal), and each training is a run of its own beside them."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from pydantic import BaseModel, ConfigDict, Field

from metacli.engine.results.base import Json
from metacli.engine.results.tune import Trial, TuneResult
from metacli.engine.scoring.checks import LOWER_IS_BETTER
from metacli.engine.storage.writer import write_file, write_json
from metacli.engine.tuning.space import Space, parse_space
from metacli.errors import BundleError, RunFailed
from metacli.schema.load import dump, load

if TYPE_CHECKING:
    import optuna

FACTS, JOURNAL, RECIPE = "tune.json", "study.log", "recipe.yaml"
Train = Callable[[tuple[str, ...], Path], tuple[str, float]]
"""(overrides, run folder) -> the name of the validation metric and its value."""


class Facts(BaseModel):
    """What `tune.json` says."""

    model_config = ConfigDict(frozen=True, strict=True, extra="ignore")

    recipe: Annotated[str, Field(min_length=1)]
    settings: tuple[Annotated[str, Field(pattern="=")], ...]
    seed: Annotated[int, Field(ge=0, lt=2**63)]


@dataclass(frozen=True)
class Search:
    """What is searched where: a recipe by name or file, the words of the space, a seed."""

    folder: Path
    recipe: str
    words: tuple[str, ...]
    seed: int

    @property
    def space(self) -> Space:
        return parse_space(self.words)

    def save(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        facts: dict[str, Json] = {
            "recipe": self.recipe,
            "settings": list(self.words),
            "seed": self.seed,
        }
        write_json(self.folder / FACTS, facts)


def reopened(folder: Path) -> Search:
    """The search in a folder. Raises BundleError where there is none."""
    try:
        facts = Facts.model_validate_json((folder / FACTS).read_bytes())
        return Search(folder, facts.recipe, facts.settings, facts.seed)
    except (OSError, ValueError):
        raise BundleError(
            "not the folder of a search",
            code="tune.not_found",
            where=str(folder),
            hint="metacli tune RECIPE train.lr=1e-4..1e-2 starts one",
        ) from None


def open_study(search: Search) -> optuna.Study:
    """The study with what was tried before. A seed of its own for every continuation, so that it
    does not draw the same values again."""
    # optuna takes a second to import and is an extra
    module = importlib.import_module("optuna")
    journal = importlib.import_module("optuna.storages.journal")
    module.logging.set_verbosity(module.logging.ERROR)
    backend = journal.JournalFileBackend(str(search.folder / JOURNAL))
    storage = module.storages.JournalStorage(backend)
    study: optuna.Study = module.create_study(
        storage=storage, study_name="tune", load_if_exists=True
    )
    study.sampler = module.samplers.TPESampler(seed=search.seed + len(study.trials))
    return study


def run_trial(search: Search, study: optuna.Study, train: Train) -> None:
    """One training, whose validation score is reported to the study. One whose loss is not finite
    counts as failed; whatever else stops it leaves the trial failed and goes on to the caller."""
    trial = study.ask()
    fail = importlib.import_module("optuna").trial.TrialState.FAIL
    try:
        overrides = search.space.draw(trial)
        trial.set_user_attr("overrides", list(overrides))
        metric, value = train(overrides, search.folder / f"trial-{trial.number:03d}")
    except RunFailed as error:
        trial.set_user_attr("error", error.message)
        study.tell(trial, state=fail)
        return
    except BaseException:
        study.tell(trial, state=fail)
        raise
    trial.set_user_attr("metric", metric)
    trial.set_user_attr("value", value)
    lower = metric.removeprefix("val_") in LOWER_IS_BETTER
    study.tell(trial, value if lower else -value)  # a study minimises


def result_of(search: Search, study: optuna.Study) -> TuneResult:
    """Every trial, and the best one as a recipe in the folder."""
    trials = [
        Trial(
            number=one.number,
            settings=tuple(one.user_attrs.get("overrides", ())),
            value=one.user_attrs.get("value"),
            seconds=None if one.duration is None else round(one.duration.total_seconds(), 2),
            status="finished" if "value" in one.user_attrs else "failed",
            error=one.user_attrs.get("error"),
        )
        for one in study.get_trials(deepcopy=False)
    ]
    done = [one for one in study.get_trials(deepcopy=False) if one.value is not None]
    if not done:
        raise RunFailed(
            "no training of the search has finished",
            code="tune.nothing",
            where=str(search.folder),
            hint=f"metacli tune --resume {search.folder}",
        )
    best = min(done, key=lambda one: (one.value or 0.0, one.number))
    loaded = load(search.recipe, best.user_attrs["overrides"])
    metric, value = best.user_attrs["metric"], best.user_attrs["value"]
    header = f"{loaded.name}, tuned: {metric} {value:.6g} on validation, best of {len(done)}"
    write_file(search.folder / RECIPE, dump(loaded.recipe, header).encode())
    return TuneResult(
        run=search.folder,
        recipe=search.folder / RECIPE,
        metric=metric,
        best=next(one for one in trials if one.number == best.number),
        trials=tuple(trials),
        resume_command=f"metacli tune --resume {search.folder}",
    )
