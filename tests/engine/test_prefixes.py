"""An inner loop that would adapt nothing is refused before training."""

from __future__ import annotations

import pytest

from metacli.engine.training.few_shot.build import build_few_shot
from metacli.errors import RecipeError
from metacli.schema.load import load

RECIPE = "sinusoid-10shot-maml"


def test_a_prefix_that_names_no_parameter_is_refused() -> None:
    with pytest.raises(RecipeError, match=r"no parameter begins with 'hed\.'") as caught:
        build_few_shot(load(RECIPE, ["algorithm.adapts=['hed.']"]))
    assert "head" in (caught.value.hint or "")


@pytest.mark.parametrize("prefix", ["", "head.", "backbone.", "backbone.0.weight"])
def test_a_prefix_that_names_parameters_is_taken(prefix: str) -> None:
    assert build_few_shot(load(RECIPE, [f"algorithm.adapts=['{prefix}']"])).learner.adapts == (
        prefix,
    )
