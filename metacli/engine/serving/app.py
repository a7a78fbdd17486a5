"""The routes, and what they look like in OpenAPI."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial

from fastapi import FastAPI, Request, Response
from pydantic import BaseModel
from starlette.exceptions import HTTPException

from metacli import __version__
from metacli.data.files import shown
from metacli.engine.results.base import Json
from metacli.engine.serving.lanes import Lane
from metacli.engine.serving.metrics import Metrics
from metacli.engine.serving.pages import HEADERS, documentation, front_page
from metacli.engine.serving.refusals import Refused, bug, document, status_of
from metacli.engine.serving.requests import AdaptRequest, PredictRequest
from metacli.engine.serving.service import FORMATS, Asked, Service
from metacli.engine.storage.serial import json_bytes
from metacli.errors import MetacliError

DESCRIPTION = """Labels for new inputs, and new models from a few labelled examples.

An error is `{"error": {"code", "message", "where", "hint", "findings"}}`: 400 a request that is
malformed, 401 no token, 403 another host name or a model that stays, 404 no such model, 408 too
slow, 413 too much, 415 another type of content, 422 inputs that cannot be used (`result` then holds
every row), 500 a bug, 501 a missing extra, 503 too many requests wait, 504 it took too long, 507
too many models are kept."""


def make_app(service: Service, lanes: Mapping[str, Lane], metrics: Metrics) -> FastAPI:
    """The routes of a server, without what stands before them (`guard`)."""
    app = FastAPI(
        title="metacli serve",
        version=__version__,
        description=DESCRIPTION,
        docs_url=None,
        redoc_url=None,
        openapi_url=None,
    )
    app.add_exception_handler(MetacliError, on_error)
    app.add_exception_handler(HTTPException, on_http_error)
    app.add_exception_handler(Exception, on_bug)
    add_verbs(app, service, lanes)
    add_models(app, service, lanes)
    add_pages(app, service, lanes, metrics)
    return app


def add_verbs(app: FastAPI, service: Service, lanes: Mapping[str, Lane]) -> None:
    """`/predict` and `/adapt`."""
    limits = service.limits

    @app.post("/predict", openapi_extra=body_of(PredictRequest, "image/png", "text/csv"))
    async def predict(request: Request, model: str | None = None) -> Response:
        """Label inputs: JSON, or one image or the rows of a CSV with `?model=ID`."""
        work = partial(service.predict, await asked(request))
        return await answered(lanes["predict"], work, limits.predict_s)

    @app.post("/adapt", status_code=201, openapi_extra=body_of(AdaptRequest))
    async def adapt(request: Request) -> Response:
        """A new model from labelled examples. Its id is answered once it is on the disk."""
        work = partial(service.adapt, await asked(request))
        return await answered(lanes["adapt"], work, limits.adapt_s, status=201)


def add_models(app: FastAPI, service: Service, lanes: Mapping[str, Lane]) -> None:
    """`/models`, each of them, and its export."""
    seconds, lane = service.limits.predict_s, lanes["predict"]

    @app.get("/models")
    async def models() -> Response:
        """Every model: the named ones in words, the adapted ones by id, the newest last."""
        return await answered(lane, service.models, seconds)

    @app.get("/models/{id}")
    async def model(id: str) -> Response:
        """One model in words."""
        return await answered(lane, partial(service.model, id), seconds)

    @app.delete("/models/{id}")
    async def remove(id: str) -> Response:
        """Remove an adapted model."""
        return await answered(lane, partial(service.remove, id), seconds)

    @app.get("/models/{id}/export")
    async def export(id: str, format: str = FORMATS[0]) -> Response:
        """The model as one file that runs without metacli (`pt2`, `onnx`), or its folder as a ZIP
        archive (`metacli`)."""
        work = partial(service.export, id, format)
        name, data = await lanes["adapt"].do(work, service.limits.adapt_s)
        headers = {"content-disposition": f'attachment; filename="{name}"'}
        return Response(data, media_type="application/octet-stream", headers=headers)


def add_pages(app: FastAPI, service: Service, lanes: Mapping[str, Lane], metrics: Metrics) -> None:
    """What is read by people and by monitors."""
    page = front_page()

    @app.get("/health")
    async def health() -> Response:
        """Whether it answers, and how many requests wait."""
        waiting: Json = {name: one.waiting for name, one in lanes.items()}
        said: Json = {"status": "ok", "metacli": __version__, "waiting": waiting}
        return Response(json_bytes(said), media_type="application/json")

    @app.get("/metrics")
    async def counts() -> Response:
        """Counters and gauges in the text format of Prometheus."""
        gauges = {f"metacli_waiting_{name}": float(one.waiting) for name, one in lanes.items()}
        gauges["metacli_models_adapted"] = len(service.adapted)
        gauges["metacli_models_in_memory"] = service.adapted.in_memory
        return Response(metrics.text(gauges), media_type="text/plain; version=0.0.4")

    @app.get("/openapi.json")
    async def schema() -> Response:
        """This interface as OpenAPI."""
        return Response(json_bytes(app.openapi()), media_type="application/json")

    @app.get("/docs")
    async def docs() -> Response:
        """This interface as a page."""
        return Response(documentation(app.openapi()), media_type="text/html", headers=HEADERS)

    @app.get("/", include_in_schema=False)
    async def front() -> Response:
        return Response(page, media_type="text/html", headers=HEADERS)


async def asked(request: Request) -> Asked:
    """The body, which the guard has read, and what was said of it."""
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    return Asked(await request.body(), kind, dict(request.query_params))


async def answered(
    lane: Lane, work: Callable[[], Json], seconds: float, status: int = 200
) -> Response:
    """What the work gives, as JSON; it is written on the lane's thread, too."""
    body = await lane.do(lambda: json_bytes(work()), seconds)
    return Response(body, status_code=status, media_type="application/json")


async def on_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, MetacliError)
    headers = {}
    if isinstance(error, Refused) and error.after is not None:
        headers["retry-after"] = str(error.after)
    body = document(error)
    return Response(body, status_of(error), headers=headers, media_type="application/json")


async def on_bug(request: Request, error: Exception) -> Response:
    """What nobody foresaw; it is raised again for the guard, which reports it."""
    return Response(document(bug(error)), 500, media_type="application/json")


async def on_http_error(request: Request, error: Exception) -> Response:
    """A path or a method that there is none of."""
    assert isinstance(error, HTTPException)
    path = shown(request.url.path)[:200]
    what = "no such path" if error.status_code == 404 else f"no {request.method} here"
    said = Refused(
        error.status_code, what, code="request.path", where=path, hint="GET /docs lists the paths"
    )
    return Response(document(said), error.status_code, media_type="application/json")


def body_of(kind: type[BaseModel], *others: str) -> dict[str, Json]:
    """What OpenAPI says of a body that FastAPI does not read itself."""
    schema: Json = kind.model_json_schema()
    content: dict[str, Json] = {"application/json": {"schema": schema}}
    raw: Json = {"schema": {"type": "string", "format": "binary"}}
    return {"requestBody": {"required": True, "content": {**content, **dict.fromkeys(others, raw)}}}
