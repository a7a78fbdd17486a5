"""The examples that `metacli COMMAND --help` opens with do what they show, on small real inputs."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from metacli.cli.app import COMMANDS, main

# A few steps in place of what a recipe takes; the words of the example stay as they are.
SHORT = {
    "meta-train glyphs-5w1s-protonet": [
        *("train.steps=2", "evaluate.every=2", "evaluate.episodes=2", "backbone.width=4"),
        *("episodes.way=3", "episodes.query=2"),
    ],
    "multitask pupils.csv data.task=school data.target=score": [],
    "multitask people.csv data.target=income,hours": ["train.steps=2", "-o", "runs/adult"],
    "adapt @last my_classes/ --method lp-ft --baseline -o my_model": ["steps=2", "lr=1e-3"],
    "tune glyphs-5w1s-protonet train.lr=1e-4..1e-2 --budget 10m": [
        *("train.steps=2", "evaluate.every=2", "evaluate.episodes=2", "backbone.width=4"),
        *("episodes.way=3", "episodes.query=2", "--trials", "1"),
    ],
    "evaluate @last": ["--episodes", "3", "--way", "3", "--query", "2"],
    "evaluate @last --shot 1,2,5,10": ["--episodes", "2", "--way", "3", "--query", "2"],
}
# What needs data that are fetched, another device, or several runs.
ELSEWHERE = {
    "doctor --device cuda --json",
    "predict my_model table.csv",  # here my_model is one of pictures
    "fetch omniglot",
    "fetch omniglot --from ~/Downloads",
    "fetch hf:my-team/my-model",  # tests/engine/test_hub
    "push @model my-team/digits --private",
    "sample omniglot task/ --way 20 --shot 1 --seed 3",
    "meta-train omniglot-5w1s-maml train.steps=2000 --device cuda",
    "multitask school-soft",
    "tune landmine-hard train.lr=1e-4..1e-2 train.optimizer=adam,sgd -o tuned",
    "adapt my_classes/ -o my_model",  # tests/engine/test_choosing
    "multitask sarcos-hard weighting.name=uncertainty",
    "merge models part-1 part-2",  # tests/engine/test_shards
    "merge scores.jsonl part-1 part-2 part-3",
    "serve photos",  # tests/engine/test_serve_process
    "serve my_model @last --port 9000 -o served",
    "compare runs/glyphs-5w1s-protonet/20260101T000000Z @last",
    "compare runs/glyphs-anyway-maml/* runs/glyphs-anyway-protonet/* -o table.txt",
    "compare runs/glyphs-anyway-maml/* runs/glyphs-anyway-protonet/* -o plot.svg",
    "compare runs/glyphs-anyway-maml/* runs/glyphs-anyway-protonet/* -o page.html",
    "export @last --with-support --format onnx -o learner.onnx",  # tests/engine/test_export_support
}
# In this order each finds what those before it made.
ORDER = (
    *("doctor", "recipes", "sample", "multitask", "meta-train", "inspect", "adapt", "predict"),
    *("evaluate", "merge", "report", "export", "fetch", "compare", "tune", "push", "serve"),
)


def examples(command: str, capsys: pytest.CaptureFixture[str]) -> list[str]:
    assert main([command, "--help"]) == 0
    page = capsys.readouterr().out
    found = re.findall(rf"^ +metacli ({command}.*)$", page, flags=re.MULTILINE)
    assert len(found) >= 2
    return found


def write_inputs() -> None:
    """What the examples name: folders of pictures, tables."""
    draw = np.random.default_rng(0)
    tasks = [f"customers/{name}/{kind}" for name in ("one", "two") for kind in ("ant", "bee")]
    for folder in (*tasks, "my_classes/ant", "my_classes/bee", "new_images"):
        Path(folder).mkdir(parents=True)
        for number in range(4):
            pixels = draw.integers(0, 256, (28, 28), dtype=np.uint8)
            Image.fromarray(pixels).save(f"{folder}/{number}.png")
    Image.fromarray(draw.integers(0, 256, (28, 28), dtype=np.uint8)).save("image.png")
    rows = [f"{8 + n % 9},s{n % 3},{2 * (n % 9) + 3 * (n % 3) + n % 2 / 2}" for n in range(60)]
    Path("pupils.csv").write_text("\n".join(["age,school,score", *rows]) + "\n")
    people = [f"{20 + n},{'ab'[n // 3 % 2]},{'yn'[n % 2]},{30 + n / 2}" for n in range(60)]
    Path("people.csv").write_text("\n".join(["age,town,income,hours", *people]) + "\n")
    Path("rows.csv").write_text("age,town\n33,a\n44,b\n")


@pytest.mark.slow
@pytest.mark.usefixtures("one_thread", "cache")
def test_every_example_of_a_help_page_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from metacli.engine.scoring import multi_task_baselines as task_baselines

    monkeypatch.setattr(task_baselines, "suited", lambda table: iter(()))  # trees take their time
    monkeypatch.chdir(tmp_path)
    write_inputs()
    assert set(ORDER) == set(COMMANDS)
    known = {line for command in ORDER for line in examples(command, capsys)}
    assert known >= ELSEWHERE | set(SHORT)  # an example that is gone leaves no exception behind
    for command in ORDER:
        for line in examples(command, capsys):
            if line in ELSEWHERE:
                continue
            if line == "inspect my_recipe.yaml --strict":
                Path("mine.yaml").replace("my_recipe.yaml")  # of `recipes copy`
            words = [*shlex.split(line), *SHORT.get(line, [])]
            assert main(words) == 0, (line, capsys.readouterr().err)
            assert capsys.readouterr().out.strip(), line
    for made in ("my_model/model.json", "labels.csv", "report.html", "my_model.html", "task"):
        assert Path(made).exists(), made
