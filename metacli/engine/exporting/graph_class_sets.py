"""A model adapted to a set whose tasks may be classifications as a graph: an output for each task,
as a multi-task model has them.

Shape letters: T tasks, B rows to answer, N classes, D features.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from metacli.algorithms.meta_multitask.base import StepLearner
from metacli.algorithms.meta_multitask.class_sets import network_of
from metacli.algorithms.meta_multitask.class_steps import adapted, most_classes, one_set
from metacli.algorithms.meta_multitask.mtnp import MTNP, average_of
from metacli.engine.exporting.entrance import Entrance, entrance_of
from metacli.engine.exporting.graph import Graph
from metacli.engine.exporting.graph_sets import SEES
from metacli.engine.results.export import TensorSpec
from metacli.engine.sets.class_adapted import AdaptedClassSet, AdaptedTask
from metacli.nn.problem import Problem
from metacli.nn.set_answers import classes_shown
from metacli.nn.set_attention import Encoded, Tokens
from metacli.nn.trunk_classes import BIAS, WEIGHT
from metacli.types import Batch, Params, SetEpisode

_TRACED = 2


def adapted_class_graph(model: AdaptedClassSet) -> Graph:
    """The file has one output for each task: probabilities, or values in the user's unit.

    Raises:
        DataError: rows that no graph reads.
    """
    entrance = entrance_of(model.source.facts.inputs)
    in_context = isinstance(model.source.learner(), MTNP)
    module = ReadClasses(model, entrance) if in_context else SteppedClasses(model, entrance)
    outputs = tuple(described(number, one) for number, one in enumerate(model.tasks))
    inputs = tuple(one.described("batch") for one in entrance.every)
    return Graph(module, inputs, outputs, tuple(one.zeros(_TRACED) for one in entrance.every))


def described(number: int, task: AdaptedTask) -> TensorSpec:
    """One output. Its name is a number and a word, since tasks may have any name."""
    shape = ("batch", len(task.labels)) if task.labels else ("batch",)
    name, labels = f"task_{number}", task.labels or None
    return TensorSpec(name, "float32", shape, values=task.target, labels=labels, task=task.name)


class Heads(nn.Module):
    """What both kinds of learners have: a backbone, and an answer for each task from its output."""

    def __init__(self, model: AdaptedClassSet, entrance: Entrance) -> None:
        super().__init__()
        self.entrance, self.tasks = entrance.module, model.tasks
        levels = model.source.facts.levels
        self.levels = [levels.get(one.target or "", (0.0, 1.0)) for one in model.tasks]
        self.ways = tuple(
            name for name in SEES if any((name == "joint") == one.joint for one in model.tasks)
        )
        self.names: dict[str, dict[str, str]] = {}

    def keep(self, group: str, values: Params) -> None:
        """Tensors that the file holds, under a name."""
        self.names[group] = {name: f"{group}__{name.replace('.', '__')}" for name in values}
        for name, value in values.items():
            kept = value.detach().contiguous().clone()
            self.register_buffer(self.names[group][name], kept)

    def kept(self, group: str) -> Params:
        return {name: self.get_buffer(buffer) for name, buffer in self.names[group].items()}

    def entered(self, x: Tensor, beside: Tensor | None) -> Tensor:
        """What the backbone takes."""
        given: Tensor = self.entrance(x) if beside is None else self.entrance(x, beside)
        return given

    def answers(self, found: dict[str, list[Tensor]]) -> tuple[Tensor, ...]:
        """Of every task, from its output [B, N] under the way of seeing that it has."""
        answers = []
        for number, task in enumerate(self.tasks):
            out = found["joint" if task.joint else "alone"][number]
            if task.labels:
                answers.append(torch.softmax(out[:, : len(task.labels)], -1))
            else:
                mean, scale = self.levels[number]
                answers.append(mean + scale * out[:, 0])
        return tuple(answers)


def embedded(encoder: Problem, params: Params, x: Tensor) -> Tensor:
    """Features [B, D] of rows, each by itself."""
    found: Tensor = encoder.embed(params, x)
    return found


class ReadClasses(Heads):
    """An adapted in-context learner: its examples were encoded when it was made."""

    def __init__(self, model: AdaptedClassSet, entrance: Entrance) -> None:
        super().__init__(model, entrance)
        learner, source = model.source.learner(), model.source
        assert isinstance(learner, MTNP)
        self.network = learner.of_classes(source.problem())
        weights, ways = average_of(source.params), model.ways
        self.keep("weights", weights)
        roles = torch.full_like(ways, -1)
        for name in self.ways:
            sees = SEES[name](roles)
            with torch.no_grad():
                encoded = self.network.encode(weights, model.support, roles, ways, sees)
                weight, shown = self.network.weights(weights, encoded, ways, sees)
            tokens = encoded.tokens
            parts = {"values": encoded.values, "features": tokens.features, "tasks": tokens.tasks}
            parts |= {"valid": tokens.valid, "weight": weight, "shown": shown, "sees": sees}
            assert tokens.kin is not None  # of every network of classes
            self.keep(name, {**parts, "kin": tokens.kin, "roles": roles})
        self.eval()

    def forward(self, x: Tensor, beside: Tensor | None = None) -> tuple[Tensor, ...]:
        weights = self.kept("weights")
        features = embedded(self.network.encoder, weights, self.entered(x, beside))
        rows = F.layer_norm(features, features.shape[-1:])
        return self.answers({name: self.read(name, weights, rows) for name in self.ways})

    def read(self, name: str, weights: Params, x: Tensor) -> list[Tensor]:
        """The outputs of the tasks under a way of seeing."""
        at = self.kept(name)
        tokens = Tokens(at["features"], at["tasks"], at["valid"], at["kin"])
        asked = x.expand(1, len(self.tasks), *x.shape)
        found = self.network.read(
            *(weights, Encoded(at["values"], tokens), asked, at["roles"]),
            *(at["sees"], at["weight"], at["shown"]),
        )
        return [
            found.logits[0, t] if one.labels else found.mean[0, t][:, None]
            for t, one in enumerate(self.tasks)
        ]


class Copy(NamedTuple):
    """Where a task finds its trunk and its head, by number."""

    trunk: int
    head: int


class SteppedClasses(Heads):
    """A learner that takes gradient steps: they were taken when the graph was made, rows only go
    through the adapted networks."""

    def __init__(self, model: AdaptedClassSet, entrance: Entrance) -> None:
        super().__init__(model, entrance)
        source, ways = model.source, model.ways
        learner, problem = source.learner(), source.problem()
        assert isinstance(learner, StepLearner)
        self.network = network_of(problem)
        self.copies: dict[str, list[Copy]] = {}
        blank = model.support.x[:, :, :1]
        query = Batch(blank, torch.zeros(blank.shape[:3]))
        episodes = SetEpisode(model.support, query, torch.full_like(ways, -1), ways)
        one = one_set(episodes, 0)
        for name in self.ways:
            sees = SEES[name](episodes.roles)
            with torch.no_grad():
                sharing = learner.sharing(problem)(source.params, one, sees[0])
                descent = learner.descent(source.params)
                phi = adapted(self.network, source.params, one, sharing, descent)
            among = sees if self.network.shared_labels else None
            shown = classes_shown(model.support, ways, among, most_classes(ways))
            self.keep(name, {**phi, "shown": shown[0]})
            trunks = sharing.copy.tolist()
            heads = trunks if self.network.shared_labels else range(len(trunks))
            self.copies[name] = [Copy(*both) for both in zip(trunks, heads, strict=True)]
        self.eval()

    def forward(self, x: Tensor, beside: Tensor | None = None) -> tuple[Tensor, ...]:
        rows = self.entered(x, beside)
        return self.answers({name: self.read(name, rows) for name in self.ways})

    def read(self, name: str, x: Tensor) -> list[Tensor]:
        """The outputs of the tasks under a way of seeing; each copy of the trunk is computed
        once."""
        phi, encoder = self.kept(name), self.network.encoder
        features: dict[int, Tensor] = {}
        found = []
        for number, at in enumerate(self.copies[name]):
            if at.trunk not in features:
                trunk = {key: phi[key][at.trunk] for key in encoder.trainable}
                features[at.trunk] = embedded(encoder, trunk, x)
            out = F.linear(features[at.trunk], phi[WEIGHT][at.head], phi[BIAS][at.head])
            if self.tasks[number].labels:
                out = out.masked_fill(~phi["shown"][number], -torch.inf)
            found.append(out)
        return found
