"""What is installed is complete: the wheel lists and reads its recipes outside the checkout."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="module")
def installed(tmp_path_factory) -> Path:
    """The wheel, unpacked into a folder of its own."""
    out = tmp_path_factory.mktemp("wheel")
    words = ["wheel", "--quiet", "--no-deps", "--no-build-isolation"]
    done = subprocess.run(
        [sys.executable, "-m", "pip", *words, "--wheel-dir", str(out), str(ROOT)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    (wheel,) = out.glob("metacli-*.whl")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(out / "site")
    return out / "site"


def python(installed: Path, code: str, cwd: Path) -> str:
    env = {**os.environ, "PYTHONPATH": str(installed)}
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=cwd, env=env, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_wheel_lists_every_recipe(installed, tmp_path):
    code = (
        "import sys, metacli; from metacli.cli.app import main; "
        "sys.stderr.write(metacli.__file__); sys.exit(main(['recipes', '--json']))"
    )
    listed = json.loads(python(installed, code, tmp_path))["result"]["recipes"]
    shipped = {path.stem for path in (ROOT / "recipes").glob("*.yaml")}
    assert {one["name"] for one in listed} == shipped


def test_the_wheel_is_read_from_where_it_is_installed(installed, tmp_path):
    code = "import metacli.schema.load as m; print(m.__file__); print(m.shipped()[0][1])"
    module, recipe = python(installed, code, tmp_path).split()
    assert Path(module).is_relative_to(installed)
    assert Path(recipe).is_relative_to(installed / "metacli" / "recipes")


def test_the_wheel_holds_its_data_files_and_its_types(installed):
    assert (installed / "metacli" / "py.typed").is_file()
    assert (installed / "metacli" / "data" / "catalogue" / "omniglot_splits.txt").is_file()
    (entry,) = installed.glob("metacli-*.dist-info/entry_points.txt")
    assert "metacli = metacli.cli.start:run" in entry.read_text()
