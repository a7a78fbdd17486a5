"""Scores of the baselines that `evaluate` compares a model with, on the same episodes."""

from __future__ import annotations

from dataclasses import dataclass, replace

from metacli.data.catalogue.sinusoid import Sinusoids
from metacli.data.few_shot.source import EpisodeSource
from metacli.engine.encoders.parameters import FROZEN, ON_FEATURES
from metacli.engine.events import Progress, Reporter
from metacli.engine.models.beginnings import own_start
from metacli.engine.models.fields import with_fields
from metacli.engine.models.folder import load_few_shot
from metacli.engine.models.model import FewShotModel
from metacli.engine.models.networks import restore_learner
from metacli.engine.models.opening import Opened
from metacli.engine.results.evaluate import Baseline, Step
from metacli.engine.scoring.episodes import (
    EpisodeScores,
    episodes_at_once,
    pixel_scores,
    score_episodes,
)
from metacli.engine.scoring.intervals import over_episodes
from metacli.engine.scoring.protocol import Protocol
from metacli.engine.shards.values import Arrays, Named
from metacli.nn.problem import Problem
from metacli.trees import without
from metacli.types import Params, State

UNTRAINED_EPISODES = 100  # enough to see where a model stands; they cost as much as its own


def steps_of(scores: EpisodeScores) -> tuple[Step, ...]:
    """The score after each adaptation step; () for learners without."""
    values = [] if scores.per_step is None else list(scores.per_step)
    return tuple(Step(at, over_episodes(one)) for at, one in enumerate(values))


def score_baselines(
    opened: Opened[FewShotModel],
    problem: Problem,
    source: EpisodeSource,
    protocol: Protocol,
    report: Reporter,
    values: Named,
) -> dict[str, Baseline]:
    """What no training reaches on the first of the same episodes, and on all of them the
    baselines that the run trained."""
    model = opened.model
    few = min(protocol.episodes, UNTRAINED_EPISODES)
    on = On(source, report, values)
    device = next(iter(model.params.values())).device
    fresh, state = untrained(model, problem)
    begin = {**model.params, **{k: v.to(device) for k, v in fresh.items()}}
    found = {"untrained": on.score("untrained", replace(model, state=state, params=begin), few)}
    if model.inputs.kind == "image":
        name = "features" if model.recipe.backbone.name in ON_FEATURES else "pixels"
        found[name] = on.nearest(name, few)
    if opened.run is not None:
        for folder in sorted((opened.run / "baselines").glob("*")):
            other = adapted_as_often(load_few_shot(folder), model)
            params = {k: v.to(device) for k, v in other.params.items()}
            moved = replace(other, params=params)
            found[folder.name] = on.score(folder.name, moved, protocol.episodes)
    return found


@dataclass(frozen=True)
class On:
    """The episodes that baselines are scored on."""

    source: EpisodeSource
    report: Reporter
    values: Named

    def nearest(self, name: str, total: int) -> Baseline:
        """The nearest class mean of the inputs."""

        def compute(first: int, last: int) -> Arrays:
            episode_at = lambda index: self.source.episode(first + index)  # noqa: E731
            return {"inductive": pixel_scores(episode_at, last - first)}

        found = EpisodeScores.of(self.values.of(name, total, compute))
        return Baseline(over_episodes(found.inductive))

    def score(self, name: str, model: FewShotModel, total: int) -> Baseline:
        """A model on the first `total` episodes."""
        problem, learner, source = model.problem(), model.learner(), as_seen(self.source, model)
        what = f"baseline {name}"

        def compute(first: int, last: int) -> Arrays:
            return score_episodes(
                *(problem, learner, model.params, model.state),
                lambda index: source.episode(first + index),
                last - first,
                detailed=model.kind == "regression",
                tick=lambda done: self.report(Progress(what, first + done, total, "episodes")),
            ).as_arrays()

        unit = episodes_at_once(problem, learner)
        scores = EpisodeScores.of(self.values.of(name, total, compute, unit))
        return Baseline(over_episodes(scores.inductive), steps_of(scores))


def adapted_as_often(other: FewShotModel, model: FewShotModel) -> FewShotModel:
    """A baseline with the inner steps that the model is measured with, where it has any: an oracle
    has none."""
    own, wanted = other.learner().inner_steps, model.learner().inner_steps
    if not own or wanted is None or own == wanted:
        return other
    return with_fields(other, [f"inner_steps={wanted}"])


def as_seen(source: EpisodeSource, of: FewShotModel) -> EpisodeSource:
    """The same episodes with the inputs of this model: the oracle sees amplitude and phase, too."""
    if not isinstance(source, Sinusoids):
        return source
    return replace(source, told=bool(of.recipe.data.options.get("told", False)))


def untrained(model: FewShotModel, problem: Problem) -> tuple[Params, State]:
    """What the model's training began with: its parameters, those of its learner, and its state."""
    fresh = without(problem.init(model.recipe.seed), FROZEN)  # the encoder is not trained
    own, state = own_start(restore_learner(model.recipe, deployed=False), problem, fresh)
    return {**fresh, **own}, state
