"""The commands of the tutorials that tests/test_readme.py does not run, on files made here."""

from __future__ import annotations

import contextlib
import io
import re
import shlex
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from metacli.cli.app import main

PAGES = Path(__file__).resolve().parents[1] / "docs" / "tutorials"
pytestmark = pytest.mark.slow
RNG = np.random.default_rng(0)
COLOURS = {"daisy": (240, 240, 220), "tulip": (220, 40, 60), "violet": (110, 60, 200)}


def lines_of(page: str, first: str) -> list[str]:
    """The `metacli` lines of the block that has `first` in it, without comments."""
    text = (PAGES / page).read_text("utf-8")
    (block,) = [one for one in re.findall(r"```\w*\n(.*?)```", text, re.DOTALL) if first in one]
    found = [re.sub(r"^(- run: )", "", line.strip()) for line in block.splitlines()]
    return [line for line in found if line.startswith("metacli ")]


def run(line: str) -> str:
    """Raises AssertionError where the command fails."""
    words, _, target = line.partition("  #")[0].partition(" > ")
    with contextlib.redirect_stdout(io.StringIO()) as out:
        code = main(shlex.split(words)[1:])
    assert code == 0, line
    if target:
        Path(target.strip()).write_text(out.getvalue(), "utf-8")
    return out.getvalue()


def photograph(colour: tuple[int, int, int], path: Path) -> None:
    """A disk of that colour on a green ground, somewhere, with noise: 160 x 120, JPEG."""
    y, x = np.mgrid[0:120, 0:160]
    disk = (x - RNG.uniform(50, 110)) ** 2 + (y - RNG.uniform(40, 80)) ** 2 < RNG.uniform(
        20, 35
    ) ** 2
    pixels = np.where(disk[..., None], colour, (60, 120, 50)) + RNG.normal(0, 12, (120, 160, 3))
    Image.fromarray(pixels.clip(0, 255).astype(np.uint8)).save(path, quality=90)


def photographs(folder: str, each: int) -> None:
    for name, colour in COLOURS.items():
        (Path(folder) / name).mkdir(parents=True)
        for at in range(each):
            photograph(colour, Path(folder, name, f"IMG_{at:04}.jpg"))


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def test_photographs():
    photographs("my_photos", 8)
    photographs("labelled_photos", 3)
    Path("new_photos").mkdir()
    photograph(COLOURS["tulip"], Path("new_photos", "new.jpg"))
    for line in lines_of("photographs.md", "adapt my_photos"):
        run(line)
    header, row = Path("labels.csv").read_text("utf-8").splitlines()
    assert (header.split(",")[:2], row.split(",")[1]) == (["input", "prediction"], "tulip")
    assert Path("flowers.onnx").is_file()


def houses(name: str, rows: int) -> None:
    size, age = RNG.uniform(40, 200, rows), RNG.integers(0, 90, rows)
    heating = RNG.choice(["gas", "oil", "wood"], rows)
    price = 2000 * size - 900 * age + 20000 * (heating == "gas") + RNG.normal(0, 5000, rows)
    cells = zip(size, age, heating, price, strict=True)
    text = "".join(f"{a:.1f},{b},{c},{d:.0f}\n" for a, b, c, d in cells)
    Path(name).write_text(f"size,age,heating,price\n{text}", "utf-8")


def test_a_table():
    houses("houses.csv", 60)
    houses("new_houses.csv", 4)
    houses("sold.csv", 20)
    for line in lines_of("tables.md", "adapt houses.csv"):
        run(line)
    assert Path("prices.onnx").is_file()


WORDS = {
    "weather": ("will it rain", "how warm is it", "is there snow", "will the sun shine"),
    "music": ("play some jazz", "next song", "play my list", "louder music please"),
    "lamp": ("switch on the light", "light off", "dim the lamp", "make it brighter"),
}


def requests(name: str, each: int, before: str = "") -> None:
    places = ("today", "in the kitchen", "now", "tomorrow", "please", "at home", "for me", "again")
    rows = [
        f"{before}{words[at % 4]} {places[at % 8]},{label}"
        for label, words in WORDS.items()
        for at in range(each)
    ]
    Path(name).write_text("text,label\n" + "\n".join(rows) + "\n", "utf-8")


def test_texts():
    requests("requests.csv", 8)
    requests("new_requests.csv", 4, "hey ")
    requests("labelled_requests.csv", 4, "hello ")
    for line in lines_of("texts.md", "adapt requests.csv -o intents"):
        run(line)
    assert Path("intents.onnx").is_file()


def test_a_pipeline():
    photographs("data", 10)
    photographs("holdout", 4)
    for line in lines_of("ci.md", "--fail-under"):
        run(line)
    assert Path("adapt.json").read_text("utf-8").startswith("{")
    assert Path("model.onnx").is_file()


def test_a_notebook(capsys):
    text = (PAGES / "notebook.md").read_text("utf-8")
    (code,) = [one for one in re.findall(r"```python\n(.*?)```", text, re.DOTALL) if "load" in one]
    exec(compile(code.replace('"train.steps": 200', '"train.steps": 20'), "notebook", "exec"), {})
    assert "value" in capsys.readouterr().out


def test_several_machines():
    for name in ("north", "south"):
        photographs(f"customers/{name}", 4)
    quick = ["train.steps=2", "evaluate.every=2", "evaluate.episodes=2", "backbone.width=4"]
    assert main(["meta-train", "glyphs-5w1s-protonet", *quick, "-o", "run", "-q"]) == 0
    for line in lines_of("several-machines.md", "metacli merge models"):
        run(line)
    assert Path("models/south/model.json").is_file()
    assert len(Path("scores.jsonl").read_text("utf-8").splitlines()) >= 1
