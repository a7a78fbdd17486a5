"""Reviews of many domains: the oddities of their files, and texts that are kept packed."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch

from metacli.data.cache.kept_files import keep
from metacli.data.multi_task.dataset import MultiTaskRows
from metacli.data.multi_task.from_texts import packed
from metacli.data.multi_task.splits import divide_rows
from metacli.data.sources import load_multi_task
from metacli.data.tables.text import HashedText
from metacli.engine.scoring.multi_task_baselines import outside_predictions
from metacli.errors import DataError
from metacli.nn.multi_task import unpacked

SMALL = {"features": 1024}


def stored(cache: Path, **changes: bytes) -> Path:
    good = b"1\tgood and fine , number %d\n0\tbad and dull , number %d\n"
    files = {}
    for name in ("books", "MR"):
        files[f"{name}.task.train"] = b"".join(good % (n, n) for n in range(12))
        files[f"{name}.task.test"] = b"".join(good % (n, n) for n in range(50, 53))
    files |= {name.replace("__", ".task."): content for name, content in changes.items()}
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as made:
        for name, content in files.items():
            made.writestr(name, content)
    (cache / "fdu-mtl").mkdir()
    keep({"fdu_mtl.zip": archive.getvalue()}, cache / "fdu-mtl", None, None)
    return cache


def test_the_lines_of_the_test_files_are_test(tmp_path):
    made, _ = load_multi_task("fdu-mtl", SMALL, stored(tmp_path))
    assert made.tasks == ("MR", "books")
    assert made.labels == (("bad", "good"),) * 2
    parts = divide_rows(made, 0)
    assert parts["test"][0].tolist() == list(range(24, 30))
    assert made.texts[1][24] == "good and fine , number 50"
    assert (len(parts["train"][0]), len(parts["val"][0])) == (19, 5)


def test_latin_letters_empty_texts_and_strange_line_ends_are_read(tmp_path):
    odd = b"1\tcaf\xe9\n0\t\n1\tone\x0bline\xe2\x80\xa8still\n"
    made, _ = load_multi_task("fdu-mtl", SMALL, stored(tmp_path, MR__test=odd))
    assert made.texts[0][24:] == ("café", "", "one\x0bline\u2028still")
    assert made.y[0][24:].tolist() == [1, 0, 1]
    assert np.abs(made.x[0][25]).sum() == 0


def test_a_line_without_a_label_is_named(tmp_path):
    with pytest.raises(DataError, match="line 2 of MR"):
        load_multi_task("fdu-mtl", SMALL, stored(tmp_path, MR__train=b"1\tfine\n2\tbad\n"))


def test_packed_rows_spread_to_the_weights_of_the_text(tmp_path):
    made, _ = load_multi_task("fdu-mtl", SMALL, stored(tmp_path))
    wanted = made.read.encoder.encode(made.texts[0]).toarray()
    found = unpacked(torch.from_numpy(made.x[0]), 1024)
    torch.testing.assert_close(found, torch.from_numpy(wanted))
    assert made.packed == made.width == 1024


def test_the_weights_of_words_are_those_of_training_texts(tmp_path):
    made, _ = load_multi_task("fdu-mtl", SMALL, stored(tmp_path))
    learned = [
        made.texts[task][row]
        for task, rows in enumerate(divide_rows(made, 0)["train"])
        for row in rows.tolist()
    ]
    assert made.read.encoder == HashedText(1024, characters=(0, 0)).fit(learned)


def test_of_a_long_text_the_heaviest_words_are_kept(monkeypatch):
    from metacli.data.multi_task import from_texts as text_tables

    monkeypatch.setattr(text_tables, "MOST", 2)
    from scipy.sparse import csr_matrix

    found = packed(csr_matrix(np.array([[0.1, 0.0, -0.9, 0.5]])))
    assert found.tolist() == [[2.0, 3.0, pytest.approx(-0.9), 0.5]]


def test_the_simple_models_of_texts_are_logistic_regressions_of_their_words(tmp_path):
    made, _ = load_multi_task("fdu-mtl", SMALL, stored(tmp_path))
    rows = MultiTaskRows(made, divide_rows(made, 0))
    found = dict(outside_predictions(rows, ("train",), "val", lambda name: None))
    assert set(found) == {"per-task", "pooled"}
    y = rows.numbers("val")[1]
    for name in found:
        assert all(((p > 0.5) == t).all() for p, t in zip(found[name], y, strict=True)), name
