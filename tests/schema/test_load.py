"""Finding a recipe, changing it from the command line, and telling all that is wrong with it."""

from __future__ import annotations

import os
import threading

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from metacli.errors import EnvironmentProblem, MetacliError, RecipeError, UsageProblem
from metacli.schema import load as module
from metacli.schema.load import dump, load, shipped

TEXT = """\
# Five ways, one shot.
#   metacli meta-train my

version: 1
kind: meta
seed: 0
data: {source: omniglot, scheme: vinyals}
episodes: {way: 5, shot: 1, query: 15}
backbone: {name: conv4, width: 64}
algorithm:
  name: maml
  inner_lr: 0.4
train:
  steps: 600
  lr: 1e-3
evaluate: {every: 100, inner_steps: 3}
"""


@pytest.fixture
def mine(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "my.yaml"
    path.write_text(TEXT)
    return "my.yaml"


def problem(*args) -> MetacliError:
    with pytest.raises(MetacliError) as caught:
        load(*args)
    return caught.value


def test_a_file_is_loaded_with_name_header_and_lines(mine):
    loaded = load(mine)
    assert (loaded.name, str(loaded.path)) == ("my", "my.yaml")
    assert loaded.header == "Five ways, one shot.\n  metacli meta-train my"
    assert loaded.recipe.train.lr == 0.001
    assert loaded.locate("train.lr") == "my.yaml:15"
    assert loaded.locate("algorithm.inner_lr") == "my.yaml:12"


def test_a_key_that_is_not_written_is_placed_at_its_block(mine):
    loaded = load(mine)
    assert loaded.locate("algorithm.inner_steps") == "my.yaml:10"
    assert loaded.locate("expect.min") == "my.yaml"


def test_overrides_win_over_the_file_and_the_last_one_wins(mine):
    overrides = [
        "train.lr=5e-4",
        "train.steps=3",
        "train.steps=7",
        "seed=4",
        "episodes.way=[3, 20]",
    ]
    loaded = load(mine, overrides)
    assert (loaded.recipe.train.lr, loaded.recipe.train.steps) == (0.0005, 7)
    assert (loaded.recipe.seed, loaded.recipe.episodes.way) == (4, (3, 20))
    assert loaded.locate("train.lr") == "command line"
    assert loaded.recipe.backbone.options == {"width": 64}


def test_overrides_may_bring_new_keys_into_open_blocks(mine):
    loaded = load(mine, ["algorithm.inner_steps=5", "evaluate.inner_lr=0.1", "data.root=a=b"])
    assert loaded.recipe.algorithm.options == {"inner_lr": 0.4, "inner_steps": 5}
    assert loaded.recipe.evaluate.replace == {"inner_steps": 3, "inner_lr": 0.1}
    assert loaded.recipe.data.options["root"] == "a=b"
    assert loaded.locate("algorithm.inner_steps") == "command line"


def test_another_algorithm_by_override_keeps_the_options(mine):
    recipe = load(mine, ["algorithm.name=fomaml"]).recipe
    assert (recipe.algorithm.name, recipe.algorithm.options) == ("fomaml", {"inner_lr": 0.4})


def test_an_override_may_open_a_block_that_the_file_lacks_or_clear_one(mine):
    recipe = load(mine, ["expect.min=0.9", "baselines=[ridge]"]).recipe
    assert (recipe.expect.min, recipe.baselines) == (0.9, ("ridge",))
    assert load(mine, ["expect.min=0.9", "expect=null"]).recipe.expect is None


def test_an_override_without_equals_is_wrong_usage(mine):
    error = problem(mine, ["train.steps"])
    assert isinstance(error, UsageProblem)
    assert (error.exit_code, error.where) == (2, "command line")


@pytest.mark.parametrize(
    ("override", "code", "hint"),
    [
        ("train.lrr=3", "recipe.unknown_key", "did you mean train.lr?"),
        ("lr=3", "recipe.unknown_key", "did you mean train.lr?"),
        ("=3", "recipe.unknown_key", None),
        ("train.=3", "recipe.unknown_key", None),
        ("algorithm.=3", "recipe.unknown_key", None),
        ("algorithm.a.b=3", "recipe.unknown_key", None),
        ("seed.x=3", "recipe.unknown_key", None),
        ("train=3", "recipe.invalid", "set its keys, such as train.steps=3"),
        (
            "train={steps: 3, optimizer: adam}",
            "recipe.invalid",
            "set its keys, such as train.steps=3 train.optimizer=adam",
        ),
        (
            "train={decay: [1, 2]}",
            "recipe.invalid",
            "set its keys, such as 'train.decay=[1, 2]'",
        ),
        ("train={steps: 3", "recipe.invalid", "set its keys, such as train.steps=VALUE"),
        ("train.steps=[1", "recipe.syntax", None),
        ("train.steps=1.5", "recipe.invalid", None),
        ("train.steps=", "recipe.invalid", None),
        ("train.optimizer=no", "recipe.invalid", None),
        ("algorithm.inner_lr={a: 1}", "recipe.syntax", None),
    ],
)
def test_a_bad_override_is_an_invalid_recipe_on_the_command_line(mine, override, code, hint):
    error = problem(mine, [override])
    assert isinstance(error, RecipeError)
    assert (error.code, error.where, error.findings) == (code, "command line", ())
    if hint:
        assert error.hint == hint


def test_one_problem_is_reported_as_itself(mine, tmp_path):
    (tmp_path / "my.yaml").write_text(TEXT.replace("lr: 1e-3", "lrr: 1e-3"))
    error = problem(mine)
    assert error.message == "unknown key train.lrr"
    assert (error.code, error.where) == ("recipe.unknown_key", "my.yaml:15")
    assert error.hint == "did you mean train.lr?"


def test_several_problems_are_reported_together_in_the_order_of_lines(mine, tmp_path):
    text = TEXT.replace("lr: 1e-3", "lrr: 1e-3").replace("seed: 0", "seed: no")
    (tmp_path / "my.yaml").write_text(text + "seed: 3\nguard: false\n")
    error = problem(mine, ["episodes.shot=0", "zzz=1"])
    assert error.message == "6 problems in my.yaml"
    assert error.exit_code == 3
    assert [(f.where, f.code) for f in error.findings] == [
        ("command line", "recipe.unknown_key"),
        ("command line", "recipe.invalid"),
        ("my.yaml:6", "recipe.invalid"),
        ("my.yaml:15", "recipe.unknown_key"),
        ("my.yaml:17", "recipe.duplicate_key"),
        ("my.yaml:18", "recipe.kind"),
    ]
    assert error.code == error.findings[0].code


def test_later_findings_are_placed_and_reported_the_same_way(mine):
    loaded = load(mine, ["backbone.width=1"])
    first = loaded.finding("algorithm.inner_lr", "too large", hint="0.1")
    second = loaded.finding("backbone.width", "too small")
    assert (first.where, second.where) == ("my.yaml:12", "command line")
    assert loaded.error([first]).message == "too large"
    assert loaded.error([first, second]).message == "2 problems in my.yaml"


def test_a_resolved_recipe_loads_back_equal_with_its_header(mine, tmp_path):
    loaded = load(mine, ["episodes.shot=[1, 5]", "algorithm.note=1e-3", "data.root='no: #1'"])
    (tmp_path / "recipe.yaml").write_text(dump(loaded.recipe, loaded.header))
    again = load(str(tmp_path / "recipe.yaml"))
    assert again.recipe == loaded.recipe
    assert again.header == loaded.header
    assert dump(again.recipe, again.header) == dump(loaded.recipe, loaded.header)


options = st.dictionaries(
    st.from_regex(r"[a-z_]{1,12}", fullmatch=True).filter(
        lambda key: key not in ("name", "source")
    ),
    st.one_of(
        st.none(),
        st.booleans(),
        st.integers(-(10**12), 10**12),
        st.floats(allow_nan=False, allow_infinity=False),
        st.text(st.characters(exclude_categories=("Cs",), exclude_characters="\0"), max_size=12),
        st.lists(st.integers(), max_size=3),
    ),
    max_size=4,
)


@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(options, options, st.integers(0, 2**32 - 1), st.floats(1e-300, 1e300))
def test_any_options_survive_being_written_and_read(tmp_path, algorithm, data, seed, lr):
    from metacli.schema.check import check

    raw = {
        "kind": "meta",
        "seed": seed,
        "data": {"source": "glyphs", **data},
        "episodes": {"way": 5, "shot": 1, "query": 1},
        "backbone": {"name": "conv4"},
        "algorithm": {"name": "maml", **algorithm},
        "train": {"steps": 1, "lr": lr},
    }
    recipe, _ = check(raw)
    (tmp_path / "any.yaml").write_text(dump(recipe), encoding="utf-8")
    assert load(str(tmp_path / "any.yaml")).recipe == recipe


def test_a_run_folder_is_its_recipe_and_named_after_it(tmp_path):
    run = tmp_path / "glyphs-mine" / "2026-01-02T030405Z"
    run.mkdir(parents=True)
    (run / "recipe.yaml").write_text(TEXT)
    assert load(str(run)).name == "glyphs-mine"
    assert load(str(run / "recipe.yaml")).name == "glyphs-mine"
    named = tmp_path / "my-run"
    named.mkdir()
    (named / "recipe.yaml").write_text(TEXT)
    assert load(str(named)).name == "my-run"


def test_a_shipped_name_is_found_before_a_folder_of_that_name(tmp_path, monkeypatch):
    folder = tmp_path / "recipes"
    folder.mkdir()
    (folder / "omniglot-5w1s-maml.yaml").write_text(TEXT)
    monkeypatch.setattr(
        module, "shipped", lambda: [(p.stem, p) for p in sorted(folder.glob("*.yaml"))]
    )
    (tmp_path / "omniglot-5w1s-maml").mkdir()
    monkeypatch.chdir(tmp_path)
    loaded = load("omniglot-5w1s-maml")
    assert loaded.name == "omniglot-5w1s-maml"
    assert loaded.locate("seed") == "omniglot-5w1s-maml.yaml:6"
    error = problem("omniglot-5w1s-mml")
    assert error.code == "recipe.not_found"
    assert "omniglot-5w1s-maml" in error.hint
    assert "metacli recipes" in error.hint
    assert "omniglot-5w1s-maml" in problem("omniglot-5w1s-maml.yaml").hint


def test_every_shipped_recipe_loads_and_survives_being_written(tmp_path):
    names = [name for name, _ in shipped()]
    assert names
    assert names == sorted(names)
    for name in names:
        loaded = load(name)
        assert loaded.header, name
        (tmp_path / "again.yaml").write_text(dump(loaded.recipe), encoding="utf-8")
        assert load(str(tmp_path / "again.yaml")).recipe == loaded.recipe


@pytest.mark.parametrize(
    "name", ["", "nothing-here", "nothing.yaml", "a\0b", "x" * 5000, "a/b.yaml"]
)
def test_what_is_not_there_is_an_invalid_recipe(name):
    assert problem(name).exit_code == 3


def test_a_folder_without_a_recipe_says_so(tmp_path):
    error = problem(str(tmp_path))
    assert (error.code, error.where) == ("recipe.not_found", str(tmp_path))


def test_a_fifo_is_refused_and_never_waited_for(tmp_path):
    os.mkfifo(tmp_path / "pipe.yaml")
    done = threading.Event()
    errors: list[MetacliError] = []

    def go() -> None:
        errors.append(problem(str(tmp_path / "pipe.yaml")))
        done.set()

    threading.Thread(target=go, daemon=True).start()
    assert done.wait(5)
    assert errors[0].message == "not a regular file"


def test_no_permission_is_a_problem_of_the_environment(mine, monkeypatch):
    def refuse(*args: object, **kwargs: object) -> int:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(os, "open", refuse)
    assert isinstance(problem(mine), EnvironmentProblem)


@settings(
    max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(st.data())
def test_mutated_recipes_and_overrides_load_or_raise_our_errors(tmp_path, data):
    raw = bytearray(TEXT.encode())
    for _ in range(data.draw(st.integers(0, 4))):
        at = data.draw(st.integers(0, len(raw)))
        raw[at : at + data.draw(st.integers(0, 6))] = data.draw(st.binary(max_size=4))
    path = tmp_path / "fuzz.yaml"
    path.write_bytes(bytes(raw))
    overrides = data.draw(st.lists(st.text(max_size=12).map(lambda t: "train.lr=" + t), max_size=2))
    overrides += data.draw(st.lists(st.text(max_size=12), max_size=1))
    kind = code = None
    try:
        kind = load(str(path), overrides).recipe.kind
    except MetacliError as error:
        code = error.exit_code
    assert kind in ("meta", "multitask") or code in (2, 3)
