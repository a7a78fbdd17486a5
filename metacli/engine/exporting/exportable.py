"""What of a model can be written into a file, decided once by what was opened."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial

from metacli.engine.exporting.exporters import Format
from metacli.engine.exporting.graph import Graph, adapted_graph
from metacli.engine.exporting.graph_support import support_graph
from metacli.engine.exporting.graph_tasks import tasks_graph
from metacli.engine.exporting.parity import (
    Compare,
    compare_adapted,
    compare_support,
    compare_tasks,
    float32_error,
)
from metacli.engine.models.model import AdaptedModel, AnyModel, FewShotModel, Model, MultiTaskModel
from metacli.engine.models.opening import Opened
from metacli.engine.results.export import ExportResult, Parity
from metacli.errors import CheckFailed, DataError

TOLERANCE = 1e-5


@dataclass(frozen=True)
class Exportable:
    """A graph to write, and how its file is compared with PyTorch.

    Args:
        labels: classes of an adapted model.
        own_error: (seed) -> how far PyTorch in float32 is from itself in float64; None where the
            tolerance does not depend on it.
    """

    graph: Graph
    compare: Compare
    labels: tuple[str, ...] = ()
    own_error: Callable[[int], float] | None = None

    def parity(self, kind: Format, data: bytes, tolerance: float | None, seed: int) -> Parity:
        """The comparison of a file's bytes. Without a tolerance of the user's, deep networks may
        differ by twice of what PyTorch differs from itself."""
        found = self.compare(kind.load(data), seed).within(
            TOLERANCE if tolerance is None else tolerance
        )
        if tolerance is not None or self.own_error is None or found.max_abs <= TOLERANCE:
            return found
        return replace(found, tolerance=max(TOLERANCE, 2 * self.own_error(seed)))


def exportable(opened: Opened[AnyModel], name: str, *, with_support: bool) -> Exportable:
    """The one dispatch of `export`. Raises DataError for what cannot be written this way."""
    match opened.model:
        case MultiTaskModel() as model:
            if with_support:
                raise not_traceable(
                    model,
                    "a multi-task model does not adapt by itself: it answers for its own tasks",
                    "leave out --with-support, or adapt first and export the adapted model",
                )
            return Exportable(tasks_graph(model), partial(compare_tasks, opened.having(model)))
        case FewShotModel() as model:
            if not with_support:
                raise not_adapted(name)
            return Exportable(support_graph(model), partial(compare_support, opened.having(model)))
        case AdaptedModel() as model:
            if with_support:
                raise not_traceable(
                    model,
                    "this model is adapted already: its support is part of its weights",
                    "leave out --with-support, or export the model that it came from",
                    "model.adapted",
                )
            one = opened.having(model)
            compare, own = partial(compare_adapted, one), partial(float32_error, one)
            return Exportable(adapted_graph(model), compare, model.classes or (), own)


def not_traceable(
    model: Model, message: str, hint: str, code: str = "export.not_traceable"
) -> DataError:
    where = str(model.provenance.get("recipe", ""))
    return DataError(message, code=code, where=where, hint=hint)


def not_adapted(name: str) -> DataError:
    return DataError(
        "this model has not been adapted yet, so there is nothing to export",
        code="model.not_adapted",
        where=name,
        hint=f"metacli adapt {name} FOLDER_OF_CLASSES/ -o mine, then metacli export mine; or "
        "--with-support puts the adaptation itself into the file",
    )


def require_parity(result: ExportResult, model: str) -> None:
    """Raises CheckFailed when the largest difference is above the tolerance, or not a number."""
    parity = result.parity
    if parity.max_abs <= parity.tolerance:
        return
    raise CheckFailed(
        f"the {result.format} file differs from PyTorch by {parity.max_abs:.2g}, at most "
        f"{parity.tolerance:g} was allowed; nothing was written",
        code="export.disagrees",
        where=model,
        hint="try the other --format, or a larger --tolerance if that does not matter to you",
        result=replace(result, file=None, bytes=None).as_dict(),
    )
