"""The table of algorithms: its names, and the earlier spellings that recipes and models hold."""

from __future__ import annotations

import re

import pytest

from metacli.algorithms import ALGORITHMS, canonical, find, names
from metacli.engine.models.networks import restore_learner
from metacli.engine.training.few_shot.build import build_few_shot
from metacli.schema.load import load

EARLIER = {
    "meta_sgd": "meta-sgd",
    "maml_plus_plus": "maml-plus-plus",
    "meta": "auto-lambda",
}


def test_every_name_is_in_kebab_case() -> None:
    assert [name for name in ALGORITHMS if not re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", name)] == []


def test_an_earlier_spelling_stays_valid_and_means_one_algorithm() -> None:
    spelled = [alias for entry in ALGORITHMS.values() for alias in entry.aliases]
    assert len(set(spelled)) == len(spelled)
    assert not set(spelled) & set(ALGORITHMS)
    assert {alias: canonical(alias) for alias in spelled} == EARLIER
    assert canonical("maml") == "maml"
    assert canonical("nothing") == "nothing"


def test_a_name_is_found_in_its_family_alone() -> None:
    assert find("meta_sgd", "meta") is ALGORITHMS["meta-sgd"]
    assert find("pcgrad", "meta") is None
    assert find("meta", "meta") is None  # the weighting
    assert "meta_sgd" not in names("meta")


@pytest.mark.parametrize("earlier", ["meta_sgd", "maml_plus_plus"])
def test_a_recipe_with_an_earlier_spelling_is_resolved_to_the_name_of_today(earlier: str) -> None:
    loaded = load("sinusoid-10shot-maml", [f"algorithm.name={earlier}", "algorithm.inner_steps=2"])
    resolved = build_few_shot(loaded).recipe
    assert resolved.algorithm.name == EARLIER[earlier]
    old = resolved.model_copy(
        update={"algorithm": resolved.algorithm.model_copy(update={"name": earlier})}
    )
    assert restore_learner(old) == restore_learner(resolved)
