"""A multi-task model as the source of a transfer: the trunk that its tasks share, and a head to
begin with.

Where each task has a network of its own (soft sharing), the source is their mean: the network that
they are pulled to.
"""

from __future__ import annotations

from dataclasses import replace

from metacli.data.tables.encoding import Target
from metacli.engine.adapting.source import Source
from metacli.engine.models.inputs import InputSpec
from metacli.engine.models.model import AnyModel, Kind, MultiTaskModel
from metacli.engine.models.opening import Opened
from metacli.engine.models.trunk import trunk_problem
from metacli.errors import BundleError
from metacli.nn.multi_task import PREFIX, TaskProblem
from metacli.nn.selected import Several
from metacli.types import Params


def trunk_source(opened: Opened[AnyModel], model: MultiTaskModel, method: str) -> Source:
    """The model as a source that `method` adapts to a new task.

    `head.weight` [1, F] and `head.bias` [1] among its parameters are the mean of the tasks' heads,
    where each has one output: in units of the standardised target, or a logit.

    Raises:
        BundleError: a scheme without one network that its tasks share, or are pulled to.
    """
    problem, params = model.problem(), model.params
    if isinstance(problem, Several):  # a new task begins with the first that tasks share
        params, problem = problem.first_params(params), problem.first
    kind: Kind = "classification" if all(problem.binary) else "regression"
    params = trunk_params(model, problem, params)
    wanted = trunk_problem(model.recipe, model.inputs, kind).module.state_dict()
    if not set(wanted) <= set(params) or not problem.one_network:
        raise no_network(model)
    return Source(
        opened=opened,
        recipe=model.recipe,
        params=params,
        state={},
        inputs=trunk_inputs(model, kind),
        kind=kind,
        way=len(model.heads.tasks),
        method=method,
    )


def trunk_params(model: MultiTaskModel, problem: TaskProblem, params: Params) -> Params:
    """θ: the trunk, the statistics of its inputs and the mean head.

    Args:
        params: of the problem.
    """
    shape = model.inputs.shape
    statistics = {
        f"input.{name}": params[f"input.{name}"].reshape(shape).float()
        for name in ("mean", "scale")
    }
    theta = carried(problem, params, flat=len(shape) > 1)
    return {**statistics, **theta, **mean_head(params)}


def trunk_inputs(model: MultiTaskModel, kind: Kind) -> InputSpec:
    """Rows are read as in training; numbers are scaled as the mean of the tasks' targets was."""
    inputs = model.inputs
    if inputs.kind == "numbers":
        inputs = replace(inputs, reader={**model.heads.cells, "name": "table"})
    if kind == "classification":
        return inputs
    centre, spread = (float(model.params[f"target.{one}"].mean()) for one in ("mean", "scale"))
    return replace(inputs, target=Target("y", centre, spread))


def carried(problem: TaskProblem, params: Params, *, flat: bool) -> Params:
    """The trunk's weights under the names of `trunk_problem`.

    Args:
        flat: images are flattened first.
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


def no_network(model: MultiTaskModel) -> BundleError:
    assert model.recipe.sharing is not None
    return BundleError(
        f"{model.recipe.sharing.name} sharing has no one network that a new task could begin with",
        code="model.no_source",
        hint="hard and soft-l2 sharing have one",
    )
