"""What can be opened as MODEL: final classes behind one protocol.

`FewShotModel` adapts to tasks, `AdaptedModel` is what that gives, `MultiTaskModel` answers for the
tasks that it was trained on. A verb opens one, and finds out which in one `match`.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Literal, Protocol
from weakref import WeakValueDictionary

import torch

from metacli.algorithms.learner import Adapter
from metacli.data.plain import Record
from metacli.engine.models.inputs import InputSpec
from metacli.engine.models.learners import NATIVE, make_method
from metacli.engine.models.multi_task_networks import make_task_problem
from metacli.engine.models.networks import make_problem, restore_adapter
from metacli.engine.models.parts import NO_COLUMNS, UNKNOWN, Columns, Confidence, TaskHeads
from metacli.engine.models.trunk import trunk_problem
from metacli.errors import BundleError
from metacli.nn.problem import Problem
from metacli.nn.selected import ChosenProblem, Trained
from metacli.schema.few_shot import FewShotRecipe
from metacli.schema.multi_task import MultiTaskRecipe
from metacli.schema.recipe import Recipe
from metacli.types import Params, State

Kind = Literal["classification", "regression"]


class Model(Protocol):
    """What every model has. Provenance: versions, seed, data digests, where it came from."""

    @property
    def recipe(self) -> Recipe: ...

    @property
    def params(self) -> Params: ...

    @property
    def inputs(self) -> InputSpec: ...

    @property
    def kind(self) -> str: ...

    @property
    def scores(self) -> Record: ...

    @property
    def provenance(self) -> Record: ...

    def weights(self) -> Params:
        """Those that its network wants, of any value."""
        ...


@dataclass(frozen=True)
class FewShotModel:
    """A learner with its θ, which adapts to tasks.

    Args:
        recipe: fully resolved.
        state: what the learner remembers from training.
        way: rows of a fixed head; the largest way of a range.
        scores: what was measured, by name.
    """

    recipe: FewShotRecipe
    params: Params
    state: State
    inputs: InputSpec
    kind: Kind
    way: int
    scores: Record = field(default_factory=dict)
    provenance: Record = field(default_factory=dict)

    def learner(self) -> Adapter:
        """As it is deployed: `evaluate`'s fields in place."""
        return self._learner

    def problem(self) -> Problem:
        """The stateless network."""
        return self._problem

    @cached_property
    def _learner(self) -> Adapter:
        return restore_adapter(self.recipe)

    @cached_property
    def _problem(self) -> Problem:
        return make_problem(self.recipe, self._learner, self.inputs, self.way)

    def weights(self) -> Params:
        return dict(self.problem().module.state_dict())


@dataclass(frozen=True)
class AdaptedModel:
    """A model of one task of a user. `params` hold everything that its predictions need:
    prototypes, a head of its own classes, frozen statistics.

    Args:
        recipe: of its source, which may be a multi-task model.
        way: classes, or outputs of a regression, of the source.
        method: how it was adapted, `native` or a transfer method with its `options`.
        classes: label names in the order of the outputs; None of a regression.
        support: hashes of the examples that it was adapted to.
    """

    recipe: Recipe
    params: Params
    state: State
    inputs: InputSpec
    kind: Kind
    way: int
    method: str = NATIVE
    options: Record = field(default_factory=dict)
    classes: tuple[str, ...] | None = None
    confidence: Confidence = UNKNOWN
    columns: Columns = NO_COLUMNS
    support: tuple[str, ...] = ()
    scores: Record = field(default_factory=dict)
    provenance: Record = field(default_factory=dict)

    def learner(self) -> Adapter:
        """What adapted it, which also predicts."""
        return self._learner

    def problem(self) -> Problem:
        """The stateless network."""
        return self._problem

    @cached_property
    def _learner(self) -> Adapter:
        return learner_of(self.recipe, self.method, self.options)

    @cached_property
    def _problem(self) -> Problem:
        """Shared by all models of the same structure, as it holds nothing of any of them."""
        way = self.way if self.classes is None else len(self.classes)
        inputs, options = self.inputs.as_dict(), dict(self.options)
        said = [self.recipe.plain(), self.method, options, inputs, self.kind, way]
        key = json.dumps(said, sort_keys=True, default=str)
        found = _networks.get(key)
        if found is None:
            found = network_of(self.recipe, self._learner, self.inputs, self.kind, way)
            _networks[key] = found
        return found

    def weights(self) -> Params:
        return dict(self.problem().module.state_dict())


@dataclass(frozen=True)
class MultiTaskModel:
    """A network of many tasks, which answers for those."""

    recipe: MultiTaskRecipe
    params: Params
    inputs: InputSpec
    heads: TaskHeads
    scores: Record = field(default_factory=dict)
    provenance: Record = field(default_factory=dict)

    @property
    def kind(self) -> str:
        """As `model.json` calls it."""
        return "tasks"

    def problem(self) -> Trained | ChosenProblem:
        """The stateless network of all tasks; of a guarded model both of its networks."""
        return make_task_problem(self.recipe, self.inputs, self.heads)

    def weights(self) -> Params:
        return self.problem().init(0)


AnyModel = FewShotModel | AdaptedModel | MultiTaskModel
# What live models compute with, by all that a network is made of: a thousand adapted models of one
# source have one.
_networks: WeakValueDictionary[str, Problem] = WeakValueDictionary()


def moved(model: AnyModel, device: torch.device) -> AnyModel:
    """The model with its weights on that device."""
    return replace(model, params={name: value.to(device) for name, value in model.params.items()})


def learner_of(recipe: Recipe, method: str, options: Record) -> Adapter:
    """The learner that adapts with `method`. Raises BundleError for a multi-task recipe, which has
    none of its own."""
    if method != NATIVE:
        return make_method(method, options)
    if isinstance(recipe, FewShotRecipe):
        return restore_adapter(recipe)
    raise BundleError(
        "a multi-task model answers for the tasks that it was trained on only",
        code="model.multitask",
        hint="metacli evaluate MODEL",
    )


def network_of(
    recipe: Recipe, learner: Adapter, inputs: InputSpec, kind: Kind, way: int
) -> Problem:
    """The network that is adapted: that of a few-shot recipe, or the trunk of a multi-task one."""
    if isinstance(recipe, MultiTaskRecipe):
        return trunk_problem(recipe, inputs, kind)
    assert isinstance(recipe, FewShotRecipe)  # a model of sets is no source of tasks
    return make_problem(recipe, learner, inputs, way)
