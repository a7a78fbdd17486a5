"""What the server does for a request, without HTTP: bytes in, plain data out."""

from __future__ import annotations

import json
import math
import tempfile
import zipfile
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Literal

import torch

from metacli.data.files import shown
from metacli.engine.events import ignore
from metacli.engine.models.model import AdaptedModel, FewShotModel
from metacli.engine.predicting.inputs import STDIN
from metacli.engine.predicting.multi_task_predict import TaskPredictor
from metacli.engine.results.base import Json
from metacli.engine.results.predict import Predictions, TaskPredictions
from metacli.engine.serving.adapting import adapt_to_examples
from metacli.engine.serving.exporting import exported
from metacli.engine.serving.inputs import Wants, held, of_body, renamed, table_of_rows
from metacli.engine.serving.limits import Limits
from metacli.engine.serving.refusals import Refused
from metacli.engine.serving.requests import AdaptRequest, PredictRequest, place, read
from metacli.engine.serving.store import Adapted, Named, Predictor
from metacli.engine.storage.paths import MODEL_FILE
from metacli.engine.storage.writer import TEMPORARY
from metacli.errors import DataError

JSON = "application/json"
Format = Literal["pt2", "onnx", "metacli"]
FORMATS: tuple[Format, ...] = ("pt2", "onnx", "metacli")


@dataclass(frozen=True)
class Asked:
    """A request with a body.

    Args:
        type: of the content, without parameters.
        query: what stands behind `?`.
    """

    body: bytes
    type: str = JSON
    query: Mapping[str, str] | None = None


@dataclass(frozen=True)
class Service:
    """Named models, adapted models, and what is done with them. Threads may share it."""

    named: Mapping[str, Named]
    adapted: Adapted
    limits: Limits
    device: torch.device

    def predict(self, asked: Asked) -> Json:
        """Raises DataError (422) where inputs cannot be answered; its result holds every row."""
        request = self._prediction(asked)
        count = len(request.inputs)
        if not 1 <= count <= self.limits.inputs:
            raise out_of_bounds("inputs", count, 1, self.limits.inputs)
        predictor = self._predictor(request.model)
        wants = Wants.of(predictor.model)
        found = renamed(answered(predictor, wants, request))
        found.require_all()
        return {"model": request.model, **found.as_dict()}

    def adapt(self, asked: Asked) -> Json:
        """A new model, which is on the disk when this returns."""
        require_json(asked)
        request = read(AdaptRequest, asked.body)
        if not 2 <= len(request.examples) <= self.limits.examples:
            raise out_of_bounds("examples", len(request.examples), 2, self.limits.examples)
        named = self._named(request.model)
        classes = {str(one.label) for one in request.examples}
        if named.wants.kind != "numbers" and len(classes) > self.limits.classes:
            raise out_of_bounds("classes", len(classes), 2, self.limits.classes)
        id = self.adapted.fresh()
        folder = self.adapted.path(id)
        made = adapt_to_examples(named, request.method, request.examples, folder, self.device)
        self.adapted.add(id)
        return made.as_dict(id)

    def models(self) -> Json:
        """Every model: the named ones in words, the adapted ones by id, the newest last."""
        return {
            "models": [described(one) for one in self.named.values()],
            "adapted": self.adapted.ids(),
        }

    def model(self, id: str) -> Json:
        """One model in words."""
        if id in self.named:
            return described(self.named[id])
        self._require_adapted(id)
        document = json.loads((self.adapted.path(id) / MODEL_FILE).read_bytes())
        said = document["provenance"]
        known = {"created": said.get("created"), "from": said.get("recipe")}
        return {**known, **of_predictor(id, self.adapted.predictor(id)), "score": score(document)}

    def remove(self, id: str) -> Json:
        """Raises Refused (403) for a named model."""
        if id in self.named:
            raise Refused(
                403,
                "named on the command line, and not removed from here",
                code="model.named",
                where=id,
            )
        self._require_adapted(id)
        self.adapted.remove(id)
        return {"removed": id}

    def export(self, id: str, format: str) -> tuple[str, bytes]:
        """(name of a file, its bytes): `pt2` or `onnx`, or the model folder as a ZIP archive."""
        if format not in FORMATS:
            raise Refused(
                400,
                f"format is {shown(format)[:40]!r}, wanted {', '.join(FORMATS)}",
                code="request.invalid",
                where="format",
            )
        if id in self.named:
            self.named[id].predictor  # noqa: B018  # raises where there is nothing to export
            opened = self.named[id].opened
            assert opened is not None
            folder = opened.path
        else:
            self._require_adapted(id)
            folder = self.adapted.path(id)
        if format == "metacli":
            return f"{id}.zip", zipped(folder)
        with tempfile.TemporaryDirectory(prefix=TEMPORARY, dir=self.adapted.folder) as name:
            file = Path(name, f"{id}.{format}")
            return file.name, exported(folder, file, format, self.limits.adapt_s)

    def _prediction(self, asked: Asked) -> PredictRequest:
        """JSON, or inputs alone with the model behind `?`."""
        if asked.type == JSON:
            return read(PredictRequest, asked.body)
        query = asked.query or {}
        if "model" not in query:
            raise Refused(
                400, "model is missing", code="request.invalid", where="?model=", hint="GET /models"
            )
        inputs = of_body(asked.body, asked.type)
        return PredictRequest(model=query["model"], inputs=inputs, reject=limit_of(query))

    def _predictor(self, id: str) -> Predictor:
        if id in self.named:
            return self.named[id].predictor
        self._require_adapted(id)
        return self.adapted.predictor(id)

    def _named(self, id: str) -> Named:
        """One that adapts. Raises Refused (404), or DataError."""
        one = self.named.get(id)
        if one is None and id not in self.adapted:
            raise unknown(id)
        if one is None or not one.adapts:
            raise DataError(
                "this model is adapted already; wanted one that adapts",
                code="model.adapted",
                where=id,
                hint="GET /models says what each model does",
            )
        return one

    def _require_adapted(self, id: str) -> None:
        if id not in self.adapted:
            raise unknown(id)


def answered(
    predictor: Predictor, wants: Wants, request: PredictRequest
) -> Predictions | TaskPredictions:
    """Rows of a model of many tasks may name their task, as those of a file may."""
    if isinstance(predictor, TaskPredictor) and wants.kind == "numbers":
        table = table_of_rows(request.inputs, wants)
        return predictor.predict([Path(STDIN)], request.reject, table, ignore)
    return predictor.predict(held(request.inputs, wants), request.reject, None, ignore)


def limit_of(query: Mapping[str, str]) -> Literal["auto"] | float | None:
    """`reject` behind `?`. Raises Refused (400)."""
    said = query.get("reject")
    if said is None or said == "auto":
        return said  # type: ignore[return-value]  # "auto" or None
    limit = math.nan
    with suppress(ValueError):
        limit = float(said)
    if not 0 <= limit <= 1:
        raise Refused(
            400,
            f"reject is {shown(said)[:40]!r}, wanted auto or a probability, 0 to 1",
            code="request.invalid",
            where="?reject=",
        )
    return limit


def require_json(asked: Asked) -> None:
    """Raises Refused (415)."""
    if asked.type != JSON:
        raise Refused(
            415,
            f"the body is {shown(asked.type or 'of no type')[:80]}, wanted {JSON}",
            code="request.type",
            where="Content-Type",
        )


def unknown(id: str) -> Refused:
    return Refused(
        404,
        "no model has this id",
        code="model.not_found",
        where=place([id]),
        hint="GET /models lists them",
    )


def out_of_bounds(what: str, count: int, least: int, most: int) -> Refused:
    return Refused(
        413 if count > most else 400,
        f"there are {count} {what}, wanted {least} to {most}",
        code="request.count",
        where=what,
    )


def described(one: Named) -> dict[str, Json]:
    """A named model in words."""
    if one.predicts:
        return of_predictor(one.id, one.predictor)
    kind = None if one.opened is None else one.opened.model.kind
    does: list[Json] = ["adapt"]
    columns = list(one.wants.columns)
    said: dict[str, Json] = {"id": one.id, "does": does, "input": one.wants.kind}
    return {**said, "columns": columns, "kind": kind, "labels": labels_of(one)}


def labels_of(one: Named) -> list[Json] | None:
    """The labels that a model answers in every task; None where any will do."""
    model = None if one.opened is None else one.opened.model
    return list(model.inputs.labels) if isinstance(model, FewShotModel) else None


def of_predictor(id: str, predictor: Predictor) -> dict[str, Json]:
    """A model that answers, in words."""
    model = predictor.model
    wants = Wants.of(model)
    labels = list(model.classes or ()) if isinstance(model, AdaptedModel) else None
    does: list[Json] = ["predict"] if isinstance(model, AdaptedModel) else ["predict", "adapt"]
    said: dict[str, Json] = {"id": id, "does": does, "input": wants.kind}
    return {**said, "columns": list(wants.columns), "kind": model.kind, "labels": labels}


def score(document: Mapping[str, Mapping[str, Json]]) -> Json:
    """What `adapt` measured."""
    return document.get("scores", {}).get("score")


def zipped(folder: Path) -> bytes:
    """The files of a model folder, for `metacli predict` elsewhere."""
    whole = BytesIO()
    with zipfile.ZipFile(whole, "w", zipfile.ZIP_DEFLATED) as archive:
        for path in sorted(folder.iterdir()):
            if path.is_file() and not path.name.startswith("."):
                archive.writestr(f"{folder.name}/{path.name}", path.read_bytes())
    return whole.getvalue()
