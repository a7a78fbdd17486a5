"""`report`: everything on one page that needs nothing else, whatever the names on it are."""

from __future__ import annotations

import base64
import io
import json
import re
import shutil
import subprocess
from html.parser import HTMLParser
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import small_runs
from PIL import Image
from tiny_models import tiny_model, write_classes

from metacli.engine.adapt import adapt
from metacli.engine.evaluate import evaluate
from metacli.engine.meta_train import meta_train
from metacli.engine.models import folder as models
from metacli.engine.multitask import multitask
from metacli.engine.report import report
from metacli.errors import BundleError
from metacli.schema.load import load

VOID = {"meta", "img", "br", "hr", "link", "input"}
HOSTILE = ("<script>alert(1)</script>", 'a" onerror="x', "{{ 7 * 7 }}&lt;")
TASKS = """version: 1
kind: multitask
data: {source: task-families, groups: 1, tasks: 3, unrelated: 1, size: 48}
backbone: {name: mlp, hidden: [8]}
sharing: {name: hard}
weighting: {name: equal}
train: {steps: 10, lr: 0.01}
evaluate: {every: 5}
"""


class Reader(HTMLParser):
    """What a browser and a screen reader get from the page."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.texts: dict[str, list[str]] = {}
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert len({name for name, _ in attrs}) == len(attrs), (tag, attrs)
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open and data.strip():
            self.texts.setdefault(self.open[-1], []).append(data.strip())

    def all(self, *names: str) -> list[dict[str, str | None]]:
        return [attrs for tag, attrs in self.tags if tag in names]


def read(path: str = "report.html") -> Reader:
    """The page, with what must hold for every one of them."""
    text = Path(path).read_text(encoding="utf-8")
    page = Reader(text)
    assert text.startswith("<!doctype html>")
    assert page.all("html") == [{"lang": "en"}]
    assert {tag for tag, _ in page.tags} & {"script", "link", "iframe", "object", "base"} == set()
    for _, attrs in page.tags:
        for name, value in attrs.items():
            assert not name.startswith("on"), (name, value)
            if name in ("src", "href", "srcset", "action", "data"):
                assert re.match(r"#|data:image/png;base64,", str(value)), value
    assert not re.search(r"(?<![\w.])(https?:)?//", re.sub(r"base64,[^\"]*", "", text))
    assert not re.findall(r"url\((?!#)|@import", text)
    ids = [attrs["id"] for _, attrs in page.tags if "id" in attrs]
    assert len(ids) == len(set(ids))
    links = {str(attrs["href"])[1:] for attrs in page.all("a", "use")}
    links |= set(re.findall(r"url\(#([^)]*)\)", text))
    assert links <= set(ids)
    assert all((attrs.get("alt") or "").strip() for attrs in page.all("img"))
    assert all(attrs.get("scope") in ("row", "col") for attrs in page.all("th"))
    assert all(attrs.get("aria-label") for attrs in page.all("div") if "role" in attrs)
    levels = [int(tag[1]) for tag, _ in page.tags if re.fullmatch(r"h[1-6]", tag)]
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(b - a <= 1 for a, b in pairwise(levels))
    assert "prefers-color-scheme: dark" in text
    return page


def test_a_run_of_images(finished: Path, workplace: Path) -> None:
    run = str(small_runs.copied(finished))
    done = evaluate(run, way=3, query=2, episodes=4)
    result = report(run)
    page = read()
    assert result == {
        "file": str(workplace / "report.html"),
        "bytes": (workplace / "report.html").stat().st_size,
    }
    titles = page.texts["h2"]
    assert titles == [
        *("Results", "Learning curves", "Sample tasks", "Confusions", "What it is"),
        "To repeat it",
    ]
    shown = f"{100 * done['mean']:.2f} % ± {100 * done['ci95']:.2f}"
    assert shown in page.texts["td"]
    assert any(shown in text for text in page.texts["p"])
    assert "metacli meta-train run/recipe.yaml\n" in page.texts["code"][0] + "\n"
    assert (
        "metacli evaluate run --split test --way 3 --shot 2 --query 2 --episodes 4 --seed 0"
        in page.texts["code"][0]
    )
    assert len(page.all("img")) > 20
    for attrs in page.all("img"):
        data = base64.b64decode(str(attrs["src"]).partition(",")[2])
        assert Image.open(io.BytesIO(data)).format == "PNG"


def test_the_recipe_on_the_page_trains_the_same_run(finished: Path, workplace: Path) -> None:
    run = str(small_runs.copied(finished))
    report(run)
    text = next(text for text in read().texts["code"] if "algorithm:" in text)
    Path("again.yaml").write_text(text)
    assert load("again.yaml").recipe == load(run).recipe


def test_a_report_reads_no_test_data(
    finished: Path, workplace: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from metacli.engine.training.few_shot import sources

    splits = []
    real = sources.load_pool

    def spy(source: str, split: str, *rest: object, **more: object) -> object:
        splits.append(split)
        return real(source, split, *rest, **more)

    monkeypatch.setattr(sources, "load_pool", spy)
    report(str(small_runs.copied(finished)))
    assert splits == ["val"]


def test_confusions_are_those_of_the_validation_episodes(finished: Path, workplace: Path) -> None:
    from metacli.engine.models.opening import open_model
    from metacli.engine.reporting.episodes import AsImage, look, most_confused, validation_source
    from metacli.engine.storage.paths import require_device

    model = open_model(str(finished), require_device("cpu"), lambda event: None).model
    source = validation_source(model)
    found = look(model, source, AsImage(), lambda event: None, episodes=3)
    problem, learner = model.problem(), model.learner()
    right, by_hand = [], {}
    for i in range(3):
        episode, members = source.episode(i), source.members(i)
        phi = learner.adapt(problem, model.params, episode.support, model.state)
        said = learner.predict(problem, phi, episode.query.x).argmax(1)
        right.append(float((said == episode.query.y).double().mean()))
        for a, b in zip(episode.query.y.tolist(), said.tolist(), strict=True):
            pair = (members.classes[a], members.classes[b])
            by_hand[pair] = by_hand.get(pair, 0) + 1
    assert dict(found.confused) == by_hand
    assert found.per_step[-1] == pytest.approx(right)
    for (a, b), times, met in most_confused(found):
        assert (a != b, times) == (True, by_hand[a, b])
        assert met >= times
    counts = [times for _, times, _ in most_confused(found)]
    assert counts == sorted(counts, reverse=True)


def test_a_run_of_waves_shows_the_fit_before_and_after(workplace: Path) -> None:
    meta_train(small_runs.recipe(small_runs.WAVES, "w.yaml"), out="waves", device="cpu")
    result = evaluate("waves", episodes=5)
    report("waves")
    page = read()
    assert "What adaptation does" in page.texts["h2"]
    waves = [title for title in page.texts["h3"] if title.startswith("Wave ")]
    assert len(waves) == 3
    steps = [title for title in page.texts["h3"] if title.startswith("After each adaptation step")]
    assert len(steps) == 2  # on test tasks as evaluate measured it, on validation as drawn
    told = [f"{row['mean']:.4g} ± {row['ci95']:.2g}" for row in result["per_step"]]
    assert len(told) == 3
    assert set(told) <= set(page.texts["td"])


def test_the_error_of_a_fit_is_that_of_its_curve(workplace: Path) -> None:
    from metacli.engine.models.opening import open_model
    from metacli.engine.reporting import regression as waves
    from metacli.engine.reporting.episodes import validation_source
    from metacli.engine.storage.paths import require_device

    meta_train(small_runs.recipe(small_runs.WAVES, "w.yaml"), out="waves", device="cpu")
    model = open_model("waves", require_device("cpu"), lambda event: None).model
    (one,) = waves.fits(model, validation_source(model), 1)
    assert len(one.guesses) == 3  # before, after one step, after two
    support = one.episode.support
    near = np.interp(support.x.numpy()[:, 0], one.x, one.truth)
    assert near == pytest.approx(support.y.numpy()[:, 0], abs=2e-2)
    assert one.errors == pytest.approx([float(((g - one.truth) ** 2).mean()) for g in one.guesses])


def test_a_run_of_many_tasks_shows_each_and_who_is_related(workplace: Path) -> None:
    Path("tasks.yaml").write_text(TASKS)
    multitask("tasks.yaml", out="run")
    result = evaluate("run")
    names = [task["name"] for task in result["tasks"]]
    matrix = [[1.0 if a == b else 0.25 if a < b else -0.5 for b in names] for a in names]
    found = {"tasks": names, "matrix": matrix, "measure": "lookahead", "rows": "train"}
    found["groups"] = [[names[2], names[0]], [names[1], *names[3:]]]
    Path("run/relatedness.json").write_text(json.dumps(found))
    report("run")
    page = read()
    ordered = [names[2], names[0], names[1], *names[3:]]
    heads = page.texts["span"]
    assert any(heads[i : i + len(names)] == ordered for i in range(len(heads)))
    assert f"{names[2]}, {names[0]}" in page.texts["td"]
    assert any("by lookahead, on train rows" in text for text in page.texts["p"])
    assert {"Results", "Task by task", "Which tasks are related"} <= set(page.texts["h2"])
    assert set(names) <= set(page.texts["th"])
    assert page.texts["td"].count("-0.5") == sum(a > b for a in names for b in names)
    assert f"{result['mean']:.4g} ± {result['ci95']:.2g}" in page.texts["td"]


def test_a_large_affinity_is_one_small_image(workplace: Path) -> None:
    from metacli.engine.reporting.on_multi_task import affinity

    names = [f"task {i}" for i in range(40)]
    matrix = np.eye(40)
    matrix[3, 7] = 0.9
    (section,) = affinity({"tasks": names, "matrix": matrix.tolist()})
    _, plot, table = section.blocks
    assert table.rows[0] == ("task 3", "task 7", "0.9")
    assert len(plot.svg) < 60_000
    assert affinity({"tasks": names, "matrix": [[1.0]]}) == []
    assert affinity(None) == []


def adapted(folder: str = "mine") -> None:
    classes = write_classes(Path("task"), {"cat": 4, "dog": 4, "owl": 4})
    models.save(tiny_model(), Path("model"))
    adapt("model", str(classes), out=folder, device="cpu")


def test_an_adapted_model_shows_its_score_and_its_examples(workplace: Path) -> None:
    adapted()
    other = write_classes(Path("more"), {"cat": 3, "dog": 3, "owl": 3}, seed=9)
    result = evaluate("mine", str(other))
    report("mine", out="mine.html")
    page = read("mine.html")
    assert page.texts["h1"] == ["mine"]
    strips = [str(one["alt"]) for one in page.all("img") if "4 examples of" in str(one["alt"])]
    assert strips == [f"4 examples of {name}" for name in ("cat", "dog", "owl")]
    counts = [str(n) for line in result["confusion"] for n in line]
    cells = page.texts["td"]
    assert any(cells[i : i + 9] == counts for i in range(len(cells)))
    assert "metacli adapt model task -o mine" in page.texts["code"][0]


def test_images_that_are_not_the_examples_are_not_shown(workplace: Path) -> None:
    adapted()
    shutil.rmtree("task")
    write_classes(Path("task"), {"cat": 4, "dog": 4, "owl": 4}, seed=5)
    report("mine")
    assert read().all("img") == []


def test_names_from_outside_are_text_wherever_they_stand(workplace: Path) -> None:
    model = tiny_model()
    hostile = {name.replace("/", "-"): 3 for name in HOSTILE}
    write_classes(Path("task"), hostile)
    models.save(model, Path("model"))
    adapt("model", "task", out="mine", device="cpu")
    evaluate("mine", str(write_classes(Path("more"), hostile, seed=3)))
    report("mine")
    page = read()
    shown = " ".join(text for texts in page.texts.values() for text in texts)
    assert all(name in shown for name in hostile)
    assert any("onerror" in str(one["alt"]) for one in page.all("img"))


def test_a_hostile_task_name_in_relatedness_is_text(workplace: Path) -> None:
    from metacli.engine.reporting.blocks import Page
    from metacli.engine.reporting.on_multi_task import affinity
    from metacli.engine.reporting.page import html_of

    found = {"tasks": list(HOSTILE), "matrix": np.eye(3).tolist(), "measure": HOSTILE[0]}
    Path("report.html").write_text(html_of(Page(HOSTILE[1], HOSTILE[0], tuple(affinity(found)))))
    assert set(HOSTILE) <= set(read().texts["th"])


def test_a_page_is_not_written_over_without_force(finished: Path, workplace: Path) -> None:
    run = str(small_runs.copied(finished))
    Path("report.html").write_text("mine")
    with pytest.raises(BundleError, match="the file has content"):
        report(run)
    assert Path("report.html").read_text() == "mine"
    assert report(run, force=True)["bytes"] > 1000
    with pytest.raises(BundleError, match="a folder is in the way"):
        report(run, out=".")


def test_the_same_model_gives_the_same_page_and_a_dry_run_writes_none(workplace: Path) -> None:
    adapted()
    size = report("mine", out="dry.html", dry_run=True)["bytes"]
    assert not Path("dry.html").exists()
    assert report("mine", out="a.html")["bytes"] == size
    report("mine", out="b.html")
    assert Path("a.html").read_bytes() == Path("b.html").read_bytes()


def test_a_run_that_was_never_evaluated_claims_no_result(finished: Path, workplace: Path) -> None:
    report(str(small_runs.copied(finished)))
    page = read()
    assert any(text.startswith("Not evaluated yet") for text in page.texts["p"])
    assert "metacli evaluate run" in page.texts["code"]


BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")


@pytest.mark.slow
@pytest.mark.parametrize(("scheme", "dark"), [("light", False), ("dark", True)])
@pytest.mark.parametrize("width", [360, 1200])
def test_a_browser_shows_the_page_within_its_width(
    finished: Path, workplace: Path, width: int, scheme: str, dark: bool
) -> None:
    browser = next((path for name in BROWSERS if (path := shutil.which(name))), None)
    if browser is None:
        pytest.skip(f"no browser to look with: none of {', '.join(BROWSERS)} is installed")
    run = str(small_runs.copied(finished))
    evaluate(run, way=3, query=2, episodes=4)
    report(run)
    words = ["--headless=new", "--no-sandbox", "--disable-gpu", "--hide-scrollbars"]
    words += [f"--window-size={width},3000", "--force-device-scale-factor=1"]
    words += [f"--blink-settings=preferredColorScheme={0 if dark else 1}"]
    address = (workplace / "report.html").as_uri()
    command = [browser, *words, f"--screenshot={workplace / 'shot.png'}", address]
    subprocess.run(command, check=True, capture_output=True, timeout=120)
    shot = np.asarray(Image.open("shot.png").convert("RGB")).astype(int)
    assert shot.shape[1] == width
    ground = np.array([13, 17, 23] if dark else [255, 255, 255])
    margin = shot[:, -12:]  # nothing runs out of the page to the right
    assert (margin == ground).all()
    drawn = (np.abs(shot - ground).sum(2) > 200).mean()  # letters, lines and pictures
    assert 0.01 < drawn < 0.6


def test_the_metric_of_a_report_is_that_over_all_tasks_where_each_task_has_its_own() -> None:
    from metacli.engine.reporting.subject import evaluation

    result = {"metric": "explained_variance", "mean": 0.9, "tasks": [{"metric": "mse"}]}
    line = {"unit": "task", "metric": "mse", "values": [0.5], "result": result}
    assert evaluation(line)["metric"] == "explained_variance"
    of_a_measure = {**line, "draws": 3, "metric": "auc"}
    assert evaluation(of_a_measure)["metric"] == "auc"
