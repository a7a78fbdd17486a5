"""Settings as Python has them mean what the command line's texts mean."""

from __future__ import annotations

import math

import pytest

from metacli.errors import UsageProblem
from metacli.schema.overrides import Setting, spelled
from metacli.schema.yaml import read_value

VALUES = (5, -1, 1e-5, 1e22, 0.1, True, None, "a b", "x: y", "5", "", "é\n", [1, 2], [8])


@pytest.mark.parametrize("value", VALUES)
def test_a_value_is_read_back_as_it_was(value: Setting) -> None:
    (text,) = spelled({"train.lr": value})
    key, _, rest = text.partition("=")
    found = read_value(rest, "command line")
    assert (key, found, type(found)) == ("train.lr", value, type(value))


def test_blocks_are_dotted_keys_and_texts_stay_as_they_are() -> None:
    nested = spelled({"train": {"steps": 5, "lr": 0.1}, "seed": 3})
    assert nested == ("train.steps=5", "train.lr=0.1", "seed=3")
    assert spelled(["train.steps=5", "seed=3"]) == ("train.steps=5", "seed=3")
    assert spelled("seed=3") == ("seed=3",)
    assert spelled(()) == ()


@pytest.mark.parametrize("value", [math.nan, math.inf, object(), b"x", {1, 2}])
def test_what_no_recipe_can_hold_is_named(value: Setting) -> None:
    with pytest.raises(UsageProblem, match=r"train\.lr"):
        spelled({"train": {"lr": value}})
