"""An exported model of photographs in an environment of its own, which has onnxruntime, NumPy and
Pillow and nothing else: its example and all of its probabilities are those of `predict`."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest

from metacli.engine.adapt import adapt
from metacli.engine.export import export
from metacli.engine.predict import predict

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("cache")]
PACKAGES = ("onnxruntime", "numpy", "pillow")
CLASSES, SHOTS, ASKED = 5, 5, 4
ALL = """
import json, runpy, sys
import importlib.util
assert importlib.util.find_spec("metacli") is None and importlib.util.find_spec("torch") is None
example = runpy.run_path(sys.argv[1], run_name="example")
(found,) = example["run"](*example["given"](sys.argv[2:]))
print(json.dumps({"labels": example["LABELS"], "rows": found.tolist()}))
"""


@pytest.fixture(scope="module")
def photographs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Of the first species of flowers12: `mine` to adapt to, `asked` to predict."""
    archive = Path(os.environ.get("METACLI_MIRROR", "")) / "flowers12" / "flowers12.zip"
    if not archive.is_file():
        pytest.skip("needs flowers12 (METACLI_MIRROR=FOLDER)")
    folder = tmp_path_factory.mktemp("flowers")
    with zipfile.ZipFile(archive) as content:
        names = sorted(one for one in content.namelist() if one.endswith(".jpg"))
        for label in sorted({one.split("/")[1] for one in names})[:CLASSES]:
            for part, count, place in (("train", SHOTS, "mine"), ("test", ASKED, "asked")):
                (folder / place / label).mkdir(parents=True)
                for name in [n for n in names if n.startswith(f"{part}/{label}/")][:count]:
                    (folder / place / label / Path(name).name).write_bytes(content.read(name))
    return folder


@pytest.fixture(scope="module")
def bare(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The Python of an environment with the packages that the example names."""
    folder = tmp_path_factory.mktemp("bare") / "venv"
    subprocess.run([sys.executable, "-m", "venv", folder], check=True)
    install = [folder / "bin" / "python", "-m", "pip", "install", "-q", *PACKAGES]
    done = subprocess.run(install, capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.skip(f"pip cannot install {' '.join(PACKAGES)}: {done.stderr[-200:]}")
    return str(folder / "bin" / "python")


def said_by(python: str, *words: str) -> str:
    bare = {key: value for key, value in os.environ.items() if not key.startswith("PYTHON")}
    done = subprocess.run([python, *words], capture_output=True, text=True, check=False, env=bare)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.network
def test_a_photo_model_answers_alike_where_only_onnxruntime_is_installed(
    photographs: Path, bare: str, tmp_path: Path
) -> None:
    adapt(None, photographs / "mine", out=tmp_path / "m", compare=False, device="cpu")
    made = export(tmp_path / "m", format="onnx", out=tmp_path / "mine.onnx")
    paths = [str(path) for path in sorted((photographs / "asked").rglob("*.jpg"))]
    assert len(paths) == CLASSES * ASKED
    rows = predict(tmp_path / "m", paths, device="cpu")["rows"]
    found = json.loads(said_by(bare, "-c", ALL, str(made["example"]), *paths))
    expected = [[row["probabilities"][label] for label in found["labels"]] for row in rows]
    np.testing.assert_allclose(found["rows"], expected, atol=1e-4)
    assert np.ptp(expected) > 0.5  # sure of some, not all alike
    lines = said_by(bare, str(made["example"]), *paths).splitlines()
    assert [line.split("\t")[:2] for line in lines] == [
        [path, row["prediction"]] for path, row in zip(paths, rows, strict=True)
    ]
