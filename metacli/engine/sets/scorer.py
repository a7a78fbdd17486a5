"""How a model of sets is measured."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from metacli.engine.models.named import is_adapted_set, is_class_model
from metacli.engine.results.sets import SetEvaluation
from metacli.engine.scoring.request import Request
from metacli.engine.sets.arms.names import ARMS, JOINT, ORACLE, SEPARATE
from metacli.engine.sets.class_evaluate import evaluate_class_sets
from metacli.engine.sets.class_folder import load_classes
from metacli.engine.sets.class_use.labelled import AdaptedClassScorer
from metacli.engine.sets.labelled import AdaptedSetScorer
from metacli.engine.sets.verbs import evaluate_sets
from metacli.errors import UsageProblem


def set_scorer_at(path: Path) -> SetScorer | AdaptedSetScorer | AdaptedClassScorer:
    """How the model of sets in that folder is measured."""
    if is_adapted_set(path):
        return AdaptedClassScorer(path) if is_class_model(path) else AdaptedSetScorer(path)
    return SetScorer(path)


@dataclass(frozen=True)
class SetScorer:
    """A learner of sets on fresh sets of its own source."""

    path: Path

    @property
    def metric(self) -> str:
        return load_classes(self.path).facts.metric if is_class_model(self.path) else "mse"

    @property
    def checked(self) -> tuple[str, ...]:
        return (self.metric,)

    def evaluate(self, request: Request) -> SetEvaluation:
        """Raises UsageProblem for options that mean nothing to sets."""
        request.require_no_order()
        arms = arms_of(request.overrides)
        if request.data is not None or not request.wanted.only("shot", "episodes", "seed"):
            raise UsageProblem(
                "a learner of sets is measured on fresh sets of its own source: --shot (points), "
                "--episodes (sets) and --seed are taken"
            )
        wanted = request.wanted
        if is_class_model(self.path):
            require_no_oracle(request.overrides)
            return evaluate_class_sets(
                self.path,
                shot=wanted.shot,
                sets=wanted.episodes,
                seed=wanted.seed or 0,
                arms=arms,
                dry_run=request.dry_run,
                report=request.report,
            )
        return evaluate_sets(
            self.path,
            shot=wanted.shot,
            sets=wanted.episodes,
            seed=wanted.seed or 0,
            arms=arms,
            dry_run=request.dry_run,
            report=request.report,
        )


def require_no_oracle(overrides: Sequence[str]) -> None:
    """Raises UsageProblem: of sets of classifications no coupling is known."""
    if any("oracle" in text for text in overrides):
        raise UsageProblem(
            "sets of classifications have no arm oracle: which tasks are related is not known",
            hint=f"there are {', '.join(one for one in ARMS if one != ORACLE)}",
        )


def arms_of(overrides: Sequence[str]) -> tuple[str, ...]:
    """Which arms are wanted: `arms=separate,multi_task` leaves the others out. Raises UsageProblem
    for another setting or an unknown arm."""
    found: tuple[str, ...] = ARMS
    for text in overrides:
        key, _, value = text.partition("=")
        named = tuple(one.strip().replace("-", "_") for one in value.strip("[]").split(","))
        unknown = [one for one in named if one not in ARMS]
        if key != "arms" or unknown:
            hint = f"arms=NAME,NAME leaves the other arms out; there are {', '.join(ARMS)}"
            what = f"setting {key}" if key != "arms" else f"arm {unknown[0]!r}"
            raise UsageProblem(f"evaluating a model of sets has no {what}", hint=hint)
        found = named
    return (JOINT, SEPARATE, *(one for one in found if one not in (JOINT, SEPARATE)))
