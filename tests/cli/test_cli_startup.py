"""Help and usage errors answer at once: in a fresh process, without torch."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import typer

from metacli.cli.app import app

NAMES = sorted(typer.main.get_command(app).commands)
HEAVY = ("torch", "torchvision", "numpy", "PIL", "rich", "yaml")  # Typer itself needs pydantic
ASK = """
import os, sys
from metacli.cli.app import main
codes = [main(words.split()) for words in {lines!r}]
assert codes == {codes!r}, codes
loaded = [name for name in {heavy!r} if name in sys.modules]
assert not loaded, loaded
"""


def ask(lines: list[str], codes: list[int], heavy: tuple[str, ...]) -> None:
    code = ASK.format(lines=lines, codes=codes, heavy=heavy)
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]


def test_help_of_every_command_imports_nothing_heavy() -> None:
    lines = ["--help", *(f"{name} --help" for name in NAMES)]
    ask(lines, [0] * len(lines), HEAVY)


def test_usage_errors_import_nothing_heavy() -> None:
    lines = [
        "adpt",
        "adapt",
        "tune one two",
        "adapt m t --jsn",
        "meta-train a b",
        "fetch",
        "export",
    ]
    ask(lines, [2] * len(lines), HEAVY)


@pytest.mark.parametrize(("users", "found"), [(None, "passive"), ("active", "active")])
def test_threads_of_torch_wait_asleep_unless_the_user_says_otherwise(
    users: str | None, found: str
) -> None:
    code = """
import os, sys
from metacli.cli.start import run
sys.argv = ["metacli", "--version"]
try:
    run()
finally:
    print(os.environ["OMP_WAIT_POLICY"])
"""
    environment = {k: v for k, v in os.environ.items() if k != "OMP_WAIT_POLICY"}
    environment |= {} if users is None else {"OMP_WAIT_POLICY": users}
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True
    )
    assert done.stdout.split()[-1] == found


def test_completion_imports_no_torch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    run = tmp_path / "runs" / "glyphs" / "20260101T000000Z"
    run.mkdir(parents=True)
    (run / "run.json").write_text("{}")
    for name, file in (("mine", "model.json"), ("ours", "notes.txt"), ("my run", "run.json")):
        (tmp_path / name).mkdir()
        (tmp_path / name / file).write_text("{}")
    code = """
import sys
from metacli.cli import complete
assert complete.models("") == ["@last", "@model", "mine", "my run", "runs/glyphs/20260101T000000Z"]
assert complete.models("m") == ["mine", "my run"]
assert complete.models("runs/g") == complete.runs("") == ["runs/glyphs/20260101T000000Z"]
assert "torch" not in sys.modules
"""
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.parametrize(
    ("line", "offered"),
    [
        ("metacli ada", "adapt"),
        ("metacli adapt m t --meth", "--method"),
        ("metacli adapt m t --method lp", "lp-ft"),
        ("metacli export m --format o", "onnx"),
        ("metacli evaluate @la", "@last"),
        ("metacli doctor --device cu", "cuda"),
        ("metacli adapt m my_ph", "my_photos/"),
        ("metacli adapt m hou", "houses.csv"),
        ("metacli meta-train train.l", "train.lr="),
        ("metacli predict m my_", "my_photos/"),
    ],
)
def test_the_shell_is_offered_what_fits(line: str, offered: str) -> None:
    Path("my_photos").mkdir()
    Path("houses.csv").write_text("a,b\n")
    words = line.split()
    environment = {
        "_METACLI_COMPLETE": "complete_bash",
        "COMP_WORDS": line,
        "COMP_CWORD": str(len(words) - 1),
    }
    code = "from metacli.cli.app import run; run()"
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=False
    )
    assert offered in done.stdout.split()
    assert done.stderr == ""


def test_the_data_sets_offered_are_those_of_the_registry() -> None:
    from metacli.cli.complete import DATA_SETS
    from metacli.data.catalogue.registry import DATASETS

    assert sorted(DATA_SETS) == sorted(DATASETS)
