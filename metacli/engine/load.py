"""`metacli.load`: a model kept in memory."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from metacli.engine.events import Reporter, ignore
from metacli.engine.models.opening import open_model
from metacli.engine.predicting.inputs import Given, Held, items_of
from metacli.engine.predicting.predictor import (
    Predictor,
    TaskPredictor,
    answering_together,
    predictor_of,
)
from metacli.engine.results.predict import Predictions, TaskPredictions
from metacli.engine.storage.paths import require_device
from metacli.errors import DataError


@dataclass(frozen=True)
class LoadedModel:
    """A model that was read once, to predict as often as wanted."""

    path: Path
    predictor: Predictor

    @property
    def labels(self) -> tuple[str, ...]:
        """Class names of an adapted model, in the order of its outputs; () otherwise."""
        one = self.predictor
        return () if isinstance(one, TaskPredictor) else one.model.classes or ()

    def predict(
        self,
        inputs: Given | Sequence[Given],
        *,
        reject: str | float | None = None,
        stdin: bytes | None = None,
        together: bool = False,
        report: Reporter = ignore,
    ) -> Predictions | TaskPredictions:
        """As `metacli.predict`, of which the arguments are."""
        items = items_of(inputs)
        predictor = answering_together(self.predictor) if together else self.predictor
        found = predictor.predict(items, reject, stdin, report)
        if not found.rows:
            named = [one.name or "array" if isinstance(one, Held) else str(one) for one in items]
            raise DataError("nothing to predict", code="data.empty", where=", ".join(named))
        found.require_all()
        return found


def load(model: str | Path, *, device: str = "auto", report: Reporter = ignore) -> LoadedModel:
    """An adapted or multi-task model, in memory until it is let go.

    Args:
        model: its folder, a run, or `@last`.

    Raises:
        BundleError: nothing of the kind is there, or it is damaged.
        DataError: it is not adapted yet, and so predicts nothing.
    """
    name = str(model)
    opened = open_model(name, require_device(device), report)
    return LoadedModel(opened.path, predictor_of(opened.model, name))
