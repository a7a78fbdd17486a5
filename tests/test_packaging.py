"""What is given away: a wheel and an sdist that an index takes, and the steps of the Dockerfile."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
import venv
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
DOCKERFILE = (ROOT / "Dockerfile").read_text("utf-8").replace("\\\n", " ")


def done(words: list[str], **where: object) -> str:
    result = subprocess.run(words, capture_output=True, text=True, check=False, **where)
    assert result.returncode == 0, f"{shlex.join(words)}\n{result.stdout}\n{result.stderr}"
    return result.stdout


@pytest.mark.slow
def test_an_index_would_take_the_wheel_and_the_sdist(tmp_path):
    pytest.importorskip("twine", reason="needs twine: pip install twine")
    done([sys.executable, "-m", "hatchling", "build", "-d", str(tmp_path)], cwd=ROOT)
    files = sorted(map(str, tmp_path.iterdir()))
    assert [one.rpartition(".")[2] for one in files] == ["whl", "gz"]
    said = done([sys.executable, "-m", "twine", "check", "--strict", *files])
    assert said.count("PASSED") == 2


@pytest.mark.slow
def test_the_steps_of_the_dockerfile_give_a_program_that_works(tmp_path):
    """Without Docker: a fresh environment, and the folders of the image below a temporary one."""
    environment = tmp_path / "python"
    venv.create(environment, with_pip=True, symlinks=True)
    variables = {
        **{key: value for key, value in os.environ.items() if key != "PYTHONPATH"},
        "PATH": f"{environment / 'bin'}{os.pathsep}{os.environ['PATH']}",
    }
    place = tmp_path
    for step, words in re.findall(r"^([A-Z]+) (.*)$", DOCKERFILE, re.MULTILINE):
        if step == "WORKDIR":
            place = inside(words, tmp_path)
            place.mkdir(exist_ok=True)
        elif step == "COPY":
            *sources, target = words.split()
            for one in sources:
                copy(ROOT / one, place / target / (one if target == "./" else ""))
        elif step == "ENV":
            pairs = (word.partition("=") for word in shlex.split(words))
            variables |= {key: str(inside(value, tmp_path)) for key, _, value in pairs}
            Path(variables.get("HOME", tmp_path)).mkdir(exist_ok=True)
        elif step == "RUN":
            command = words.replace(" /cache", f" {tmp_path}/cache")
            done(["sh", "-euc", command], cwd=place, env=variables)
    (entry,) = re.findall(r'^ENTRYPOINT \["(\w+)"\]$', DOCKERFILE, re.MULTILINE)
    assert "glyphs-5w1s-protonet" in done([entry, "recipes", "-q"], cwd=place, env=variables)


def inside(path: str, root: Path) -> Path:
    return root / path.lstrip("/")


def copy(source: Path, target: Path) -> None:
    if source.is_dir():
        shutil.copytree(source, target, ignore=shutil.ignore_patterns("__pycache__"))
    else:
        shutil.copy(source, target)


def test_the_dockerfile_copies_what_the_wheel_is_made_of_and_names_no_index():
    copied = set(" ".join(re.findall(r"^COPY (.*) \S+$", DOCKERFILE, re.MULTILINE)).split())
    assert {"pyproject.toml", "metacli", "recipes", "README.md", "LICENSE"} <= copied
    assert all((ROOT / one).exists() for one in copied)
    assert "://" not in DOCKERFILE
