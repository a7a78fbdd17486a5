"""Answers for many inputs together, by the methods that were made for it (`bd-cspn`, `tim`): the
inputs themselves say where the classes lie. Such answers depend on what else is asked, so they are
given only where they are asked for, and never by an exported file."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from metacli.algorithms.transfer.transfer import Transfer
from metacli.engine.models.model import AdaptedModel
from metacli.engine.predicting.rows import ROWS
from metacli.errors import UsageProblem
from metacli.nn.layers.inputs import channels_last
from metacli.nn.problem import Problem, make_module


def answers_together(model: AdaptedModel) -> bool:
    """Whether it was adapted with such a method."""
    learner = model.learner()
    return isinstance(learner, Transfer) and learner.has_together


def require_together(model: AdaptedModel) -> None:
    """Raises UsageProblem for a model of another method."""
    if not answers_together(model):
        raise UsageProblem(
            f"--together is for models of the methods bd-cspn and tim; this one was adapted with "
            f"{model.method}, and answers each input by itself",
            hint="metacli adapt photos MY_CLASSES --method tim",
        )


@torch.no_grad()
def outputs_together(model: AdaptedModel, x: Tensor) -> Tensor:
    """Logits [M, N] of inputs [M, ...], all of which have a part in each row."""
    problem, learner = model.problem(), model.learner()
    rows = channels_last(x).split(ROWS)
    features = torch.cat([problem.embed(model.params, part) for part in rows])
    bare = make_module(nn.Identity(), nn.Identity())
    alone = Problem(bare, features=features.shape[1], kind=problem.kind, head=None)
    return learner.predict_together(alone, model.params, features)
