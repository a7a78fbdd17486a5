"""`predict`: what an adapted or multi-task model predicts for new, unlabelled inputs. One row each,
in the order given."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from metacli.engine.events import Reporter, ignore
from metacli.engine.load import load
from metacli.engine.predicting.inputs import Given
from metacli.engine.results.predict import Predictions, TaskPredictions
from metacli.engine.sets.opening import set_model_at
from metacli.errors import UsageProblem


def predict(
    model: str | Path,
    inputs: Given | Sequence[Given],
    *,
    top: int = 1,
    reject: str | float | None = None,
    stdin: bytes | None = None,
    together: bool = False,
    device: str = "auto",
    seed: int | None = None,
    report: Reporter = ignore,
) -> Predictions | TaskPredictions:
    """Label files, or every file of folders; every row of tables for models of texts and tables.

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
        seed: nothing here is drawn.

    Returns:
        `rows`, each with input, prediction and probabilities, or an error; of a regression the
        interval `low` to `high` that held 90 % of the held-out examples.

    Raises:
        UsageProblem: `together` of another model.
        DataError: some inputs could not be answered; `result` holds every row, the good ones
            answered.
    """
    sets = set_model_at(str(model))
    if together and sets:
        raise UsageProblem("--together is for one adapted model", hint="leave it out")
    loaded = load(model, device=device, report=report)
    return loaded.predict(inputs, reject=reject, stdin=stdin, together=together, report=report)
