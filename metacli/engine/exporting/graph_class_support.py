"""The in-context learner of sets of classifications as a graph, with the labelled examples of a set
as its inputs.

Shape letters: L labelled examples of all tasks, T tasks, Q rows to answer, N classes, D features.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from metacli.algorithms.meta_multitask.mtnp import MTNP, average_of
from metacli.algorithms.meta_multitask.protocol import together
from metacli.engine.exporting.entrance import Entrance, entrance_of
from metacli.engine.exporting.graph import Graph
from metacli.engine.exporting.graph_class_sets import embedded
from metacli.engine.exporting.graph_sets import LABELS, TASKS, require_in_context
from metacli.engine.results.export import TensorSpec
from metacli.engine.sets.class_model import ClassSetModel
from metacli.nn.set_attention import Tokens
from metacli.types import Params

ONE_HOT = "1 in the column of the example's class, 0 elsewhere"
ABSENT = "; all 0 where the task has values"
PROBABILITIES = "0 for a class that the task does not have or that nobody showed"


def class_support_graph(model: ClassSetModel) -> Graph:
    """The labelled examples of a set and rows to answer in; probabilities [tasks, queries, classes]
    out, values [tasks, queries] where tasks may be regressions.

    Raises:
        DataError: its adaptation is no attention over labels, or rows that no graph reads.
    """
    require_in_context(model)
    entrance = entrance_of(model.facts.inputs)
    classes, values = classified(model), valued(model)
    inputs = [
        entrance.described("labels", "support_x"),
        *([TensorSpec("support_y", "float32", ("labels", "classes"), classes)] if classes else []),
        *([TensorSpec("support_value", "float32", ("labels",), values)] if values else []),
        TensorSpec("support_task", "int64", ("labels",), "the number of the label's task, from 0"),
        TensorSpec("ways", "int64", ("tasks",), "how many classes each task has, 0 for values"),
        entrance.described("queries", "query_x"),
    ]
    answers = ("tasks", "queries", "classes")
    outputs = [
        *([TensorSpec("probabilities", "float32", answers, PROBABILITIES)] if classes else []),
        *([TensorSpec("values", "float32", answers[:2], values)] if values else []),
    ]
    module = (BothKinds if classes and values else OneKind)(model, entrance)
    most = {"labels": LABELS, "tasks": TASKS}
    return Graph(module, tuple(inputs), tuple(outputs), traced(model, entrance), most)


def classified(model: ClassSetModel) -> str | None:
    """What `support_y` holds; None where all tasks are regressions."""
    kind = model.facts.kind
    return None if kind == "regression" else ONE_HOT + (ABSENT if kind == "mixed" else "")


def valued(model: ClassSetModel) -> str | None:
    """What values are measured in; None where all tasks are classifications."""
    facts = model.facts
    return None if facts.kind == "classification" else scaled_in_words(facts.levels)


def scaled_in_words(levels: Mapping[str, tuple[float, float]]) -> str:
    each = ", ".join(f"{name} ({mean:.7g}, {scale:.7g})" for name, (mean, scale) in levels.items())
    return f"less the mean of the target in training, over its scale: {each}"


def traced(model: ClassSetModel, entrance: Entrance) -> tuple[Tensor, ...]:
    """Inputs to trace with, of sizes that nothing else in the model has: equal sizes are taken for
    one."""
    taken = {size for one in model.params.values() for size in one.shape}
    taken |= set(model.facts.inputs.shape)
    free = (size for size in itertools.count(5) if size not in taken)
    labels, tasks, queries, classes = (next(free) for _ in range(4))
    kind = model.facts.kind
    return (
        entrance.zeros(labels),
        *([torch.zeros(labels, classes)] if kind != "regression" else []),
        *([torch.zeros(labels)] if kind != "classification" else []),
        torch.zeros(labels, dtype=torch.long),
        torch.zeros(tasks, dtype=torch.long),
        entrance.zeros(queries),
    )


class InContextClasses(nn.Module):
    """The averaged weights of `mtnp`, and its answers from labelled examples."""

    def __init__(self, model: ClassSetModel, entrance: Entrance) -> None:
        super().__init__()
        learner = model.learner()
        assert isinstance(learner, MTNP)
        self.entrance, self.kind = entrance.module, model.facts.kind
        self.network = learner.of_classes(model.problem())
        weights = average_of(model.params)
        self.names = {name: name.replace(".", "__") for name in weights}
        for name, value in weights.items():
            self.register_buffer(self.names[name], value.detach().contiguous().clone())
        self.eval()

    def answers(
        self,
        x: Tensor,  # [L, ...]
        known: tuple[Tensor, Tensor],
        owner: Tensor,  # [L]
        ways: Tensor,  # [T]
        query_x: Tensor,  # [Q, ...]
    ) -> tuple[Tensor, Tensor]:
        """Probabilities [T, Q, N] and values [T, Q].

        Args:
            known: one-hot classes [L, N], and values [L], which count where there is no class.
        """
        weights = {name: self.get_buffer(buffer) for name, buffer in self.names.items()}
        shown, given = known
        network, attention, most = self.network, self.network.attention, shown.shape[1]
        roles, sized = torch.full_like(ways, -1)[None], ways[None]
        sees, classified = together(roles), shown.sum(1) > 0
        numbers = shown.argmax(1)
        if not network.shared_labels:
            numbers = numbers + most * owner
        kin = torch.where(classified, numbers, -1)[None]
        y = torch.where(classified, 0, given)[None, :, None]
        features = torch.cat([attention.waves(self.rows(weights, x)), y, y.square()], -1)
        valid = torch.ones_like(owner[None], dtype=torch.bool)
        tokens = Tokens(features, owner[None], valid, kin)
        encoded = attention.self_attend(weights, tokens, roles, sees)
        weight, there = network.weights(weights, encoded, sized, sees, most)
        asked = self.rows(weights, query_x)[None].expand(1, ways.shape[0], -1, -1)
        found = network.read(weights, encoded, asked, roles, sees, weight, there)
        said = torch.softmax(found.logits, -1)  # nan of a task without an example
        return torch.where(there[:, :, None], said, 0)[0], found.mean[0]

    def rows(self, weights: Params, x: Tensor) -> Tensor:
        """Features of rows, each of mean 0 and variance 1: [1, L, D]."""
        found = embedded(self.network.encoder, weights, self.entrance(x))
        return F.layer_norm(found, found.shape[-1:])[None]


class OneKind(InContextClasses):
    """Of tasks that are all classifications or all regressions."""

    def forward(
        self,
        support_x: Tensor,
        label: Tensor,
        support_task: Tensor,
        ways: Tensor,
        query_x: Tensor,
    ) -> Tensor:
        """`label` [L, N] of classifications, [L] of regressions."""
        classes = self.kind == "classification"
        known = (label, label[:, 0]) if classes else (torch.zeros_like(label)[:, None], label)
        said, values = self.answers(support_x, known, support_task, ways, query_x)
        return said if classes else values


class BothKinds(InContextClasses):
    """Of tasks of both kinds."""

    def forward(
        self,
        support_x: Tensor,
        support_y: Tensor,
        support_value: Tensor,
        support_task: Tensor,
        ways: Tensor,
        query_x: Tensor,
    ) -> tuple[Tensor, Tensor]:
        known = (support_y, support_value)
        return self.answers(support_x, known, support_task, ways, query_x)
