"""Where an adaptation begins."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property

import torch
from torch import nn

from metacli.algorithms.learner import Adapter
from metacli.data.plain import Record
from metacli.engine.models.inputs import InputSpec
from metacli.engine.models.learners import NATIVE
from metacli.engine.models.model import AnyModel, Kind, learner_of, network_of
from metacli.engine.models.opening import Opened
from metacli.nn.problem import Problem, make_module
from metacli.schema.recipe import Recipe
from metacli.types import Batch, Params, State


@dataclass(frozen=True)
class Source:
    """θ of a model that was opened, the network that it belongs to, and how it is adapted.

    Args:
        opened: the model as it is on disk.
        way: rows of a fixed head; outputs of a regression.
        method: `native`, or the transfer method in the place of the model's own learner, with its
            `options`.
        names: whether the names of the classes are examples of theirs, too; `beside` are those as
            the source reads them, which every adaptation has with the user's.
        features: rows are features already, so many of each; the network is the identity.
    """

    opened: Opened[AnyModel]
    recipe: Recipe
    params: Params
    state: State
    inputs: InputSpec
    kind: Kind
    way: int
    method: str = NATIVE
    options: Record = field(default_factory=dict)
    features: int | None = None
    names: bool = False
    beside: Batch | None = None

    @cached_property
    def learner(self) -> Adapter:
        return learner_of(self.recipe, self.method, self.options)

    def with_names(self, support: Batch) -> Batch:
        """The examples to adapt to: these, and the names of their classes where they count."""
        if self.beside is None:
            return support
        assert support.mask is None  # a user's examples are all there
        both = zip(support[:2], self.beside[:2], strict=True)
        return Batch(*(torch.cat(pair) for pair in both))

    def problem(self, classes: int | None = None) -> Problem:
        """The stateless network, for as many classes."""
        if self.features is not None:
            bare = make_module(nn.Identity(), nn.Identity())
            return Problem(bare, features=self.features, kind=self.kind, head=None)
        way = self.way if classes is None else classes
        if way not in self.built:
            made = network_of(self.recipe, self.learner, self.inputs, self.kind, way)
            self.built[way] = made
        return self.built[way]

    @cached_property
    def built(self) -> dict[int, Problem]:
        """The networks that were asked for, by their classes: making one takes longer than to fit a
        head to features."""
        return {}
