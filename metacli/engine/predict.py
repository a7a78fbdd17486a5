"""`predict`: what an adapted or multi-task model predicts for new, unlabelled inputs. One row each,
in the order given."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from metacli.engine.dense.predicting import MapRequest, predict_maps
from metacli.engine.events import Reporter, ignore
from metacli.engine.load import load
from metacli.engine.models.named import dense_model_at, set_model_at
from metacli.engine.predicting.inputs import Given, items_of
from metacli.engine.results.dense import DensePredictions
from metacli.engine.results.predict import Predictions, TaskPredictions
from metacli.engine.storage.paths import require_device
from metacli.errors import UsageProblem


def predict(
    model: str | Path,
    inputs: Given | Sequence[Given],
    *,
    top: int = 1,
    reject: str | float | None = None,
    stdin: bytes | None = None,
    together: bool = False,
    out: str | Path | None = None,
    force: bool = False,
    dry_run: bool = False,
    device: str = "auto",
    seed: int | None = None,
    report: Reporter = ignore,
) -> Predictions | TaskPredictions | DensePredictions:
    """Label files, or every file of folders; every row of tables for models of texts and tables.
    A model of dense tasks writes the class map, depth and normals of every image into a folder.

    Args:
        model: a model, a run, or a folder of models, each of which answers for the inputs that are
            called like it: a file, a folder, or what is in such a folder.
        inputs: paths, PIL images and arrays, one or a list of them. Of a model of images an array
            is uint8 [H, W] or [H, W, 3], or [M, H, W] or [M, H, W, 3]; of a model of tables
            [M, columns] in the order of the model's columns; of a model of texts [M] texts.
        top: how many labels the command line shows of each row; `probabilities` holds them all.
        reject: a probability below which the answer is "none of these"; or `auto`: it is that for
            what is less like any class than known examples are.
        stdin: what the input `-` means: CSV or lines of text; for images their paths, one a line.
        together: all inputs have a part in each answer, of a model of the methods `bd-cspn` and
            `tim`; a table's rows have one with each other.
        out: of a model of dense tasks, and of no other, the folder that its maps are written into;
            `force` replaces one of such maps, `dry_run` writes nothing.
        seed: nothing here is drawn.

    Returns:
        `rows`, each with input, prediction and probabilities, or an error; of a regression the
        interval `low` to `high` that held 90 % of the held-out examples; of dense tasks the names
            of the files that were written.

    Raises:
        UsageProblem: `together` of another model; `out` of one that writes no maps, or none of one
            that does.
        DataError: some inputs could not be answered; `result` holds every row, the good ones
            answered.
    """
    if (dense := dense_model_at(str(model))) is not None:
        require_no_rows(reject=reject, together=together)
        request = MapRequest(out, force, dry_run)
        items = items_of(inputs)
        return predict_maps(dense, items, request, stdin, require_device(device), report)
    require_rows(str(model), together=together)
    loaded = load(model, device=device, report=report)
    if out is not None:
        raise UsageProblem("out is the folder of maps, which a model of dense tasks writes")
    return loaded.predict(inputs, reject=reject, stdin=stdin, together=together, report=report)


def require_rows(model: str, *, together: bool) -> None:
    """Raises UsageProblem for what a model of sets does not know."""
    if together and set_model_at(model):
        raise UsageProblem("--together is for one adapted model", hint="leave it out")


def require_no_rows(*, reject: str | float | None, together: bool) -> None:
    """Raises UsageProblem for what a model of dense tasks does not know."""
    if reject is not None:
        raise UsageProblem(
            "--reject is for one label of an image, not for maps", hint="leave it out"
        )
    if together:
        raise UsageProblem("--together is for one adapted model", hint="leave it out")
