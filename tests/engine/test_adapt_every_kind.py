"""`adapt --method` and `--baseline` from every kind of source: they answer, or say why not."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from test_adapt_rows import TOPICS, write_texts, write_town
from test_adapt_rows import number_model as number_model
from test_adapt_rows import text_model as text_model
from test_feature_source import embeddings, write
from test_task_use import BASE, pictures
from test_task_use import alphabets as alphabets

from metacli.engine.adapt import adapt
from metacli.engine.multitask import multitask
from metacli.errors import UsageProblem

pytestmark = pytest.mark.usefixtures("one_thread")
SLOW = [pytest.param(name, marks=pytest.mark.slow) for name in ("linear-probe", "lp-ft", "l2-sp")]
METHODS = ("native", "prototype", "fine-tune", *SLOW)
QUICK = {"fine-tune": ["steps=2", "lr=1e-2"], "lp-ft": ["steps=2", "lr=1e-2"], "l2-sp": ["steps=2"]}
SCRATCH = "the same network from scratch"


@pytest.fixture(autouse=True)
def place(tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from metacli.algorithms.transfer.fine_tune import FineTune
    from metacli.engine.adapting import scoring as adapt_score
    from metacli.engine.scoring import multi_task_baselines as task_baselines

    monkeypatch.setattr(task_baselines, "suited", lambda table: iter(()))
    monkeypatch.setattr(adapt_score, "SCRATCH", FineTune(lr=1e-3, steps=2, head_rate=1.0))
    monkeypatch.chdir(tmp_path)
    Path("tiny.yaml").write_text(BASE)


def fields(method: str) -> list[str]:
    return QUICK.get(method, [])


def require_answer(result: dict, method: str, metric: str) -> None:
    assert result["score"]["metric"] == metric
    assert np.isfinite(result["score"]["value"])
    compared = {one["baseline"]["name"]: one for one in result["transfer"]["all"]}
    assert SCRATCH in compared
    assert np.isfinite(compared[SCRATCH]["baseline"]["value"])
    assert method == "native" or result["method"] == method


@pytest.mark.parametrize("method", METHODS)
def test_texts(text_model: str, method: str) -> None:
    data = write_texts(Path("mine.csv"), TOPICS[:3])
    result = adapt(text_model, data, fields(method), method=method, baseline=True, dry_run=True)
    require_answer(result, method, "accuracy")


@pytest.mark.parametrize("method", METHODS)
def test_numbers_of_tables(number_model: str, method: str) -> None:
    write_town(Path("mine.csv"), 11)
    if method == "prototype":
        with pytest.raises(UsageProblem, match="predicts numbers"):
            adapt(number_model, "mine.csv", method=method)
        return
    words = fields(method)
    result = adapt(number_model, "mine.csv", words, method=method, baseline=True, dry_run=True)
    require_answer(result, method, "mae")


@pytest.mark.parametrize("method", METHODS)
def test_columns_that_are_embeddings(method: str) -> None:
    x, y = embeddings(30)
    task = write("task.csv", x, [f"c{n}" for n in y])
    result = adapt("features", task, fields(method), method=method, baseline=True, dry_run=True)
    require_answer(result, method, "accuracy")


@pytest.mark.parametrize("method", METHODS)
def test_images_of_a_multi_task_model(alphabets: str, method: str) -> None:
    pictures("mine", "uvw", 4)
    result = adapt(alphabets, "mine", fields(method), method=method, baseline=True, dry_run=True)
    require_answer(result, method, "accuracy")


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("sharing", ["hard", "soft-l2"])
def test_rows_of_a_multi_task_model(sharing: str, method: str) -> None:
    multitask("tiny.yaml", [f"sharing.name={sharing}"], out="run")
    draw = np.random.default_rng(0)
    x = draw.normal(size=(24, 24))
    header = [f"x{number}" for number in range(1, 25)]
    for target, cells in (("price", x[:, 0] + 0.5), ("label", np.arange(24) % 3)):
        rows = [[*row, cell] for row, cell in zip(x.tolist(), cells.tolist(), strict=True)]
        text = [",".join(map(str, row)) for row in [[*header, target], *rows]]
        Path(f"{target}.csv").write_text("\n".join(text) + "\n")
    words = fields(method)
    asked = {"method": method, "baseline": True, "dry_run": True, "target": "price"}
    if method == "prototype":
        with pytest.raises(UsageProblem, match="predicts numbers"):
            adapt("run", "price.csv", words, **asked)
        return
    require_answer(adapt("run", "price.csv", words, **asked), method, "mae")
