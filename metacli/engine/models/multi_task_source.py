"""A multi-task model as the source of a transfer: the trunk that its tasks share, as the `Problem`
that every way of transfer takes, and a head to begin with.

Where each task has a network of its own (soft sharing), the source is their mean: the network that
they are pulled to. A model that was adapted from one has these parameters, under these names.
"""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from typing import Literal

import torch
from torch import Tensor, nn

from metacli.data.tables.encoding import Target
from metacli.engine.models.bundle import Bundle
from metacli.engine.training.multi_task_build import make_task_problem, trunk_of
from metacli.errors import BundleError
from metacli.nn.multi_task import PREFIX, Encoder, TaskProblem
from metacli.nn.problem import Problem, make_module
from metacli.types import Params


class Standardise(nn.Module):
    """(x - mean) / scale with the statistics of the training rows, in the shape of one example."""

    mean: Tensor
    scale: Tensor

    def __init__(self, shape: tuple[int, ...]) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(shape))
        self.register_buffer("scale", torch.ones(shape))

    def forward(self, x: Tensor) -> Tensor:
        return (x.to(self.mean.dtype) - self.mean) / self.scale


def task_source(model: Bundle, method: str) -> Bundle:
    """The model as a source that `method` adapts to a new task.

    `head.weight` [1, F] and `head.bias` [1] among its parameters are the mean of the tasks' heads,
    where each has one output: in units of the standardised target, or a logit.

    Raises:
        BundleError: a scheme without one network that its tasks share, or are pulled to.
    """
    problem = make_task_problem(model.multi_task_recipe, model.inputs, model.answers)
    shape = model.inputs.shape
    theta = carried(problem, model.params, flat=len(shape) > 1)
    statistics = {
        f"input.{name}": model.params[f"input.{name}"].reshape(shape).float()
        for name in ("mean", "scale")
    }
    kind = "classification" if all(problem.binary) else "regression"
    params = {**statistics, **theta, **mean_head(model.params)}
    inputs = model.inputs
    if inputs.kind == "numbers":
        inputs = replace(inputs, reader={**model.answers["read"], "name": "table"})
    if kind == "regression":
        centre, spread = (float(model.params[f"target.{one}"].mean()) for one in ("mean", "scale"))
        inputs = replace(inputs, target=Target("y", centre, spread).as_dict())
    made = replace(model, kind=kind, method=method, params=params, inputs=inputs)
    wanted, have = source_problem(made).module.state_dict(), set(params)
    if not set(wanted) <= have or not getattr(problem.sharing, "one_network", True):
        raise no_network(model)
    return made


def source_problem(model: Bundle) -> Problem:
    """The stateless network of `task_source`, and of what was adapted from it."""
    shape = model.inputs.shape
    sizes, encoder = trunk_of(model.multi_task_recipe, model.inputs)
    kind: Literal["classification", "regression"]
    kind = "regression" if model.kind == "regression" else "classification"
    return Problem(
        module=make_module(Standardise(shape), body_of(sizes, encoder, flat=len(shape) > 1)),
        features=sizes[-1],
        kind=kind,
        head=None,
    )


def body_of(sizes: tuple[int, ...], encoder: Encoder | None, *, flat: bool) -> nn.Module:
    """What reads pictures, or the hidden layers."""
    if encoder is not None:
        return encoder.module
    layers: list[nn.Module] = []
    for size_in, size_out in pairwise(sizes):
        layers += [nn.Linear(size_in, size_out), nn.ReLU()]
    body = nn.Sequential(*layers) if layers else nn.Identity()
    return nn.Sequential(nn.Flatten(), body) if flat else body


def carried(problem: TaskProblem, params: Params, *, flat: bool) -> Params:
    """The trunk's weights under the names of `source_problem`.

    Args:
        flat: pictures are flattened first.
    """
    own = {k: v for k, v in params.items() if k.startswith("trunk.")}
    theta = {k: (v.mean(0) if problem.apart else v).float() for k, v in own.items()}
    if problem.encoder is not None:
        return {f"backbone.{k.removeprefix(PREFIX)}": v for k, v in theta.items()}
    found: Params = {}
    lead = "backbone.1." if flat else "backbone."
    for number in range(len(problem.sizes) - 1):
        weight, bias = (theta.get(f"trunk.{number}.{one}") for one in ("weight", "bias"))
        if weight is not None and bias is not None and weight.dim() == 2:
            found[f"{lead}{2 * number}.weight"] = weight.T.contiguous()
            found[f"{lead}{2 * number}.bias"] = bias
    return found


def mean_head(params: Params) -> Params:
    weight = params["heads.weight"]
    if weight.dim() != 2:
        return {}
    bias = params["heads.bias"].mean().reshape(1)
    return {"head.weight": weight.mean(0, keepdim=True).float(), "head.bias": bias.float()}


def no_network(model: Bundle) -> BundleError:
    return BundleError(
        f"{model.multi_task_recipe.sharing.name} sharing has no one network that a new task could "
        "begin with",
        code="model.no_source",
        hint="hard and soft-l2 sharing have one",
    )
