"""A model on a sentence-transformers model that stands alone, and its export: neither needs that
model, nor its name, on the machine where they are used."""

from __future__ import annotations

import shutil
import subprocess
import sys
import warnings
import zipfile
from dataclasses import replace
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from tiny_models import saved, tiny_regression

from metacli.data.tables import text
from metacli.data.tables.text import SentenceText
from metacli.engine.adapt import adapt
from metacli.engine.export import export
from metacli.engine.models.folder import load
from metacli.engine.models.sentence_encoder import ARCHIVE, members, packed, unpacked
from metacli.engine.predict import predict
from metacli.engine.storage.writer import read_folder, write_folder
from metacli.errors import BundleError, EnvironmentProblem

pytestmark = pytest.mark.usefixtures("one_thread", "cache")
ASKED = ["does it snow", "louder music", "is it cold"]


def forgotten() -> None:
    """As in a new process."""
    text._LOADED.clear()
    text._FOLDERS.clear()


def tiny(folder: Path, seed: int) -> Path:
    """A transformer of a few hundred numbers with random weights, saved as that library does."""
    library = pytest.importorskip("sentence_transformers", reason="in the extra [text]")
    import torch

    with warnings.catch_warnings():  # newer versions have it elsewhere, older ones only here
        warnings.simplefilter("ignore", DeprecationWarning)
        from sentence_transformers import models
    from transformers import BertConfig, BertModel, BertTokenizer

    words = ["will", "it", "rain", "is", "cold", "play", "a", "song", "next", "track"]
    words += ["does", "snow", "louder", "music"]
    parts = folder.with_name(f"{folder.name}-parts")
    parts.mkdir()
    (parts / "vocab.txt").write_text("\n".join(["[PAD]", "[UNK]", "[CLS]", "[SEP]", *words]))
    torch.manual_seed(seed)
    config = BertConfig(
        vocab_size=4 + len(words),
        hidden_size=16,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=16,
        max_position_embeddings=16,
    )
    BertModel(config).save_pretrained(parts)
    BertTokenizer(str(parts / "vocab.txt")).save_pretrained(parts)
    body = models.Transformer(str(parts))
    made = library.SentenceTransformer(modules=[body, models.Pooling(16)], device="cpu")
    made.save_pretrained(str(folder), create_model_card=False)
    return folder


@pytest.fixture
def task(tmp_path: Path) -> Path:
    rows = ["will it rain,weather", "is it cold,weather", "play a song,music", "next track,music"]
    path = tmp_path / "mine.csv"
    path.write_text("\n".join(["text,label", *rows]) + "\n")
    return path


def said(model: Path) -> list[dict[str, float]]:
    rows = predict(model, "-", stdin="\n".join(ASKED).encode(), device="cpu")["rows"]
    return [one["probabilities"] for one in rows]


@pytest.mark.slow
def test_a_standalone_model_and_an_export_answer_where_their_encoder_is_gone(
    task: Path, tmp_path: Path
) -> None:
    encoder = tiny(tmp_path / "tiny", 0)
    for name, alone in (("named", False), ("alone", True)):
        adapt(str(encoder), task, out=tmp_path / name, compare=False, standalone=alone)
    expected = said(tmp_path / "named")
    assert len({tuple(one.values()) for one in expected}) == len(ASKED)
    exported = export(tmp_path / "alone", format="onnx", out=tmp_path / "mine.onnx")
    shutil.rmtree(encoder)
    forgotten()
    with pytest.raises(EnvironmentProblem, match="no sentence-transformers model"):
        said(tmp_path / "named")
    for one, other in zip(said(tmp_path / "alone"), expected, strict=True):
        assert one == pytest.approx(other, abs=1e-6)
    command = [sys.executable, "-c", WITHOUT, str(exported["example"]), *ASKED]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    lines = [line.split("\t") for line in done.stdout.splitlines()]
    assert [line[1] for line in lines] == [max(one, key=lambda k: one[k]) for one in expected]
    shown = [float(line[2]) for line in lines]
    np.testing.assert_allclose(shown, [max(one.values()) for one in expected], atol=1e-4)
    assert "sentence-transformers" in Path(exported["readme"]).read_text()


WITHOUT = """
import runpy, sys
sys.modules["metacli"] = None
sys.argv = sys.argv[1:]
runpy.run_path(sys.argv[0], run_name="__main__")
"""


@pytest.mark.slow
def test_two_encoders_of_one_name_are_told_apart_by_their_files(task: Path, tmp_path: Path) -> None:
    expected = []
    for seed in (1, 2):
        encoder = tiny(tmp_path / "tiny", seed)
        adapt(str(encoder), task, out=tmp_path / f"m{seed}", compare=False, standalone=True)
        expected.append(said(tmp_path / f"m{seed}"))
        forgotten()
        shutil.rmtree(encoder)
        shutil.rmtree(tmp_path / "tiny-parts")
    assert expected[0] != expected[1]
    assert [said(tmp_path / "m1"), said(tmp_path / "m2")] == expected


FILES = {"modules.json": b"[]", "1_Pooling/config.json": b"{}", "model.safetensors": b"weights"}


def test_files_are_packed_into_the_same_bytes_and_unpacked_once_and_checked(cache: Path) -> None:
    data = packed(FILES)
    assert packed(dict(FILES)) == data
    assert members(data, Path("m")) == FILES
    folder = unpacked(data, "a" * 64, Path("m"))
    assert folder == cache / "encoders" / f"sentence-{'a' * 64}"
    files = [path for path in folder.rglob("*") if path.is_file()]
    found = {path.relative_to(folder).as_posix(): path.read_bytes() for path in files}
    assert found == FILES
    (folder / "model.safetensors").write_bytes(b"another")
    unpacked(data, "a" * 64, Path("m"))
    assert (folder / "model.safetensors").read_bytes() == b"weights"


@pytest.mark.parametrize(
    "name", ["../evil.json", "/evil.json", "a/../../evil.json", "evil.py", "pytorch_model.bin"]
)
def test_files_that_lead_elsewhere_code_and_pickles_are_refused(name: str) -> None:
    made = BytesIO()
    with zipfile.ZipFile(made, "w") as archive:
        archive.writestr("modules.json", "[]")
        archive.writestr(name, "x")
    with pytest.raises(BundleError, match="is not a sentence-transformers model"):
        members(made.getvalue(), Path("m"))
    with pytest.raises(BundleError, match="is not what metacli writes"):
        members(b"PK", Path("m"))


def test_a_folder_without_the_encoder_that_it_names_is_refused(tmp_path: Path) -> None:
    made = tiny_regression()
    (size,) = made.inputs.shape
    reader = SentenceText("tiny", size, "b" * 64).as_dict()
    assert SentenceText.from_dict(reader).digest == "b" * 64
    folder = Path(saved(replace(made, inputs=replace(made.inputs, reader=reader)), tmp_path / "m"))
    with pytest.raises(BundleError, match="is missing"):
        load(folder)
    write_folder(tmp_path / "other", {**read_folder(folder), ARCHIVE: packed(FILES)})
    with pytest.raises(BundleError, match="is not the encoder that the model names"):
        load(tmp_path / "other")
