"""A model of sets of classification tasks: a learner that was meta-trained on them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Literal

import torch
from torch import Tensor, nn

from metacli.algorithms.meta_multitask.protocol import ClassSetLearner
from metacli.engine.encoders.parameters import FROZEN, with_encoder
from metacli.engine.encoders.pool_features import bare_width, frozen_of
from metacli.engine.models.inputs import InputSpec
from metacli.engine.models.networks import entrance_of, statistics_of
from metacli.engine.results.base import Json
from metacli.engine.sets.build import restore_set_learner
from metacli.errors import RecipeError
from metacli.nn.backbones.table import make_backbone
from metacli.nn.problem import Problem, make_module
from metacli.nn.set_answers import SetAnswers
from metacli.nn.set_problem import SetProblem
from metacli.schema.meta_multi_task import MetaMultiTaskRecipe
from metacli.trees import select
from metacli.types import Params, SetEpisode, State

TaskKinds = Literal["classification", "regression", "mixed"]


@dataclass(frozen=True)
class ClassFacts:
    """What the tasks of a source look like.

    Args:
        inputs: one example. way: classes of every task; None: tasks differ.
        shared_labels: class n is the same in every task of a set.
        kind: of the tasks; mixed: of both kinds. levels: mean and scale of each target column that
        is a number, by which its values were scaled. positive: tasks ask for one of two classes,
        so that sets are judged by the area under the ROC curve.
    """

    inputs: InputSpec
    way: int | None
    shared_labels: bool
    kind: TaskKinds = "classification"
    levels: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    positive: bool = False

    @property
    def metric(self) -> Literal["accuracy", "auc", "mse", "log_likelihood"]:
        """By which a set is judged; the error is that of scaled values."""
        if self.kind == "mixed":
            return "log_likelihood"
        if self.positive:
            return "auc"
        return "accuracy" if self.kind == "classification" else "mse"

    def as_dict(self) -> dict[str, Json]:
        levels = {name: list(level) for name, level in self.levels.items()}
        return {
            "way": self.way,
            "shared_labels": self.shared_labels,
            "kind": self.kind,
            "levels": levels,
            "positive": self.positive,
        }


@dataclass(frozen=True)
class ClassSetModel:
    """A learner of sets of classifications with its θ, beside which the parameters of a pretrained
    encoder are kept."""

    recipe: MetaMultiTaskRecipe
    params: Params
    state: State
    facts: ClassFacts
    scores: Mapping[str, Json] = field(default_factory=dict)
    provenance: Mapping[str, Json] = field(default_factory=dict)

    def learner(self) -> ClassSetLearner:
        return class_learner(self.recipe)

    def problem(self) -> SetProblem:
        """The network without its weights, but on its pretrained encoder."""
        return self._problem

    @cached_property
    def _problem(self) -> SetProblem:
        own = select(self.params, (FROZEN,)) or with_encoder(self.recipe, {})
        return class_problem(self.recipe, self.learner(), self.facts, own)

    @property
    def example(self) -> tuple[int, ...]:
        """The shape of what is kept of one example: itself, or its features."""
        frozen = frozen_of(self.recipe)
        return self.facts.inputs.shape if frozen is None else (bare_width(frozen),)

    def weights(self) -> Params:
        """Those that the network and the learner want, of any value; under `torch.device("meta")`
        of none."""
        problem = class_problem(self.recipe, self.learner(), self.facts, {})
        params = problem.init(0)
        return {**params, **self.learner().init(problem, params)[0]}

    def respond(self, episodes: SetEpisode, sees: Tensor) -> SetAnswers:
        with torch.no_grad():
            return self.learner().respond(self.problem(), self.params, episodes, sees)


def class_learner(recipe: MetaMultiTaskRecipe) -> ClassSetLearner:
    """The learner of a recipe that was checked before."""
    learner = restore_set_learner(recipe)
    assert isinstance(learner, ClassSetLearner)
    return learner


def class_problem(
    recipe: MetaMultiTaskRecipe, learner: ClassSetLearner, facts: ClassFacts, own: Params
) -> SetProblem:
    """The network for these tasks on the recipe's backbone.

    Args:
        own: the parameters of a pretrained encoder are taken from here.

    Raises:
        RecipeError: a backbone whose normalisation looks at other examples.
        UsageProblem: a learned head for tasks of different numbers of classes.
    """
    encoder = encoder_of(recipe, facts.inputs, own)
    network = learner.encoded(encoder, 0, facts.way, shared_labels=facts.shared_labels)
    return SetProblem(
        network,
        kind=facts.kind,
        metric_name=facts.metric,
        shared_labels=facts.shared_labels,
    )


def encoder_of(recipe: MetaMultiTaskRecipe, inputs: InputSpec, own: Params) -> Problem:
    """The backbone, which makes features of one example. What of it is pretrained and stays is in
    its module, and not among what learners see, average or move."""
    assert recipe.backbone is not None
    backbone = make_backbone(recipe.backbone.name, recipe.backbone.options)
    if statistics_of(backbone) != "none":
        raise RecipeError(
            "backbone.norm of a set is group or none: each example is normalised by itself",
            code="recipe.invalid",
            hint="backbone.norm=group",
        )
    module, features = backbone.build(inputs.shape)
    if features == 0:
        raise RecipeError(
            f"backbone {recipe.backbone.name} leaves nothing of an input of {inputs.shape}",
            code="recipe.invalid",
            hint="a larger data.size",
        )
    entrance = entrance_of(backbone, inputs) if inputs.kind == "image" else nn.Identity()
    made = make_module(entrance, module)
    pretrained = select(own, (FROZEN,))
    if pretrained:
        made.load_state_dict(pretrained, strict=False, assign=True)
    return Problem(made, features, "classification", None)
