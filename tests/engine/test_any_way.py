"""The hint about heads of fixed way names every learner that the table has."""

from __future__ import annotations

import pytest
import toys

from metacli.algorithms import ALGORITHMS, names
from metacli.engine.adapting.any_way import any_way_hint, any_way_learners


def test_every_classifier_of_the_table_is_named_once() -> None:
    always, with_head = any_way_learners()
    assert not set(always) & set(with_head)
    assert {"protonet", "r2d2"} <= set(always)
    assert "joint" in set(names("meta")) - set(always) - set(with_head)  # for regression
    for name in always + with_head:
        assert name in any_way_hint()


@pytest.mark.parametrize("name", any_way_learners()[1])
def test_a_learner_with_that_head_adapts_to_another_number_of_classes(name: str) -> None:
    entry = ALGORITHMS[name]
    learner = entry.load()(**entry.preset, head="proto", inner_steps=1)
    problem = toys.conv_problem(learner.head_size(3), width=8)
    own, state = learner.init(problem, problem.init(0))
    params = {**problem.init(0), **own}
    support, query = toys.task(toys.pictures(1, 4))
    adapted = learner.adapt(problem, params, support, state)
    assert learner.predict(problem, adapted, query.x).shape == (len(query.x), 4)
