"""A model adapted to a set whose tasks may be classifications, as one file."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from metacli import __version__
from metacli.engine.encoders.pool_features import frozen_of
from metacli.engine.exporting import companion
from metacli.engine.exporting.class_support import (
    ExportableClassSupport,
    exportable_support,
    rows_of,
)
from metacli.engine.exporting.entrance import entrance_of
from metacli.engine.exporting.exportable import TOLERANCE
from metacli.engine.exporting.files import encoder_files, written_with
from metacli.engine.exporting.graph import Arrays, Graph, Run
from metacli.engine.exporting.graph_class_sets import adapted_class_graph
from metacli.engine.exporting.parity import batches, difference, largest
from metacli.engine.exporting.real_inputs import MOST
from metacli.engine.exporting.sets import adapted_already, called
from metacli.engine.results.base import Json
from metacli.engine.results.export import ExportResult, Parity
from metacli.engine.sets.class_adapted import AdaptedClassSet
from metacli.engine.sets.class_model import ClassSetModel
from metacli.engine.sets.class_verbs import reads_of
from metacli.errors import DataError


@dataclass(frozen=True)
class ExportableClassSet:
    """A graph to write.

    Args:
        name: of the model.
    """

    graph: Graph
    model: AdaptedClassSet
    name: str

    def about(self) -> dict[str, Json]:
        """What the file holds in addition to the graph."""
        return {
            "metacli": __version__,
            "recipe": self.model.source.recipe.algorithm.name,
            "labels": [],
            "inputs": [one.as_dict() for one in self.graph.inputs],
            "outputs": [one.as_dict() for one in self.graph.outputs],
        }

    def parity(self, run: Run, tolerance: float | None, seed: int) -> Parity:
        """File and PyTorch on the examples that the model was adapted to: in probability, or in
        standard deviations of the target."""
        limit = TOLERANCE if tolerance is None else tolerance
        x, source = self.examples(seed)
        expected = reference(self.model, x)
        entrance, units = entrance_of(self.model.source.facts.inputs), self.units()
        inputs = [one.filled(x) for one in entrance.every]
        differences = []
        for first, last in batches(len(x)):
            found = run(*(one[first:last] for one in inputs))
            pairs = zip(found, expected, units, strict=True)
            differences += [
                difference((a / unit,), (b[first:last] / unit,)) for a, b, unit in pairs
            ]
        return Parity(largest(differences), limit, len(x), source)

    def examples(self, seed: int) -> tuple[np.ndarray, str]:
        """What is compared, as the data layer reads it, and what it is. Of images that a frozen
        encoder sees, a model keeps the features alone."""
        if frozen_of(self.model.source.recipe) is not None:
            return rows_of(self.model.source, np.random.Generator(np.random.PCG64(seed)))
        support = self.model.support
        assert support.mask is not None  # of every adapted set
        return support.x[support.mask][:MOST].numpy(), "examples that it was adapted to"

    def units(self) -> list[float]:
        """What a difference of each output is measured in."""
        levels = self.model.source.facts.levels
        return [
            1.0 if one.labels else levels.get(one.target or "", (0.0, 1.0))[1]
            for one in self.model.tasks
        ]

    def written(self, result: ExportResult, data: bytes) -> ExportResult:
        """The result with its README and example, after all files were written."""
        made = companion.companion_of(result, self.name)
        more = encoder_files(result, self.model.source.facts.inputs.encoder)
        return written_with(made, result, data, more)


def reference(model: AdaptedClassSet, x: np.ndarray) -> Arrays:
    """What `predict` gives for examples as the data layer reads them, for each task."""
    kept = reads_of(model.source).features(x)
    found = model.predict(dict.fromkeys(model.names, kept))
    answers = (found[name] for name in model.names)
    return tuple(one.mean if one.probabilities is None else one.probabilities for one in answers)


def exportable_classes(
    model: ClassSetModel | AdaptedClassSet, name: str, *, with_support: bool
) -> ExportableClassSet | ExportableClassSupport:
    """Raises DataError for what cannot be written this way."""
    if isinstance(model, AdaptedClassSet):
        if with_support:
            raise adapted_already(name)
        return ExportableClassSet(adapted_class_graph(model), model, called(Path(name)))
    if not with_support:
        raise DataError(
            "this model has not been adapted to a set yet, so there is nothing to export",
            code="model.not_adapted",
            where=name,
            hint=f"metacli adapt {name} SET -o mine, then metacli export mine; or --with-support "
            "puts the adaptation itself into the file",
        )
    return exportable_support(model, called(Path(name)))
