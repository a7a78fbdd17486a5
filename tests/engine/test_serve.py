"""The server without its socket: what it answers, what it refuses, and in which words."""

from __future__ import annotations

import asyncio
import csv
import json
import threading
import zipfile
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
import served
import small_runs
import torch
from served import Server, image_examples, in_base64, png
from tiny_models import adapted_model, saved, tiny_model

from metacli.engine.encoders import pretrained
from metacli.engine.events import ignore
from metacli.engine.predict import predict
from metacli.engine.serving.guard import Door, route_of, without_port
from metacli.engine.serving.limits import Limits
from metacli.engine.serving.metrics import Metrics
from metacli.engine.serving.store import open_named
from metacli.errors import UsageProblem

pytestmark = pytest.mark.usefixtures("workplace")
TEXTS = {
    "weather": ("will it rain", "is it warm outside", "snow today"),
    "music": ("play some jazz", "next song please", "louder music"),
}


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """One that adapts and one that answers."""
    folder = tmp_path_factory.mktemp("models")
    made = tiny_model()
    return [saved(made, folder / "learner"), saved(adapted_model(made), folder / "answers")]


@pytest.fixture(scope="module")
def shared(models: list[str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with served.server(models, tmp_path_factory.mktemp("shared")) as made:
        yield made


@pytest.fixture
def server(shared: Server) -> Iterator[Server]:
    """Without adapted models."""
    for id in shared.service.adapted.ids():
        shared.service.adapted.remove(id)
    shared.guard.metrics.requests.clear()
    yield shared
    assert shared.bugs == []


def adapted(server: Server, model: str = "learner", **more: Any) -> str:
    reply = server.post("/adapt", {"model": model, "examples": image_examples(), **more})
    assert reply.status == 201, reply.body
    return str(reply.value["model"])


# What it answers


def test_a_prediction_is_that_of_the_command(server: Server, models: list[str]) -> None:
    Path("a.png").write_bytes(png(90))
    Path("b.png").write_bytes(png(10))
    wanted = predict(models[1], ["a.png", "b.png"])
    inputs = [in_base64(Path(name).read_bytes()) for name in ("a.png", "b.png")]
    reply = server.post("/predict", {"model": "answers", "inputs": inputs})
    assert reply.status == 200
    assert [one["input"] for one in reply.value["rows"]] == ["inputs[0]", "inputs[1]"]
    for row, other in zip(reply.value["rows"], wanted.rows, strict=True):
        assert row["prediction"] == other.prediction
        assert row["probabilities"] == pytest.approx(other.probabilities)


def test_an_image_is_sent_as_a_file_as_base64_and_as_an_address_with_its_data(
    server: Server,
) -> None:
    image = png(90)
    raw = server.ask("POST", "/predict?model=answers", image, {"content-type": "image/png"})
    inputs = [in_base64(image), f"data:image/png;base64,{in_base64(image)}"]
    reply = server.post("/predict", {"model": "answers", "inputs": inputs})
    rows = [*raw.value["rows"], *reply.value["rows"]]
    for one in rows[1:]:
        assert one["probabilities"] == pytest.approx(rows[0]["probabilities"], abs=1e-6)


def test_a_model_of_few_examples_answers_and_is_found_by_the_next_server(
    server: Server, models: list[str]
) -> None:
    id = adapted(server)
    question = {"model": id, "inputs": [in_base64(png(0, 9)), in_base64(png(160, 9))]}
    first = server.post("/predict", question).value
    assert set(first["rows"][0]["probabilities"]) == {"c0", "c1", "c2"}
    assert server.ask("GET", "/models").value["adapted"] == [id]
    with served.server(models, server.service.adapted.folder) as again:
        assert again.ask("GET", "/models").value["adapted"] == [id]
        assert again.post("/predict", question).value == first
        said = again.ask("GET", f"/models/{id}").value
        assert said["labels"] == ["c0", "c1", "c2"]
        assert said["does"] == ["predict"]


def test_a_model_of_the_server_is_one_of_the_command_line_and_names_no_example(
    server: Server,
) -> None:
    folder = server.service.adapted.folder
    id = adapted(server)
    Path("new.png").write_bytes(png(160, 9))
    reply = server.post("/predict", {"model": id, "inputs": [in_base64(png(160, 9))]})
    row = predict(folder / id, "new.png").rows[0]
    assert reply.value["rows"][0]["prediction"] == row.prediction
    document = json.loads((folder / id / "model.json").read_text())
    assert "task" not in document["provenance"]
    left = {one.name for one in folder.iterdir()}
    assert left == {id}  # no image, no table


def test_texts_and_rows_are_adapted_to_and_answered(workplace: Path) -> None:
    with served.server(["texts", "columns"], workplace / "served") as server:
        examples = [{"input": one, "label": k} for k, many in TEXTS.items() for one in many]
        reply = server.post("/adapt", {"model": "texts", "examples": examples})
        inputs = ["play a song", "will it rain, or snow?"]
        found = server.post("/predict", {"model": reply.value["model"], "inputs": inputs})
        assert [one["prediction"] for one in found.value["rows"]] == ["music", "weather"]
        rows = [
            {"input": {"size": at % 7, "town": "ab"[at % 2], "new": at % 3 == 0}, "label": 3.5 * at}
            for at in range(24)
        ]
        reply = server.post("/adapt", {"model": "columns", "examples": rows})
        assert reply.value["score"]["metric"] == "mae"
        id = reply.value["model"]
        columns = server.ask("GET", f"/models/{id}").value["columns"]
        row = {"size": 3, "town": None, "new": True}
        as_list = [row[name] for name in columns]
        found = server.post("/predict", {"model": id, "inputs": [row, as_list]})
        assert found.value["rows"][0]["prediction"] == found.value["rows"][1]["prediction"]
        body = b"size,town,new\n3,,true\n"
        found_of_csv = server.ask(
            "POST", f"/predict?model={id}", body, {"content-type": "text/csv"}
        )
        assert found_of_csv.value["rows"][0] == found.value["rows"][0]


FIXTURES = Path(__file__).resolve().parents[1] / "fixtures"


@pytest.mark.parametrize("name", ["hard-table", "adapted-columns", "adapted-texts"])
def test_stored_models_answer_rows_as_they_answer_files(name: str, workplace: Path) -> None:
    """Of tables and texts, of one task and of many; rows of many tasks name theirs."""
    wanted = json.loads((FIXTURES / "models" / f"{name}.json").read_text())
    text = (FIXTURES / "data" / wanted["inputs"]).read_text("utf-8")
    lines = list(csv.DictReader(text.splitlines()))
    inputs = [one["text"] if name == "adapted-texts" else one for one in lines]
    with served.server([str(FIXTURES / "models" / name)], workplace / "served") as server:
        reply = server.post("/predict", {"model": name, "inputs": inputs})
        assert reply.status == 200, reply.body
        rows = reply.value["rows"]
        assert server.ask("GET", "/models").value["models"][0]["input"] in ("numbers", "text")
    assert len(rows) == len(wanted["rows"])
    for row, other in zip(rows, wanted["rows"], strict=True):
        place = int(other["input"].rpartition(":")[2]) - 2
        assert row["input"] == f"inputs[{place}]"
        assert row.get("task") == other.get("task")
        assert row["prediction"] == other["prediction"]
        assert row["probabilities"] == pytest.approx(other["probabilities"], abs=1e-4)


def test_reject_gives_no_label_below_a_probability(server: Server) -> None:
    question = {"model": "answers", "inputs": [in_base64(png(90))], "reject": 0.999}
    assert server.post("/predict", question).value["rows"][0]["prediction"] == "none of these"
    reply = server.post("/predict", question | {"reject": 1.5})
    assert (reply.status, b"reject" in reply.body) == (400, True)
    assert b"--" not in reply.body


def test_what_a_model_does_is_said(server: Server) -> None:
    learner, answers = server.ask("GET", "/models").value["models"]
    assert (learner["id"], learner["does"], learner["input"]) == ("learner", ["adapt"], "image")
    assert (answers["does"], answers["labels"]) == (["predict"], ["ant", "bee", "cat"])


def test_a_model_is_downloaded_as_a_folder_and_removed(server: Server) -> None:
    id = adapted(server)
    reply = server.ask("GET", f"/models/{id}/export?format=metacli")
    assert reply.headers["content-disposition"] == f'attachment; filename="{id}.zip"'
    with zipfile.ZipFile(BytesIO(reply.body)) as archive:
        archive.extractall("downloaded")
    Path("new.png").write_bytes(png(0, 9))
    assert predict(f"downloaded/{id}", "new.png").rows[0].error is None
    assert server.ask("DELETE", f"/models/{id}").status == 200
    assert server.ask("GET", f"/models/{id}").status == 404
    assert list(server.service.adapted.folder.iterdir()) == []


@pytest.mark.slow
@pytest.mark.parametrize("format", ["onnx", "pt2"])
def test_a_model_is_exported(server: Server, format: str) -> None:
    reply = server.ask("GET", f"/models/{adapted(server)}/export?format={format}")
    assert reply.status == 200
    assert len(reply.body) > 1000


def test_the_oldest_models_leave_memory_and_answer_all_the_same(
    models: list[str], workplace: Path
) -> None:
    limits = Limits(workers=1, memory=150_000)
    with served.server(models, workplace / "served", limits) as server:
        ids = [adapted(server) for _ in range(3)]
        question = [in_base64(png(0, 9))]
        for id in (*ids, ids[0]):
            assert server.post("/predict", {"model": id, "inputs": question}).status == 200
            assert server.service.adapted.in_memory == 1


# What it refuses


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b"", "the body is not JSON"),
        (b"{", "the body is not JSON"),
        (b"\xff\xfe", "the body is not JSON"),
        (b"[" * 100_000, "the body is not JSON"),
        (b'{"model": "\\ud800", "inputs": []}', "the body is not JSON"),
        (b"[]", "body is a list of 0, wanted an object"),
        (b"3", "body is the number 3, wanted an object"),
        (b"{}", "model is missing, and 1 more"),
        (b'{"model": 3, "inputs": []}', "model is the number 3, wanted text"),
        (b'{"model": "", "inputs": []}', "model is empty text, wanted text that is not empty"),
        (b'{"model": "answers", "inputs": {}}', "inputs is an object, wanted a list"),
        (b'{"model": "answers", "inputs": []}', "there are 0 inputs, wanted 1 to 256"),
        (b'{"model": "answers", "inputs": [], "k": 1}', "k is not a key that is known here"),
    ],
)
def test_a_malformed_request_is_400_with_what_was_found_and_wanted(
    server: Server, body: bytes, message: str
) -> None:
    reply = server.ask("POST", "/predict", body, {"content-type": "application/json"})
    assert reply.status == 400
    assert reply.error["message"].startswith(message)
    assert reply.error["where"]


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (3, "inputs[1] is the number 3, wanted an image file in base64"),
        (None, "inputs[1] is null, wanted an image file in base64"),
        ("no base64!", "inputs[1] is the text 'no base64!', wanted an image file in base64"),
        ("", "inputs[1] is empty text, wanted an image file in base64"),
        (["a"], "inputs[1] is a list of 1, wanted an image file in base64"),
    ],
)
def test_an_input_of_another_kind_is_422_and_named(
    server: Server, value: Any, message: str
) -> None:
    inputs = [in_base64(png(1)), value]
    reply = server.post("/predict", {"model": "answers", "inputs": inputs})
    assert reply.status == 422
    assert reply.error["message"] == f"1 of 2 inputs cannot be read, the first: {message}"
    assert [one["where"] for one in reply.error["findings"]] == ["inputs[1]"]


def test_an_image_that_cannot_be_read_is_named_and_the_others_are_answered(server: Server) -> None:
    inputs = [in_base64(png(1)), in_base64(b"no image"), in_base64(png(1)[:200])]
    reply = server.post("/predict", {"model": "answers", "inputs": inputs})
    assert reply.status == 422
    assert reply.error["where"] == "inputs[1]"
    assert "not an image in PNG, JPEG" in reply.error["message"]
    rows = reply.value["result"]["rows"]
    assert [one["error"] is None for one in rows] == [True, False, False]


def test_examples_that_cannot_be_read_are_named_by_their_place(server: Server) -> None:
    examples = image_examples(2, 2)
    examples[2]["input"] = in_base64(b"no image")
    reply = server.post("/adapt", {"model": "learner", "examples": examples})
    assert reply.status == 422
    said = json.dumps(reply.error)
    assert "examples[2]" in said
    assert "metacli-tmp" not in said
    assert server.ask("GET", "/models").value["adapted"] == []


@pytest.mark.parametrize(
    ("path", "value", "status", "code"),
    [
        ("/predict", {"model": "nobody", "inputs": [1]}, 404, "model.not_found"),
        ("/predict", {"model": "../learner", "inputs": [1]}, 404, "model.not_found"),
        ("/predict", {"model": "learner", "inputs": ["AAAA"]}, 422, "model.not_adapted"),
        ("/adapt", {"model": "answers", "examples": image_examples()}, 422, "model.adapted"),
        ("/adapt", {"model": "nobody", "examples": image_examples()}, 404, "model.not_found"),
        ("/adapt", {"model": "learner", "examples": []}, 400, "request.count"),
        ("/adapt", {"model": "learner", "examples": image_examples(1)}, 422, None),
        (
            "/adapt",
            {"model": "learner", "method": "magic", "examples": image_examples()},
            422,
            "usage",
        ),
    ],
)
def test_what_a_model_cannot_do_is_4xx(
    server: Server, path: str, value: Any, status: int, code: str | None
) -> None:
    reply = server.post(path, value)
    assert (reply.status, reply.error["code"]) == (status, code or reply.error["code"])
    assert reply.error["message"]


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [("GET", "/nothing", 404), ("PUT", "/predict", 405), ("GET", "/models/../../etc", 404)],
)
def test_a_path_or_method_that_there_is_none_of_is_said(
    server: Server, method: str, path: str, status: int
) -> None:
    reply = server.ask(method, path)
    assert (reply.status, reply.error["code"]) == (status, "request.path")


def test_another_type_of_content_is_415(server: Server) -> None:
    """Which no page of another site can send in place of JSON without asking."""
    for kind in ("text/plain", "multipart/form-data", "application/x-www-form-urlencoded", ""):
        headers = {"content-type": kind} if kind else {}
        assert server.ask("POST", "/predict?model=answers", b"{}", headers).status == 415
        assert server.ask("POST", "/adapt", b"{}", headers).status == 415


def test_counts_and_sizes_have_an_end(models: list[str], workplace: Path) -> None:
    limits = Limits(workers=1, inputs=2, examples=4, classes=2, body=20_000, models=1)
    with served.server(models, workplace / "served", limits) as server:
        image = in_base64(png(1))
        assert server.post("/predict", {"model": "answers", "inputs": [image] * 3}).status == 413
        many = {"model": "learner", "examples": image_examples(3, 2)}
        assert "6 examples, wanted 2 to 4" in server.post("/adapt", many).error["message"]
        many["examples"] = image_examples(3, 1)
        assert "3 classes, wanted 2 to 2" in server.post("/adapt", many).error["message"]
        few = {"model": "learner", "examples": image_examples(2, 2)}
        assert server.post("/adapt", few).status == 201
        full = server.post("/adapt", few)
        assert (full.status, full.error["code"]) == (507, "serve.full")
        said = server.ask("POST", "/predict", b"", {"content-length": "20001"})
        sent = server.ask("POST", "/predict", [b"x" * 15_000, b"x" * 15_000])
        assert (said.status, sent.status) == (413, 413)
        assert said.headers["connection"] == "close"


def test_a_body_that_comes_slowly_is_408(models: list[str], workplace: Path) -> None:
    with served.server(models, workplace / "served", Limits(workers=1, arrive_s=0.05)) as server:
        reply = server.ask("POST", "/predict", [b"{", 0.2, b"}"])
        assert (reply.status, reply.error["code"]) == (408, "serve.slow")


def test_a_queue_that_is_full_is_503_and_work_that_takes_too_long_504(
    models: list[str], workplace: Path
) -> None:
    limits = Limits(workers=1, queue=1, predict_s=0.2)
    begun, go_on = threading.Event(), threading.Event()

    def slow() -> None:
        begun.set()
        go_on.wait(10)

    async def three(server: Server) -> list[served.Reply]:
        blocking = asyncio.ensure_future(server.lanes["predict"].do(slow, 10))
        await asyncio.to_thread(begun.wait, 10)
        first = asyncio.ensure_future(server.ask_async("GET", "/models"))
        await asyncio.sleep(0.05)
        second = await server.ask_async("GET", "/models")
        health = await server.ask_async("GET", "/health")
        late = await first
        go_on.set()
        await blocking
        await asyncio.sleep(0.05)
        return [second, late, health, await server.ask_async("GET", "/models")]

    with served.server(models, workplace / "served", limits) as server:
        busy, late, health, after = asyncio.run(three(server))
    assert (busy.status, busy.error["code"], busy.headers["retry-after"]) == (
        503,
        "serve.busy",
        "1",
    )
    assert (late.status, late.error["code"]) == (504, "serve.too_slow")
    assert health.status == 200  # while nothing else was answered
    assert after.status == 200


def test_an_unforeseen_error_is_500_says_so_and_ends_nothing(
    models: list[str], workplace: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with served.server(models, workplace / "served") as server:

        def broken(*given: object) -> None:
            raise KeyError("nobody thought of this")

        with monkeypatch.context() as patch:
            patch.setattr(type(server.service), "models", broken)
            reply = server.ask("GET", "/models")
        assert (reply.status, reply.error["code"]) == (500, "bug")
        assert "nobody thought of this" in server.bugs[0]
        assert server.ask("GET", "/models").status == 200


# Who may ask


def test_a_token_is_asked_of_everything_but_the_page_and_its_health(
    models: list[str], workplace: Path
) -> None:
    with served.server(models, workplace / "served", door=Door(token="sesame")) as server:
        for path in ("/", "/docs", "/openapi.json", "/health"):
            assert server.ask("GET", path).status == 200
        for path in ("/models", "/metrics", "/models/answers/export", "/nothing"):
            reply = server.ask("GET", path)
            assert (reply.status, reply.headers["www-authenticate"]) == (401, "Bearer")
        wrong = {"authorization": "Bearer sesam"}
        assert server.ask("GET", "/models", b"", wrong).error["message"] == "this is not the token"
        right = {"authorization": "Bearer sesame"}
        assert server.ask("GET", "/models", b"", right).status == 200


def test_another_name_for_this_machine_is_refused(server: Server) -> None:
    """A page of evil.example whose name leads to 127.0.0.1 would otherwise read every answer."""
    for host in ("evil.example", "evil.example:8000", "localhost.evil.example", ""):
        assert server.ask("GET", "/models", b"", {"host": host}).status == 403
    assert without_port("[::1]:8000") == without_port("[::1]") == "::1"
    assert without_port("LocalHost:80") == "localhost"


def test_no_page_may_load_or_send_anything_elsewhere(server: Server) -> None:
    for path in ("/", "/docs"):
        reply = server.ask("GET", path)
        text = reply.body.decode()
        policy = reply.headers["content-security-policy"]
        assert "default-src 'none'" in policy
        assert "connect-src 'self'" in policy
        assert "http:" not in text.replace("http://127.0.0.1", "")
        assert "https:" not in text
        assert "//" not in text.replace("// ", "")


def test_the_interface_is_described_for_every_route(server: Server) -> None:
    schema = server.ask("GET", "/openapi.json").value
    assert {*schema["paths"]} == {
        *("/predict", "/adapt", "/models", "/models/{id}", "/models/{id}/export"),
        *("/health", "/metrics", "/openapi.json", "/docs"),
    }
    page = server.ask("GET", "/docs").body.decode()
    for path in schema["paths"]:
        assert path.replace("{id}", "{id}") in page
    body = schema["paths"]["/adapt"]["post"]["requestBody"]["content"]["application/json"]
    assert {*body["schema"]["properties"]} == {"model", "examples", "method"}


# What it counts


def test_requests_are_counted_by_a_fixed_set_of_names(server: Server) -> None:
    server.ask("GET", "/models")
    for at in range(20):
        server.ask("GET", f"/made-up-{at}")
        server.ask("GET", f"/models/{at}")
    text = server.ask("GET", "/metrics").body.decode()
    assert 'metacli_requests_total{route="models",status="200"} 1' in text
    assert 'metacli_requests_total{route="models",status="404"} 20' in text
    assert 'metacli_requests_total{route="other",status="404"} 20' in text
    assert "made-up" not in text
    assert route_of("/models/x/export") == "models"
    assert "process_resident_memory_bytes" in text


def test_a_histogram_counts_what_was_within_each_bound() -> None:
    metrics = Metrics()
    for seconds in (0.004, 0.02, 0.02, 40.0):
        metrics.add("predict", 200, seconds)
    text = metrics.text({})
    for bound, count in (("0.005", 1), ("0.01", 1), ("0.025", 3), ("30", 3), ("+Inf", 4)):
        assert f'metacli_request_seconds_bucket{{route="predict",le="{bound}"}} {count}\n' in text
    assert 'metacli_request_seconds_sum{route="predict"} 40.044000\n' in text


# What is shared


def test_models_of_one_source_share_their_network(server: Server) -> None:
    one, other = (server.service.adapted.predictor(adapted(server)).model for _ in range(2))
    assert one.problem() is other.problem()
    assert one.params is not other.params


def test_no_model_and_two_of_one_name_are_refused(workplace: Path) -> None:
    from metacli.engine.serve import serve

    with pytest.raises(UsageProblem, match="serve wants a model"):
        serve([])
    for folder in ("a", "b"):
        saved(tiny_model(), workplace / folder / "same")
    with pytest.raises(UsageProblem, match="two models are called same"):
        serve(["a/same", "b/same"], dry_run=True)
    with pytest.raises(UsageProblem, match="--workers wants 1 or more, found 0"):
        Limits(workers=0)


def test_runs_of_one_recipe_are_called_like_their_folders(workplace: Path) -> None:
    name = small_runs.recipe()
    for folder in ("one", "other"):
        small_runs.trained(folder, "train.steps=1", "evaluate.every=1")
    assert set(open_named(["one"], torch.device("cpu"), ignore)) == {Path(name).stem}
    assert set(open_named(["one", "other"], torch.device("cpu"), ignore)) == {"one", "other"}


def test_a_dry_run_opens_the_models_and_listens_to_nobody(models: list[str]) -> None:
    from metacli.engine.serve import serve

    result = serve(models, port=0, dry_run=True)
    assert result.models == ("learner", "answers")
    assert not Path("runs").exists()


def test_many_models_on_one_encoder_hold_it_once(tmp_path: Path) -> None:
    file = tmp_path / "kept"
    file.write_bytes(b"as it was")
    made = {"a": torch.arange(3.0), "b": torch.ones(2)}
    assert pretrained.held("digest", file) is None
    kept = pretrained.remembered(made, "digest", file)
    again = pretrained.held("digest", file)
    assert again is not None
    assert again["a"] is kept["a"]
    file.write_bytes(b"another")
    assert pretrained.held("digest", file) is None  # what it is now is to be seen
    pretrained.remembered(made, "digest", file)
    del again, kept, made
    assert pretrained.held("digest", file) is None  # nobody holds it any more: read again
