"""How a model is measured, decided once by what kind of model was opened."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from metacli.data.plain import record_in
from metacli.engine.generated_tables.scorer import TablesScorer
from metacli.engine.models.model import AdaptedModel, AnyModel, FewShotModel, MultiTaskModel
from metacli.engine.models.opening import Opened
from metacli.engine.results.evaluate import Evaluation, ExampleEvaluation
from metacli.engine.scoring.class_measures import MEASURES
from metacli.engine.scoring.episode_evaluate import evaluate_episodes
from metacli.engine.scoring.example_evaluate import evaluate_examples
from metacli.engine.scoring.multi_task_evaluate import evaluate_tasks
from metacli.engine.scoring.multi_task_user import evaluate_users_rows
from metacli.engine.scoring.request import Request
from metacli.engine.training.few_shot.sources import has_generated_tables
from metacli.errors import UsageProblem


class Scorer(Protocol):
    """Measures one kind of model.

    Args:
        metric: what its score is called.
    """

    @property
    def metric(self) -> str: ...

    @property
    def checked(self) -> tuple[str, ...]:
        """What a check may name."""
        ...

    def evaluate(self, request: Request) -> Evaluation:
        """Raises UsageProblem for options that mean nothing to this kind of model."""
        ...


@dataclass(frozen=True)
class EpisodeScorer:
    """A few-shot model on episodes."""

    opened: Opened[FewShotModel]

    @property
    def metric(self) -> str:
        return "mse" if self.opened.model.kind == "regression" else "accuracy"

    @property
    def checked(self) -> tuple[str, ...]:
        return (self.metric, *of_tasks(self.opened.model))

    def evaluate(self, request: Request) -> Evaluation:
        request.require_no_order()
        return evaluate_episodes(self.opened, request)


@dataclass(frozen=True)
class ExampleScorer:
    """An adapted model on labelled examples."""

    opened: Opened[AdaptedModel]

    @property
    def metric(self) -> str:
        return "mae" if self.opened.model.kind == "regression" else "accuracy"

    @property
    def checked(self) -> tuple[str, ...]:
        return (self.metric,)

    def evaluate(self, request: Request) -> ExampleEvaluation:
        request.require_labelled("FOLDER_OF_CLASSES/")
        assert request.data is not None
        return evaluate_examples(self.opened, request.data, request)


@dataclass(frozen=True)
class MultiTaskScorer:
    """A multi-task model on rows of its tasks."""

    opened: Opened[MultiTaskModel]

    @property
    def metric(self) -> str:
        return self.opened.model.heads.metric

    @property
    def checked(self) -> tuple[str, ...]:
        return (self.metric,)

    def evaluate(self, request: Request) -> Evaluation:
        request.require_no_overrides()
        request.require_no_order()
        if not request.wanted.only("split"):
            raise UsageProblem(
                "a multi-task model is measured on its own tasks: --way, --shot, --query, --seed "
                "and --expect are for episodes"
            )
        if request.data is None:
            return evaluate_tasks(self.opened, request)
        if request.wanted.split is not None:
            raise UsageProblem(
                f"--split is of the data that it was trained on, not of {request.data}"
            )
        return evaluate_users_rows(self.opened, request.data, request)


def of_tasks(model: FewShotModel) -> tuple[str, ...]:
    """What is measured of a model of classification tasks: the mean over them, the lower end of its
    interval, and the worst task."""
    if "tasks" not in record_in(model.provenance, "data"):
        return ()
    return tuple(f"{name}{end}" for name in MEASURES for end in ("", "_low", "_worst"))


def scorer_of(opened: Opened[AnyModel]) -> Scorer:
    """The one place of `evaluate` that asks what kind of model it has."""
    match opened.model:
        case FewShotModel() as model if has_generated_tables(model.recipe):
            return TablesScorer(opened.having(model))
        case FewShotModel() as model:
            return EpisodeScorer(opened.having(model))
        case AdaptedModel() as model:
            return ExampleScorer(opened.having(model))
        case MultiTaskModel() as model:
            return MultiTaskScorer(opened.having(model))
