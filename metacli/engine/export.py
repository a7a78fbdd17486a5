"""`export`: a model as one file that runs without metacli.

The file is compared with PyTorch on real inputs, and written only if they agree.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Protocol

import torch

from metacli.engine.events import Notice, Progress, Reporter, ignore
from metacli.engine.exporting import files
from metacli.engine.exporting.class_sets import ExportableClassSet, exportable_classes
from metacli.engine.exporting.class_support import ExportableClassSupport
from metacli.engine.exporting.dense import exportable_dense
from metacli.engine.exporting.exportable import exportable, require_parity
from metacli.engine.exporting.exporters import FORMATS
from metacli.engine.exporting.graph import Graph, Run
from metacli.engine.exporting.sets import ExportableSet, called, exportable_set
from metacli.engine.extras import require_extra
from metacli.engine.many.exporting import Target, export_each
from metacli.engine.many.models import models_below
from metacli.engine.many.over import within
from metacli.engine.models.named import dense_model_at, is_class_model, set_model_at
from metacli.engine.models.opening import open_model
from metacli.engine.results.base import Json
from metacli.engine.results.export import ExportResult, Parity
from metacli.engine.results.export_many import Exports
from metacli.engine.sets.class_folder import load_any
from metacli.engine.sets.opening import open_set_model
from metacli.engine.storage.paths import require_device
from metacli.errors import UsageProblem


def export(
    model: str | Path,
    *,
    format: str | None = None,
    with_support: bool = False,
    tolerance: float | None = None,
    out: str | Path | None = None,
    force: bool = False,
    device: str = "auto",
    seed: int | None = None,
    dry_run: bool = False,
    report: Reporter = ignore,
) -> ExportResult | Exports:
    """Write a model as one `.pt2` or `.onnx` file, or each model of a folder.

    An adapted model takes float32 pixels [B, C, H, W] in 0..255 and gives probabilities [B, N]; one
    of dense tasks gives an output for each task.

    Args:
        format: `pt2` or `onnx`; None: as `out` ends, else `pt2`.
        with_support: of a meta-learner that is not adapted: the file takes a support and queries,
            and adapts by itself.
        tolerance: the largest difference to PyTorch that passes, in probability; default 1e-5, or
            twice what PyTorch in float32 differs from itself in float64, which is more in deep
            networks.
        out: the file; default `./<model name>.<format>`. Of a folder of models a folder, in which
            `<task>.<format>` are written; default `./<folder>-<format>`.
        seed: of the random inputs, where there are no real ones.

    Raises:
        DataError: the model is not adapted, or its adaptation cannot be written as a graph; or
            some models of a folder could not be written, and its `result` has every row.
        BundleError: no such model, or the file exists.
        EnvironmentProblem: an extra is missing.
        CheckFailed: the file disagrees with PyTorch; nothing is written.
    """
    format = files.chosen_format(format, out)
    files.refuse_what_does_not_fit(format, tolerance, out)
    kind = FORMATS[format]
    if kind.extra is not None:
        require_extra(kind.extra, f"--format {format}")
    report_device(device, report)
    make = How(format, with_support, tolerance, force, seed or 0, dry_run)
    models = models_below(model)
    if models is None:
        return make.one(str(model), out, report)
    if with_support:
        raise UsageProblem(f"--with-support is for one learner; {model} is a folder of models")
    return export_each(
        *(models, format, Target(out, force, dry_run)),
        lambda path, file: make.one(str(path), file, within(path.name, report)),
        report,
    )


class Whole(Protocol):
    """What says itself how it is written and compared."""

    @property
    def graph(self) -> Graph: ...

    def about(self) -> Mapping[str, Json]:
        """What the file holds in addition to the graph."""
        ...

    def parity(self, run: Run, tolerance: float | None, seed: int) -> Parity:
        """File and PyTorch."""
        ...

    def written(self, result: ExportResult, data: bytes) -> ExportResult:
        """The result after the files were written."""
        ...


@dataclass(frozen=True)
class How:
    """How a model is exported."""

    format: str
    with_support: bool
    tolerance: float | None
    force: bool
    seed: int
    dry_run: bool

    def one(self, model: str, out: str | Path | None, report: Reporter) -> ExportResult:
        """One model into one file. Raises as `export` does."""
        if (dense := dense_model_at(model)) is not None:
            make_dense = partial(exportable_dense, dense, with_support=self.with_support)
            return self.of_whole(make_dense, dense, model, out, report)
        if (sets := set_model_at(model)) is not None:
            make_sets = partial(made_of, sets, model, with_support=self.with_support)
            return self.of_whole(make_sets, sets, model, out, report)
        kind = FORMATS[self.format]
        opened = open_model(model, torch.device("cpu"), report)
        file = files.target(opened, self.format, out, force=self.force)
        report(Progress("exporting", 0, 3, "steps"))
        made = exportable(opened, model, with_support=self.with_support)
        report(Progress("exporting", 1, 3, "steps"))
        data = kind.make(made.graph, files.about(opened.model, made))
        report(Progress("exporting", 2, 3, "steps"))
        parity = made.parity(kind, data, self.tolerance, self.seed)
        graph = made.graph
        result = ExportResult(file, self.format, len(data), parity, graph.inputs, graph.outputs)
        require_parity(result, model)
        report(Progress("exporting", 3, 3, "steps"))
        return (
            replace(result, dry_run=True) if self.dry_run else files.written(opened, result, data)
        )

    def of_whole(
        self,
        make: Callable[[], Whole],
        path: Path,
        name: str,
        out: str | Path | None,
        report: Reporter,
    ) -> ExportResult:
        """A model of sets or of dense tasks. Raises as `export` does."""
        kind = FORMATS[self.format]
        given = Path(out) if out is not None else Path(f"{called(path)}.{self.format}")
        file = files.free_file(given, force=self.force)
        report(Progress("exporting", 0, 3, "steps"))
        made = make()
        report(Progress("exporting", 1, 3, "steps"))
        data = kind.make(made.graph, made.about())
        report(Progress("exporting", 2, 3, "steps"))
        parity = made.parity(kind.load(data), self.tolerance, self.seed)
        graph = made.graph
        result = ExportResult(file, self.format, len(data), parity, graph.inputs, graph.outputs)
        require_parity(result, name)
        report(Progress("exporting", 3, 3, "steps"))
        return replace(result, dry_run=True) if self.dry_run else made.written(result, data)


def made_of(
    path: Path, name: str, *, with_support: bool
) -> ExportableSet | ExportableClassSet | ExportableClassSupport:
    """What of a model of sets is written. Raises DataError for what cannot be."""
    if is_class_model(path):
        return exportable_classes(load_any(path), name, with_support=with_support)
    return exportable_set(open_set_model(path), name, with_support=with_support)


def report_device(device: str, report: Reporter) -> None:
    """Says that another device than the CPU makes no difference."""
    if require_device(device).type != "cpu" and device != "auto":
        report(Notice("made and compared on the CPU; the file runs on any device", "export.cpu"))
