"""What a recipe may say, and how what it may not say is told."""

from __future__ import annotations

import copy
import subprocess
import sys

import pytest
from pydantic import ValidationError

from metacli.schema.check import check
from metacli.schema.recipe import parse_recipe, valid_keys

META = {
    "kind": "meta",
    "data": {"source": "glyphs", "scheme": "a"},
    "episodes": {"way": [3, 20], "shot": 1, "query": 15},
    "backbone": {"name": "conv4", "width": 64},
    "algorithm": {"name": "maml", "adapts": ["head."], "inner_lr": 0.4},
    "train": {"steps": 600, "lr": 0.001},
    "evaluate": {"every": 50, "inner_steps": 3},
    "expect": {"way": 5, "shot": 1, "min": 0.9},
}
MULTITASK = {
    "kind": "multitask",
    "data": {"source": "school"},
    "backbone": {"name": "mlp"},
    "sharing": {"name": "hard"},
    "weighting": {"name": "uncertainty"},
    "surgery": {"name": "pcgrad"},
    "guard": True,
    "groups": [["a", "b"], ["c"]],
    "train": {"steps": 10},
}


def changed(base: dict, key: str, value: object) -> dict:
    raw = copy.deepcopy(base)
    block, _, inner = key.partition(".")
    if inner:
        raw.setdefault(block, {})[inner] = value
    else:
        raw[block] = value
    return raw


def one_trouble(raw: dict) -> tuple[str, str, str, str | None]:
    recipe, troubles = check(raw)
    assert recipe is None
    assert len(troubles) == 1, troubles
    return tuple(troubles[0])


def test_open_blocks_keep_their_further_keys_as_plain_options():
    recipe, troubles = check(META)
    assert troubles == []
    assert recipe.data.source == "glyphs"
    assert recipe.data.options == {"scheme": "a"}
    assert recipe.algorithm.options == {"adapts": ["head."], "inner_lr": 0.4}
    assert recipe.evaluate.replace == {"inner_steps": 3}
    assert recipe.episodes.way == (3, 20)


def test_left_out_settings_have_the_documented_defaults():
    recipe, _ = check({**META, "train": {"steps": 1}, "evaluate": {}, "expect": None})
    assert (recipe.version, recipe.seed, recipe.baselines, recipe.expect) == (1, 0, (), None)
    assert recipe.episodes.balanced is True
    assert recipe.evaluate.episodes == 600
    train = recipe.train
    assert (train.meta_batch, train.optimizer, train.weight_decay, train.momentum) == (
        4,
        "adam",
        0.0,
        0.0,
    )
    assert (train.schedule, train.schedule_factor, train.clip) == ("constant", 0.5, None)
    assert (train.execution, train.chunk) == ("auto", None)


@pytest.mark.parametrize("raw", [META, MULTITASK])
def test_plain_values_of_a_recipe_make_an_equal_recipe(raw):
    recipe, _ = check(raw)
    assert check(recipe.plain()) == (recipe, [])


def test_a_recipe_cannot_be_changed():
    recipe, _ = check(META)
    with pytest.raises(ValidationError, match="frozen"):
        recipe.train.steps = 3


def test_multitask_keeps_its_groups_and_has_no_episodes():
    recipe, troubles = check(MULTITASK)
    assert troubles == []
    assert recipe.groups == (("a", "b"), ("c",))
    assert "episodes" not in recipe.plain()


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("seed", True, "seed must be a whole number, found true"),
        ("seed", -1, "seed must be greater than or equal to 0, found -1"),
        ("seed", 2**32, "seed must be less than 4294967296, found 4294967296"),
        ("kind", "mata", "kind must be meta, multitask or meta-multitask, found 'mata'"),
        ("version", 2, "version is of a newer metacli: this one reads recipe version 1, found 2"),
        ("version", True, "version must be 1, found true"),
        ("version", "1", "version must be 1, found '1'"),
        ("train.steps", 0, "train.steps must be greater than or equal to 1, found 0"),
        ("train.steps", 1e3, "train.steps must be a whole number, found 1000.0"),
        ("train.steps", True, "train.steps must be a whole number, found true"),
        ("train.steps", None, "train.steps must be a whole number, found null"),
        ("train.lr", 0, "train.lr must be greater than 0, found 0"),
        ("train.lr", "fast", "train.lr must be a number, found 'fast'"),
        ("train.lr", True, "train.lr must be a number, found true"),
        ("train.lr", float("inf"), "train.lr must be a finite number, found inf"),
        ("train.lr", float("nan"), "train.lr must be a finite number, found nan"),
        ("train.clip", 0.0, "train.clip must be greater than 0, found 0.0"),
        ("train.momentum", 1.0, "train.momentum must be less than 1, found 1.0"),
        ("train.optimizer", "adm", "train.optimizer must be adam, adamw or sgd, found 'adm'"),
        ("train", 3, "train must be a block of keys, found 3"),
        ("backbone", "conv4", "backbone must be a block of keys, found 'conv4'"),
        ("backbone.name", "", "backbone.name must be text that is not empty, found ''"),
        ("backbone.name", 4, "backbone.name must be text, found 4"),
        (
            "backbone.width",
            {"a": 1},
            "backbone.width must be a number, text, true, false, null or a list, found {'a': 1}",
        ),
        (
            "algorithm.inner_lr",
            float("nan"),
            "algorithm.inner_lr must be a finite number, found nan",
        ),
        ("algorithm.adapts", [1, [{}]], None),
        ("evaluate.inner_lr", float("inf"), None),
        ("evaluate.episodes", 1, None),
        ("episodes.way", 0, "episodes.way must be 1 or more, found 0"),
        ("episodes.way", True, None),
        ("episodes.way", 5.0, None),
        ("episodes.way", [20, 3], "episodes.way must go from low to high, found [20, 3]"),
        (
            "episodes.shot",
            [0, 3],
            "episodes.shot must be a whole number, or [low, high] with 1 <= low <= high,"
            " found [0, 3]",
        ),
        ("episodes.shot", [1], None),
        ("episodes.shot", [1, True], None),
        ("episodes.balanced", 1, "episodes.balanced must be true or false, found 1"),
        ("baselines", "ridge", "baselines must be a list of names, found 'ridge'"),
        ("expect.min", "0.9", "expect.min must be a number, found '0.9'"),
        ("expect.split", "tset", None),
    ],
)
def test_a_wrong_value_is_named_with_what_was_found_and_wanted(key, value, message):
    trouble = one_trouble(changed(META, key, value))
    assert trouble[0] == key
    assert trouble[1] == "recipe.invalid"
    assert message is None or trouble[2] == message


@pytest.mark.parametrize(
    ("key", "hint"),
    [
        ("trian", "did you mean train?"),
        ("train.lrr", "did you mean train.lr?"),
        ("train.learning_rat", None),
        ("episodes.ways", "did you mean episodes.way?"),
        ("lr", "did you mean train.lr?"),
        ("train.lr", None),
        ("expect.mim", "did you mean expect.min?"),
    ],
)
def test_an_unknown_key_names_the_nearest_valid_one(key, hint):
    raw = copy.deepcopy(META)
    if key == "train.lr":
        raw["train.lr"] = 1  # a dotted key in a file
        hint = "write train: {lr: ...}"
    else:
        raw = changed(raw, key, 1)
    found = one_trouble(raw)
    assert found[:3] == (key, "recipe.unknown_key", f"unknown key {key}")
    if hint:
        assert found[3] == hint


def test_an_unknown_key_like_no_other_lists_those_of_its_block():
    hint = one_trouble(changed(META, "episodes.zzzz", 1))[3]
    assert hint == "keys here: way, shot, query, balanced, per, shift, warp"


@pytest.mark.parametrize(
    ("key", "value", "hint"),
    [
        ("train.steps", 1e3, "write 1000"),
        ("train.lr", "1e-3", "write it without quotes"),
        ("train.optimizer", "adm", "did you mean adam?"),
        ("backbone", "conv4", "write backbone: {name: conv4}"),
        ("data", "glyphs", "write data: {source: glyphs}"),
    ],
)
def test_a_common_slip_is_answered_with_its_correction(key, value, hint):
    assert one_trouble(changed(META, key, value))[3] == hint


@pytest.mark.parametrize("key", ["sharing", "weighting", "surgery", "guard", "groups"])
def test_a_meta_recipe_does_not_take_multitask_keys(key):
    trouble = one_trouble({**META, key: MULTITASK[key]})
    assert trouble[:2] == (key, "recipe.kind")
    assert "belongs to kind multitask" in trouble[2]


@pytest.mark.parametrize("key", ["episodes", "algorithm"])
def test_a_multitask_recipe_does_not_take_meta_keys(key):
    assert one_trouble({**MULTITASK, key: META[key]})[:2] == (key, "recipe.kind")


@pytest.mark.parametrize(
    ("raw", "key"),
    [(META, k) for k in ("kind", "data", "episodes", "backbone", "algorithm", "train")]
    + [(MULTITASK, k) for k in ("data", "backbone", "sharing", "weighting", "train")],
)
def test_a_missing_block_is_named(raw, key):
    left = {k: v for k, v in raw.items() if k != key}
    trouble = one_trouble(left)
    assert trouble[:3] == (key, "recipe.missing_key", f"{key} is missing")


@pytest.mark.parametrize(
    ("train", "key"),
    [
        ({"momentum": 0.9}, "train.momentum"),
        ({"schedule": "step"}, "train.schedule"),
        ({"schedule": "cosine", "schedule_every": 10}, "train.schedule_every"),
    ],
)
def test_a_setting_that_would_do_nothing_is_an_error(train, key):
    assert one_trouble({**META, "train": {"steps": 5, **train}})[0] == key


def test_step_schedule_and_momentum_are_accepted_where_they_act():
    train = {
        "steps": 5,
        "optimizer": "sgd",
        "momentum": 0.9,
        "schedule": "step",
        "schedule_every": 2,
    }
    assert check({**META, "train": train})[1] == []


@pytest.mark.parametrize("groups", ["all", [], ["a", "b"], [["a", 1]], 3])
def test_groups_are_null_auto_or_lists_of_names(groups):
    assert one_trouble({**MULTITASK, "groups": groups})[0] == "groups"


def test_all_problems_are_reported_at_once():
    raw = changed(changed(changed(META, "train.lr", -1), "seed", "x"), "episodes.way", 0)
    _, troubles = check({**raw, "guard": True})
    assert {t.key for t in troubles} == {"train.lr", "seed", "episodes.way", "guard"}


def test_more_problems_than_anyone_reads_are_counted():
    _, troubles = check({**META, **{f"k{i}": 1 for i in range(80)}})
    assert len(troubles) == 51
    assert troubles[-1].message == "and 30 more problems"


def test_a_recipe_made_directly_obeys_its_kind_too():
    with pytest.raises(ValidationError, match="does not take guard"):
        parse_recipe({**META, "guard": True})


def test_valid_keys_are_every_dotted_key_of_the_schema():
    keys = valid_keys()
    assert len(set(keys)) == len(keys)
    assert {"train", "train.lr", "episodes.way", "data.source", "evaluate.every"} <= set(keys)
    assert not {"data.options", "evaluate.replace"} & set(keys)


def test_the_schema_does_not_import_torch():
    code = "import sys, metacli.schema.load; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
