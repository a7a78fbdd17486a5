"""A recipe becomes objects, or a list of everything that is wrong with it."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import pytest
import torch
from small_runs import RECIPE, WAVES, recipe
from tiny_models import write_classes

from metacli.compiled import can_compile
from metacli.engine.models.networks import restore_learner
from metacli.engine.training.few_shot import compiling
from metacli.engine.training.few_shot.build import build_few_shot
from metacli.engine.training.few_shot.sources import make_source
from metacli.engine.training.kinds import make_run
from metacli.engine.training.other_source import on_other_source
from metacli.errors import DataError, RecipeError
from metacli.schema.load import dump, load

pytestmark = pytest.mark.usefixtures("workplace")


def built(*overrides: str, text: str = RECIPE):
    return build_few_shot(load(recipe(text), overrides))


ANY_WAY = ("algorithm.head=proto", "episodes.way=[2, 5]")


def problems(*overrides: str, text: str = RECIPE) -> dict[str, str]:
    """Message by code of every finding."""
    with pytest.raises(RecipeError) as caught:
        built(*overrides, text=text)
    error = caught.value
    found = {one.code: one.message for one in error.findings}
    return found or {error.code: error.message}


def test_every_default_and_every_auto_is_written_out() -> None:
    made = built().recipe
    assert (made.train.execution, made.train.chunk) == ("vmap", 2)
    assert made.algorithm.options == {"distance": "euclidean", "scale": 10.0}
    assert {"width": 8, "norm": "group", "downsample": "pool"}.items() <= (
        made.backbone.options.items()
    )
    Path("again.yaml").write_text(dump(made))
    assert build_few_shot(load("again.yaml")).recipe == made


def test_way_inputs_and_kind_come_from_recipe_and_data() -> None:
    made = built("episodes.way=[2, 6]")
    assert (made.way, made.kind) == (6, "classification")
    assert (made.inputs.kind, made.inputs.shape, made.inputs.invert) == ("image", (1, 28, 28), True)
    assert built("data.invert=false").inputs.invert is False
    waves = built(text=WAVES)
    assert (waves.way, waves.kind, waves.inputs.kind) == (1, "regression", "numbers")
    assert waves.recipe.train.execution == "vmap"


STRIDED = ("episodes.query=15", "backbone.downsample=stride", "train.meta_batch=8")


@pytest.mark.parametrize(
    ("overrides", "execution", "chunk"),
    [
        (("algorithm.name=maml",), "vmap", 2),
        (("algorithm.name=maml", "train.meta_batch=32"), "vmap", 16),
        (("algorithm.name=maml", "train.meta_batch=31"), "vmap", 8),
        (("algorithm.name=maml", "train.meta_batch=8", "episodes.query=8"), "vmap", 4),
        (("algorithm.name=maml", "episodes.query=15"), "loop", 1),
        (("episodes.query=15",), "loop", 1),
        (STRIDED, "loop", 1),
        ((*STRIDED, "algorithm.name=maml"), "vmap", 4),
        ((*STRIDED, "algorithm.name=anil"), "loop", 1),
        ((*STRIDED, "algorithm.name=fomaml"), "loop", 1),
        (("algorithm.name=anil", "train.meta_batch=8", "episodes.query=8"), "vmap", 4),
        (("algorithm.name=fomaml", "train.meta_batch=8", "episodes.query=8"), "loop", 1),
        (("algorithm.name=reptile", "train.meta_batch=8", "episodes.query=1"), "vmap", 8),
        (("algorithm.name=reptile", "train.meta_batch=8", "episodes.query=8"), "loop", 1),
        (("algorithm.name=pretrain",), "loop", 1),
        (("algorithm.name=maml", "train.meta_batch=1"), "loop", 1),
        (("train.execution=vmap", "train.meta_batch=16"), "vmap", 8),
        (("algorithm.name=maml", "train.precision=bfloat16"), "loop", 1),
        (("train.execution=compiled", "algorithm.name=maml"), "compiled", 2),
        (("train.execution=vmap", "train.chunk=3", "train.meta_batch=16"), "vmap", 3),
    ],
)
def test_auto_execution_of_a_short_run_is_a_rule_of_the_recipe_alone(
    overrides: tuple[str, ...], execution: str, chunk: int
) -> None:
    made = built(*overrides).recipe.train
    assert (made.execution, made.chunk) == (execution, chunk)


LONG = (
    *("algorithm.name=maml", "algorithm.inner_steps=1", "train.steps=9000", "train.meta_batch=16"),
    *("episodes.way=5", "episodes.shot=1", "episodes.query=1", "backbone.width=64"),
    *("backbone.norm=batch", "backbone.downsample=stride"),
)
REPTILE = ("algorithm.name=reptile", "algorithm.inner_steps=5")


@pytest.mark.parametrize(
    ("overrides", "minutes"),
    [
        ((), "2 minutes of 9,000 steps"),
        (("train.steps=6000",), None),
        (("algorithm.inner_steps=5",), "8 minutes"),
        (("algorithm.inner_steps=3",), None),
        (("algorithm.first_order=true",), None),
        (("algorithm.first_order=true", "algorithm.inner_steps=5"), "5 minutes"),
        (("algorithm.adapts=[head.]",), None),
        (("algorithm.name=anil",), None),
        ((*REPTILE, "episodes.shot=9"), "16 minutes"),
        ((*REPTILE, "algorithm.inner_batch=20", "episodes.shot=9"), None),
        (("train.execution=vmap",), None),
        (("train.precision=bfloat16",), None),
        (("episodes.query=15",), None),
        (("backbone.width=32",), None),
        (("backbone.downsample=pool",), None),
    ],
)
def test_auto_takes_a_program_where_it_saves_minutes_and_says_so(
    monkeypatch: pytest.MonkeyPatch, overrides: tuple[str, ...], minutes: str | None
) -> None:
    monkeypatch.setattr(compiling, "can_compile", lambda: True)
    made = built(*LONG, *overrides)
    assert (made.recipe.train.execution == "compiled") == (minutes is not None)
    assert (made.compiling is None) == (minutes is None)
    assert minutes is None or minutes in (made.compiling or "")
    monkeypatch.setattr(compiling, "can_compile", lambda: False)
    made = built(*LONG, *overrides)
    assert made.recipe.train.execution in ("vmap", "loop")
    assert made.compiling is None


def test_a_run_that_took_a_program_goes_on_as_it_began(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compiling, "can_compile", lambda: True)
    begun = built(*LONG).recipe.train
    again = built(*LONG, f"train.execution={begun.execution}", f"train.chunk={begun.chunk}")
    assert again.recipe.train == begun
    assert again.compiling is None


@pytest.mark.parametrize("compiler", ["no-compiler-is-called-so", sys.executable])
def test_what_compiles_nothing_is_no_compiler(
    monkeypatch: pytest.MonkeyPatch, compiler: str
) -> None:
    monkeypatch.setenv("CXX", compiler)
    assert not can_compile()


def test_all_problems_are_reported_at_once_with_the_nearest_names() -> None:
    with pytest.raises(RecipeError, match="3 problems") as caught:
        built("algorithm.distnace=cosine", "backbone.width=none", "backbone.normm=group")
    hints = [finding.hint for finding in caught.value.findings]
    assert "did you mean algorithm.distance?" in hints
    assert "did you mean backbone.norm?" in hints
    assert {finding.where for finding in caught.value.findings} == {"command line"}


def test_a_problem_is_placed_at_its_line() -> None:
    with pytest.raises(RecipeError) as caught:
        built(text=RECIPE.replace("name: protonet", "name: protonett"))
    assert caught.value.where == "tiny.yaml:7"
    assert caught.value.hint == "did you mean protonet?"


@pytest.mark.parametrize(
    ("overrides", "words"),
    [
        (("algorithm.name=maml", "episodes.way=[2, 5]"), "head of fixed way"),
        (("algorithm.name=maml", "episodes.way=2", "evaluate.way=5"), "head of 2 classes"),
        (("algorithm.name=maml", "backbone.norm=running"), "running statistics"),
        (("backbone.norm=batch", "episodes.shot=[1, 3]", "episodes.balanced=false"), "padding"),
        (("algorithm.name=joint",), "labels that mean the same"),
        (("train.execution=compiled", "algorithm.name=matchingnet"), "not for matchingnet"),
        (("train.execution=batched",), "until they are compiled"),
        (
            (*("train.execution=compiled", "algorithm.name=maml"), *ANY_WAY),
            "tasks of one size",
        ),
        (("train.execution=vmap", "train.precision=bfloat16"), "tasks one by one"),
    ],
)
def test_blocks_that_do_not_go_together_are_refused(overrides: tuple[str, ...], words: str) -> None:
    assert words in " ".join(problems(*overrides).values())


def test_another_name_on_the_command_line_drops_what_the_recipe_says_of_its_own() -> None:
    text = RECIPE.replace("{name: protonet}", "{name: protonet, distance: cosine}")
    made = built("algorithm.name=r2d2", text=text).recipe
    assert "distance" not in made.algorithm.options
    assert made.backbone.options["width"] == 8
    assert built(text=text).recipe.algorithm.options["distance"] == "cosine"
    wrong = problems("algorithm.name=r2d2", "algorithm.distance=cosine", text=text)
    assert wrong == {"recipe.unknown_key": "unknown key algorithm.distance"}
    wrong = problems(text=RECIPE.replace("{name: protonet}", "{name: r2d2, distance: cosine}"))
    assert wrong == {"recipe.unknown_key": "unknown key algorithm.distance"}


def test_other_data_on_the_command_line_drop_what_the_recipe_says_of_its_own(
    tmp_path: Path,
) -> None:
    write_classes(tmp_path / "pool", {f"c{i:02}": 4 for i in range(20)})
    text = RECIPE.replace("{source: glyphs", "{source: omniglot, scheme: vinyals, invert: true")
    assert text != RECIPE
    for source in ("glyphs", str(tmp_path / "pool")):
        found = load(recipe(text), [f"data.source={source}", "episodes.way=2"])
        made = make_run(found).recipe
        assert "scheme" not in made.data.options
        assert made.data.options["invert"] is True
    with pytest.raises(DataError, match="no option 'scheme'"):
        make_run(load(recipe(text), ["data.source=glyphs", "data.scheme=vinyals"]))
    own = load(recipe(text), ["data.source=omniglot"])
    assert on_other_source(own) is own
    texts = RECIPE.replace("{source: glyphs", "{source: texts, fold: 1, encoder: tokens")
    asked = on_other_source(load(recipe(texts), ["data.source=requests.csv"])).recipe.data.options
    assert asked == {"encoder": "tokens"}  # which rows of a user's table have, too


def test_a_preset_cannot_be_overridden() -> None:
    found = problems("algorithm.name=fomaml", "algorithm.first_order=false")
    assert list(found) == ["recipe.preset"]


def test_fields_replaced_for_evaluation_are_checked_like_the_learners() -> None:
    made = built("evaluate.inner_steps=7", "algorithm.name=maml")
    assert (made.learner.inner_steps, made.deployed.inner_steps) == (5, 7)
    assert restore_learner(made.recipe).inner_steps == 7
    assert restore_learner(made.recipe, deployed=False).inner_steps == 5
    found = problems("evaluate.inner_steps=-1", "algorithm.name=maml")
    assert "inner_steps" in " ".join(found.values())
    assert "evaluate.steps" in " ".join(problems("evaluate.steps=1").values())


def test_an_options_value_of_the_wrong_kind_is_reported_with_what_was_found() -> None:
    for value in ("wide", "0", "1.5", "true"):
        assert value.strip("'") in str(problems(f"backbone.width={value}")).lower()


def test_training_episodes_follow_the_runs_seed_and_validation_episodes_do_not() -> None:
    first, second = (built(f"seed={seed}").recipe for seed in (0, 1))
    train = [make_source(one, "train").episode(0).support.x for one in (first, second)]
    val = [make_source(one, "val", seed=0).episode(0).support.x for one in (first, second)]
    assert not torch.equal(*train)
    assert torch.equal(*val)
    assert make_source(first, "train").meta_batch == 2
    assert make_source(first, "val", seed=0).meta_batch == 1


def test_validation_episodes_are_other_ones_for_another_protocol() -> None:
    made = built().recipe
    plain = make_source(made, "val", seed=0).members(0)
    assert make_source(made, "val", seed=1).members(0) != plain
    assert make_source(made, "test", seed=0).members(0) != plain


def test_a_folder_of_ones_own_is_taken_by_its_whole_path() -> None:
    write_classes(Path("pool"), {f"c{i:02}": 4 for i in range(20)})
    made = built("data.source=./pool", "episodes.way=2")
    assert made.recipe.data.source == str(Path("pool").absolute())
    assert made.inputs.invert is False
    with pytest.raises(DataError, match="size"):
        built("data.source=./pool", "episodes.way=2", "data.size=big")


@pytest.mark.parametrize("key", ["shift=2", "warp=0.2"])
def test_only_images_of_classes_are_moved_in_training_and_others_are_named(key: str) -> None:
    name = key.partition("=")[0]
    assert make_source(built(f"episodes.{key}").recipe, "train").augmentation
    assert not make_source(built(f"episodes.{key}").recipe, "val", seed=0).augmentation
    found = " ".join(problems(f"episodes.{key}", text=WAVES).values())
    assert f"episodes.{name} is for images of classes; episodes here are of rows" in found
    frozen = re.sub("backbone: .*", "backbone: {name: frozen}", RECIPE)
    found = " ".join(problems(f"episodes.{key}", text=frozen).values())
    assert "episodes here are of a frozen network's features" in found


@pytest.mark.parametrize("source", ["sinusoid", "generated-tables"])
def test_data_of_another_kind_than_the_backbone_takes_are_named(source: str) -> None:
    with pytest.raises(RecipeError) as caught:
        built(f"data.source={source}")
    said = [one.message for one in caught.value.findings] or [caught.value.message]
    assert any("backbone conv4 does not take numbers" in one for one in said)
