"""A whole learner as one graph: support and query in, probabilities out, adaptation inside.

Shape letters: S support examples, B queries, N classes, C H W one image.
"""

from __future__ import annotations

import itertools

import torch
from torch import Tensor, fx, nn
from torch.fx.experimental.proxy_tensor import make_fx

from metacli.algorithms import ALGORITHMS, names
from metacli.engine.exporting.entrance import entrance_of
from metacli.engine.exporting.graph import Graph, unit_of
from metacli.engine.models.model import FewShotModel
from metacli.engine.results.export import TensorSpec
from metacli.errors import DataError
from metacli.nn.problem import Problem
from metacli.types import Batch, Params

SIZES = ("support", "way", "queries")


def traced_sizes(model: FewShotModel) -> dict[str, int]:
    """Sizes to trace with that nothing else in the model has: equal sizes are taken for one, and
    the file would hold the size of a weight in place of that of its input.
    """
    taken = {size for one in model.params.values() for size in one.shape} | set(model.inputs.shape)
    free = (size for size in itertools.count(5) if size not in taken)
    return dict(zip(SIZES, free, strict=False))


def support_graph(model: FewShotModel) -> Graph:
    """The learner with its adaptation inside.

    Raises:
        DataError: its adaptation is not a fixed sequence of tensor operations.
    """
    require_traceable(model)
    entrance = entrance_of(model.inputs)
    classifies = model.kind == "classification"
    way: int | str = "way" if classifies and model.learner().any_way else model.way
    one_hot = "1 in the column of the example's class, 0 elsewhere" if classifies else None
    inputs = (
        entrance.described("support", "support_x"),
        TensorSpec("support_y", "float32", ("support", way), values=one_hot),
        entrance.described("queries", "query_x"),
    )
    name = "probabilities" if classifies else "values"
    output = TensorSpec(name, "float32", ("queries", way), values=unit_of(model))
    sizes = traced_sizes(model)
    shown = torch.zeros(sizes["support"], sizes["way"] if way == "way" else int(way))
    shown[:, 0] = 1.0
    example = (entrance.zeros(sizes["support"]), shown, entrance.zeros(sizes["queries"]))
    return Graph(Unrolled(model, example), inputs, (output,), example)


def require_traceable(model: FewShotModel) -> None:
    """Raises DataError naming the learners that can be written with their support."""
    if model.learner().traceable:
        return
    own = model.recipe.algorithm.name
    able = [one for one in names("meta") if one != own and ALGORITHMS[one].learner().traceable]
    raise DataError(
        f"{own} cannot be exported with its support: its "
        "adaptation is not a fixed sequence of tensor operations",
        code="export.not_traceable",
        where=str(model.provenance.get("recipe", "")),
        hint=f"learners that can: {', '.join(able)}; or adapt first and export the adapted model",
    )


class Unrolled(nn.Module):
    """Adaptation and prediction as a flat list of tensor operations, gradients written out."""

    def __init__(self, model: FewShotModel, example: tuple[Tensor, ...]) -> None:
        super().__init__()
        self.names = [name.replace(".", "__") for name in model.params]
        for name, value in zip(self.names, model.params.values(), strict=True):
            self.register_buffer(name, value.detach().clone())
        self.entrance = entrance_of(model.inputs).module
        support_x, support_y, query_x = example
        shown = (self.entrance(support_x), support_y, self.entrance(query_x))
        self.graph = unrolled(model, shown)
        self.eval()

    def forward(self, support_x: Tensor, support_y: Tensor, query_x: Tensor) -> Tensor:
        weights = [getattr(self, name) for name in self.names]
        known, asked = self.entrance(support_x), self.entrance(query_x)
        found: Tensor = self.graph(*weights, known, support_y, asked)
        return found


def unrolled(model: FewShotModel, example: tuple[Tensor, ...]) -> fx.GraphModule:
    """`answer` with every gradient as operations of its own: exporters know no derivatives."""
    problem = model.problem()
    assert problem.training_module is not None  # made now: nothing can be copied while tracing

    def flat(*tensors: Tensor) -> Tensor:
        weights = dict(zip(model.params, tensors[:-3], strict=True))
        return answer(model, problem, weights, *tensors[-3:])

    with torch.no_grad():
        made = make_fx(flat, tracing_mode="symbolic", _allow_non_fake_inputs=True)(
            *model.params.values(), *example
        )
    for node in list(made.graph.nodes):
        if node.target is torch.ops.aten._linalg_check_errors.default:
            made.graph.erase_node(node)  # a file has nobody to raise an error for
    made.recompile()
    return made


def answer(
    model: FewShotModel,
    problem: Problem,
    params: Params,
    support_x: Tensor,  # [S, C, H, W]
    support_y: Tensor,  # [S, N], one-hot; [S, outputs] for a regression
    query_x: Tensor,  # [B, C, H, W]
) -> Tensor:
    """Adapt to the support, then predict the queries: probabilities [B, N] or values. Examples are
    as the network takes them, values in the user's unit."""
    learner, target = model.learner(), model.inputs.unscaled
    if model.kind == "regression":
        scaled = (support_y - target.mean) / target.scale
        phi = learner.adapt(problem, params, Batch(support_x, scaled), model.state)
        values: Tensor = learner.predict(problem, phi, query_x)
        return values * target.scale + target.mean
    # Labels alone would not say how many classes there are without looking at them.
    fixed = problem.with_way(support_y.shape[1])
    support = Batch(support_x, support_y.argmax(1))
    phi = learner.adapt(fixed, params, support, model.state)
    return torch.softmax(learner.predict(fixed, phi, query_x), 1)
