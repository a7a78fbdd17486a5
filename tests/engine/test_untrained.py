"""The untrained baseline: a model as its training began, its learner's own numbers included."""

from __future__ import annotations

from dataclasses import replace

import torch
from tiny_models import tiny_model

from metacli.engine.scoring.baseline_scores import untrained


def test_the_learners_own_numbers_are_as_they_began_whatever_training_made_of_them() -> None:
    model = tiny_model({"name": "meta_sgd", "inner_lr": 0.3})
    problem, learner = model.problem(), model.learner()
    own, _ = learner.init(problem, model.params)
    assert own
    spoiled = {name: value + 1 for name, value in {**model.params, **own}.items()}
    found, state = untrained(replace(model, params=spoiled, state={"step": 7}), problem)
    assert set(found) == set(spoiled)
    assert all(torch.equal(found[name], value) for name, value in model.params.items())
    assert all(torch.equal(found[name], value) for name, value in own.items())
    assert state == {}
