"""Code of other packages: named by a user it runs, named by a model it does not; and a model whose
plug-in is missing says so."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from metacli import plugins
from metacli.cli.app import main
from metacli.data.catalogue.registry import DATASETS

pytestmark = pytest.mark.usefixtures("one_thread")
PACKAGE = '''
from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import nn

from metacli.algorithms.meta.protonet import ProtoNet
from metacli.algorithms.multitask.balancing import Surgery, Weighting
from metacli.data.catalogue.entries import DataSet
from metacli.data.catalogue.glyphs import GlyphOptions


class Net(nn.Module):
    """One convolution."""

    def __init__(self, width: int = 4) -> None:
        super().__init__()
        self.conv, self.norm = nn.Conv2d(1, width, 5, stride=4), nn.GroupNorm(1, width)

    def forward(self, x):
        return torch.relu(self.norm(self.conv(x))).flatten(1)


class Moving(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.norm = nn.BatchNorm2d(1)

    def forward(self, x):
        return self.norm(x).flatten(1)


@dataclass(frozen=True, kw_only=True)
class Doubled(ProtoNet):
    factor: float = 2.0

    def logits(self, features, prototypes):
        return self.factor * super().logits(features, prototypes)


@dataclass(frozen=True, kw_only=True)
class Largest(Weighting):
    def objective(self, losses, norms, params, state, rng):
        return losses.max(), state


@dataclass(frozen=True, kw_only=True)
class First(Surgery):
    def combine(self, rows, rng):
        return rows[0]


GLYPHS = DataSet(
    name="mine",
    kind="images",
    loader="metacli.data.catalogue.glyphs:pool",
    builder="metacli.data.catalogue.glyphs:build",
    options=GlyphOptions,
    archives=(),
    citation="mine",
    licence="mine",
    splits="as glyphs",
    summary="as glyphs",
    ink=True,
)
'''
RECIPE = """version: 1
kind: meta
data: {source: DATA}
episodes: {way: 3, shot: 2, query: 2}
backbone: {name: "plugged.parts:Net", width: 6}
algorithm: {name: "plugged.parts:Doubled", factor: 0.5}
train: {steps: 2, meta_batch: 2}
evaluate: {every: 2, episodes: 3}
"""


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, cache: Any) -> Iterator[Path]:
    """A package that no recipe or model of another test names."""
    monkeypatch.setattr(plugins, "_allowed", set())
    monkeypatch.delenv(plugins.VARIABLE, raising=False)
    folder = tmp_path / "site"
    (folder / "plugged").mkdir(parents=True)
    (folder / "plugged" / "__init__.py").write_text("")
    (folder / "plugged" / "parts.py").write_text(PACKAGE)
    monkeypatch.syspath_prepend(str(folder))
    monkeypatch.chdir(tmp_path)
    known = set(DATASETS)
    yield folder
    for name in [name for name in sys.modules if name.partition(".")[0] == "plugged"]:
        del sys.modules[name]
    for name in set(DATASETS) - known:
        del DATASETS[name]


def forgotten() -> None:
    """As in a new process."""
    plugins._allowed.clear()
    for name in [name for name in sys.modules if name.partition(".")[0] == "plugged"]:
        del sys.modules[name]


def run(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, dict[str, Any]]:
    code = main([*words, "--json"])
    return code, json.loads(capsys.readouterr().out)


def trained(capsys: pytest.CaptureFixture[str], data: str = "glyphs") -> None:
    Path("mine.yaml").write_text(RECIPE.replace("DATA", data))
    code, found = run(capsys, "meta-train", "mine.yaml", "-o", "run")
    assert code == 0, found
    forgotten()


def test_a_recipe_trains_a_network_and_a_learner_of_another_package(
    package: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    trained(capsys)
    document = json.loads(Path("run/model/model.json").read_text())
    assert set(document["provenance"]["plugins"]) == {
        "plugged.parts:Net",
        "plugged.parts:Doubled",
    }
    assert document["recipe"]["backbone"] == {"name": "plugged.parts:Net", "width": 6}
    text = Path("run/recipe.yaml").read_text()
    assert "factor: 0.5" in text


def test_a_model_does_not_have_its_plug_in_imported_unless_the_user_allows_it(
    package: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    trained(capsys)
    for words in (("evaluate", "run", "--episodes", "3"), ("export", "run", "--with-support")):
        code, found = run(capsys, *words)
        assert (code, found["error"]["code"]) == (3, "plugin.not_allowed"), words
        assert "plugged.parts:" in found["error"]["message"]
        assert "METACLI_PLUGINS=plugged" in found["error"]["hint"]
    code, found = run(capsys, "meta-train", "--resume", "run", "train.steps=4")
    assert (code, found["error"]["code"]) == (3, "plugin.not_allowed")
    code, found = run(capsys, "meta-train", "run", "-n")
    assert (code, found["error"]["code"]) == (3, "plugin.not_allowed")
    assert "plugged.parts" not in sys.modules
    monkeypatch.setenv("METACLI_PLUGINS", "other, plugged")
    assert run(capsys, "evaluate", "run", "--episodes", "3")[0] == 0


def test_a_model_whose_plug_in_is_missing_says_which(
    package: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    trained(capsys)
    (package / "plugged").rename(package / "gone")
    monkeypatch.setenv("METACLI_PLUGINS", "plugged")
    code, found = run(capsys, "evaluate", "run", "--episodes", "3")
    assert (code, found["error"]["code"]) == (3, "plugin.missing")
    assert "plugged.parts:" in found["error"]["message"]


@pytest.mark.slow
def test_another_version_of_a_plug_in_is_reported(
    package: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    trained(capsys)
    (package / "plugged" / "parts.py").write_text(PACKAGE + "\n# changed\n")
    monkeypatch.setenv("METACLI_PLUGINS", "plugged")
    code, found = run(capsys, "evaluate", "run", "--episodes", "3")
    assert code == 0
    assert "plugin.version" in json.dumps(found)


@pytest.mark.slow
def test_a_data_set_of_another_package_is_trained_and_evaluated_on(
    package: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    trained(capsys, '"plugged.parts:GLYPHS"')
    monkeypatch.setenv("METACLI_PLUGINS", "plugged")
    code, found = run(capsys, "evaluate", "run", "--episodes", "3")
    assert (code, found["result"]["data"]) == (0, "plugged.parts:GLYPHS")


@pytest.mark.slow
def test_weightings_and_surgeries_of_another_package_balance_tasks(
    package: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for setting in ("weighting.name=plugged.parts:Largest", "surgery.name=plugged.parts:First"):
        words = ("multitask", "task-families-hard", setting, "train.steps=2", "evaluate.every=2")
        code, found = run(capsys, *words, "-o", setting.partition(".")[0])
        assert code == 0, found
    code, found = run(capsys, "multitask", "task-families-hard", "surgery.name=plugged.parts:Net")
    assert (code, found["error"]["code"]) == (3, "plugin.kind")


@pytest.mark.parametrize(
    ("setting", "code"),
    [
        ("backbone.name=plugged.parts:Moving", "plugin.kind"),
        ("backbone.name=plugged.parts:Nothing", "plugin.broken"),
        ("backbone.name=plugged.parts:GLYPHS", "plugin.kind"),
        ("algorithm.name=plugged.nowhere:Learner", "plugin.missing"),
    ],
)
def test_what_is_wrong_with_a_plug_in_is_reported_by_its_name(
    package: Path, capsys: pytest.CaptureFixture[str], setting: str, code: str
) -> None:
    Path("mine.yaml").write_text(
        RECIPE.replace("DATA", "glyphs").replace(", width: 6", "").replace(", factor: 0.5", "")
    )
    exit_code, found = run(capsys, "meta-train", "mine.yaml", "-n", setting)
    assert (exit_code, found["error"]["code"]) == (3, code)


def test_options_of_a_plug_in_are_checked_as_any_other(
    package: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("mine.yaml").write_text(RECIPE.replace("DATA", "glyphs").replace("width", "widht"))
    code, found = run(capsys, "meta-train", "mine.yaml", "-n")
    assert (code, "did you mean backbone.width" in json.dumps(found)) == (3, True)


def test_a_name_that_is_declared_as_an_entry_point_is_found(
    package: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    info = package / "plugged-1.2.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: plugged\nVersion: 1.2\n")
    (info / "RECORD").write_text("plugged/__init__.py,,\n")
    (info / "top_level.txt").write_text("plugged\n")
    (info / "entry_points.txt").write_text("[metacli.backbones]\nmine = plugged.parts:Net\n")
    Path("mine.yaml").write_text(
        RECIPE.replace("DATA", "glyphs").replace('"plugged.parts:Net"', "mine")
    )
    code, found = run(capsys, "meta-train", "mine.yaml", "-o", "run")
    assert code == 0, found
    document = json.loads(Path("run/model/model.json").read_text())
    assert document["provenance"]["plugins"]["mine"] == "1.2"
