"""Models of sets as graphs: an adapted one with an output for each of its tasks, and the in-context
learner with its support as an input.

Shape letters: T tasks, B rows to answer, N labels of all tasks, D inputs.
"""

from __future__ import annotations

import itertools

import torch
from torch import Tensor, nn

from metacli.algorithms.meta_multitask.base import StepLearner
from metacli.algorithms.meta_multitask.mtnp import MTNP, average_of
from metacli.algorithms.meta_multitask.protocol import alone, together
from metacli.data.sets.from_user import asking
from metacli.engine.exporting.graph import Graph
from metacli.engine.results.export import ColumnSpec, TensorSpec
from metacli.engine.sets.class_model import ClassSetModel
from metacli.engine.sets.model import AdaptedSet, SetModel
from metacli.engine.sets.scoring import Z90
from metacli.errors import DataError
from metacli.nn.set_attention import Encoded, Gaussian, Tokens
from metacli.types import Params

ENDS = "the value, and the ends of the interval that should hold 90 % of the labels"
LABELS, TASKS = 4096, 64
"""The most labels and tasks that a file with its support takes: attention grows with the square of
the labels."""
_TRACED = 2


def adapted_set_graph(model: AdaptedSet) -> Graph:
    """One output for each task: [batch, 3]."""
    columns = tuple(ColumnSpec(name) for name in model.inputs)
    shape = ("batch", len(model.inputs))
    outputs = tuple(
        TensorSpec(f"task_{number}", "float32", ("batch", 3), values=ENDS, task=name)
        for number, name in enumerate(model.names)
    )
    example = (torch.zeros(_TRACED, len(model.inputs)),)
    in_context = isinstance(model.source.learner(), MTNP)
    module = ReadTasks(model) if in_context else SteppedTasks(model)
    inputs = (TensorSpec("numbers", "float32", shape, columns=columns),)
    return Graph(module, inputs, outputs, example)


def in_context_graph(model: SetModel) -> Graph:
    """The learner with the labels of a set as inputs; the output is [tasks, queries, 3].

    Raises:
        DataError: its adaptation is no attention over labels.
    """
    require_in_context(model)
    numbers = "the number of the label's task in the set, from 0"
    inputs = [
        TensorSpec("support_x", "float32", ("labels", model.width)),
        TensorSpec("support_y", "float32", ("labels",)),
        TensorSpec("support_task", "int64", ("labels",), values=numbers),
        TensorSpec("roles", "int64", ("tasks",), values=roles_in_words(model.known)),
        TensorSpec("query_x", "float32", ("queries", model.width)),
    ]
    output = TensorSpec("values", "float32", ("tasks", "queries", 3), values=ENDS)
    taken = {size for one in model.params.values() for size in one.shape}
    free = (size for size in itertools.count(5) if size not in taken)
    labels, tasks, queries = next(free), next(free), next(free)
    example = (
        torch.zeros(labels, model.width),
        torch.zeros(labels),
        torch.zeros(labels, dtype=torch.long),
        torch.zeros(tasks, dtype=torch.long),
        torch.zeros(queries, model.width),
    )
    most = {"labels": LABELS, "tasks": TASKS}
    return Graph(InContext(model), tuple(inputs), (output,), example, most)


def require_in_context(model: SetModel | ClassSetModel) -> None:
    """Raises DataError for a learner that cannot take its support as an input."""
    if not isinstance(model.learner(), MTNP):
        raise DataError(
            f"{model.recipe.algorithm.name} cannot be exported with its support: mtnp can, which "
            "adapts in one forward pass",
            code="export.not_traceable",
            where=str(model.provenance.get("recipe", "")),
            hint="adapt first, then export the adapted model",
        )


def roles_in_words(known: tuple[str, ...]) -> str:
    if not known:
        return "-1 for each task"
    return "of each task " + ", ".join(f"{number} {name}" for number, name in enumerate(known))


def across(x: Tensor, tasks: int) -> Tensor:
    """Rows [B, D] for every task, [T, B, D]."""
    return x.expand(tasks, *x.shape)


def ends(found: Gaussian) -> Tensor:
    """[..., 3]."""
    half = Z90 * found.variance.sqrt()
    return torch.stack([found.mean, found.mean - half, found.mean + half], -1)


class Attention(nn.Module):
    """The averaged weights of `mtnp` inside."""

    def __init__(self, model: SetModel) -> None:
        super().__init__()
        learner = model.learner()
        assert isinstance(learner, MTNP)
        self.network = learner.of(model.problem())
        weights = average_of(model.params)
        self.names = {name: name.replace(".", "__") for name in weights}
        for name, value in weights.items():
            self.register_buffer(self.names[name], value.detach().clone())
        self.eval()

    @property
    def weights(self) -> Params:
        return {name: self.get_buffer(buffer) for name, buffer in self.names.items()}


class ReadTasks(Attention):
    """An adapted in-context learner: its labels were encoded when it was made, rows only read them.

    `alone` reads what each task's own labels were encoded as, which a guard may want.
    """

    chosen: Tensor
    roles: Tensor

    def __init__(self, model: AdaptedSet) -> None:
        super().__init__(model.source)
        self.ways = used(model)
        self.register_buffer("chosen", torch.tensor([one.joint for one in model.tasks]))
        self.register_buffer("roles", model.roles.clone())
        for name in self.ways:
            value = SEES[name](model.roles)
            with torch.no_grad():
                found = self.network.encode(self.weights, model.support, model.roles, value)
            self.register_buffer(f"{name}__values", found.values)
            self.register_buffer(f"{name}__tasks", found.tokens.tasks)
            self.register_buffer(f"{name}__valid", found.tokens.valid)
            self.register_buffer(f"{name}__sees", value)

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        return mixed([self.read(name, x) for name in self.ways], self.chosen)

    def read(self, name: str, x: Tensor) -> Tensor:
        """[T, B, 3] from the labels encoded under that name."""
        values, tasks, valid, sees = (
            self.get_buffer(f"{name}__{part}") for part in ("values", "tasks", "valid", "sees")
        )
        encoded = Encoded(values, Tokens(values, tasks, valid))
        asked = across(x, len(self.chosen))[None]
        found = self.network.read(self.weights, encoded, asked, self.roles, sees)
        return ends(Gaussian(found.mean[0], found.variance[0]))


class InContext(Attention):
    """Labels in, answers out."""

    def forward(
        self,
        support_x: Tensor,
        support_y: Tensor,
        support_task: Tensor,
        roles: Tensor,
        query_x: Tensor,
    ) -> Tensor:
        x, y = support_x[None], support_y[None, :, None]
        features = torch.cat([self.network.waves(x), y, y.square()], -1)
        known = torch.ones_like(support_task[None], dtype=torch.bool)
        named = roles[None]
        sees = together(named)
        tokens = Tokens(features, support_task[None], known)
        encoded = self.network.self_attend(self.weights, tokens, named, sees)
        asked = query_x[None, None].expand(1, roles.shape[0], -1, -1)
        found = self.network.read(self.weights, encoded, asked, named, sees)
        return ends(Gaussian(found.mean[0], found.variance[0]))


class SteppedTasks(nn.Module):
    """A learner that takes gradient steps: they were taken when the graph was made, rows only go
    through the adapted networks."""

    chosen: Tensor

    def __init__(self, model: AdaptedSet) -> None:
        super().__init__()
        source, tasks = model.source, len(model.tasks)
        learner, problem = source.learner(), source.problem()
        assert isinstance(learner, StepLearner)
        self.network = learner.of(problem)
        self.lead: dict[str, tuple[int, int]] = {}
        self.names: dict[str, tuple[str, ...]] = {}
        self.register_buffer("chosen", torch.tensor([one.joint for one in model.tasks]))
        rows = model.support.x.new_zeros(1, tasks, 1, len(model.inputs))
        episodes = asking(model.support, model.roles, rows)
        for name in used(model):
            sees = SEES[name](model.roles)
            with torch.no_grad():
                phi = learner.fitted(source.problem(), source.params, episodes, sees)
            self.names[name] = tuple(phi)
            self.lead[name] = (phi["head.bias"].shape[0], phi["head.bias"].shape[1])
            for key, value in phi.items():
                self.register_buffer(buffer_of(name, key), value.detach().contiguous().clone())
            variance = source.answer(episodes, sees).variance[0]
            self.register_buffer(f"{name}__variance", variance.contiguous().clone())
        self.eval()

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        return mixed([self.read(name, x) for name in self.names], self.chosen)

    def read(self, name: str, x: Tensor) -> Tensor:
        """[T, B, 3] of the networks adapted under that name."""
        phi = {key: self.get_buffer(buffer_of(name, key)) for key in self.names[name]}
        mean = self.network.forward(phi, x.expand(*self.lead[name], *x.shape)).flatten(0, 1)
        variance = self.get_buffer(f"{name}__variance")
        return ends(Gaussian(mean, variance.expand_as(mean)))


def buffer_of(name: str, key: str) -> str:
    return f"{name}__{key.replace('.', '__')}"


SEES = {"joint": together, "alone": alone}


def used(model: AdaptedSet) -> tuple[str, ...]:
    """The ways of seeing that its tasks are answered in: the joint one first."""
    found = {"joint" if one.joint else "alone" for one in model.tasks}
    return tuple(name for name in SEES if name in found)


def mixed(found: list[Tensor], chosen: Tensor) -> tuple[Tensor, ...]:
    """The answers [T, B, 3] of each task, of the joint ones where `chosen`, else of those alone."""
    if len(found) == 1:
        return found[0].unbind(0)
    joint, separate = found
    return torch.where(chosen[:, None, None], joint, separate).unbind(0)
