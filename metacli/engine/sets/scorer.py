"""How a model of sets is measured."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from metacli.engine.results.sets import SetEvaluation
from metacli.engine.scoring.request import Request
from metacli.engine.sets.verbs import evaluate_sets
from metacli.errors import UsageProblem


@dataclass(frozen=True)
class SetScorer:
    """A learner of sets on fresh sets of its own source."""

    path: Path

    metric = "mse"

    def evaluate(self, request: Request) -> SetEvaluation:
        """Raises UsageProblem for options that mean nothing to sets."""
        request.require_no_overrides()
        if request.data is not None or not request.wanted.only("shot", "episodes", "seed"):
            raise UsageProblem(
                "a learner of sets is measured on fresh sets of its own source: --shot (points), "
                "--episodes (sets) and --seed are taken"
            )
        wanted = request.wanted
        return evaluate_sets(
            self.path,
            shot=wanted.shot,
            sets=wanted.episodes,
            seed=wanted.seed or 0,
            dry_run=request.dry_run,
            report=request.report,
        )
