"""Scores of the baselines that `evaluate` shows beside a model, on the very same episodes."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from metacli.data.catalogue.sinusoid import Sinusoids
from metacli.data.few_shot.source import EpisodeSource
from metacli.engine.events import Progress, Reporter
from metacli.engine.models.fields import with_fields
from metacli.engine.models.folder import load_few_shot
from metacli.engine.models.model import FewShotModel
from metacli.engine.models.opening import Opened
from metacli.engine.scoring.episodes import EpisodeScores, pixel_scores, score_episodes
from metacli.engine.scoring.intervals import over_episodes
from metacli.engine.scoring.protocol import Protocol
from metacli.engine.training.build import restore_learner
from metacli.nn.problem import Problem
from metacli.types import Params, State

UNTRAINED_EPISODES = 100  # enough to see where a model stands; they cost as much as its own


def summary(found: EpisodeScores) -> dict[str, Any]:
    """Means and intervals; the top-level numbers are the inductive ones."""
    inductive = over_episodes(found.inductive).as_dict()
    together = None if found.together is None else over_episodes(found.together).as_dict()
    steps = [] if found.per_step is None else list(found.per_step)
    return {
        "mean": inductive["mean"],
        "ci95": inductive["ci95"],
        "inductive": inductive,
        "transductive": together,
        "per_step": [
            {"step": i, **over_episodes(values).as_dict()} for i, values in enumerate(steps)
        ],
    }


def score_baselines(
    opened: Opened[FewShotModel],
    problem: Problem,
    source: EpisodeSource,
    protocol: Protocol,
    report: Reporter,
) -> dict[str, Any]:
    """What no training reaches on the first of the very same episodes, and on all of them the
    baselines that the run trained."""
    model = opened.model
    few = min(protocol.episodes, UNTRAINED_EPISODES)
    found: dict[str, Any] = {}
    device = next(iter(model.params.values())).device

    def scored(name: str, bundle: FewShotModel, params: Params, total: int) -> None:
        scores = score_episodes(
            bundle.problem(),
            bundle.learner(),
            params,
            bundle.state,
            as_seen(source, bundle).episode,
            total,
            detailed=bundle.kind == "regression",
            tick=lambda done: report(Progress(f"baseline {name}", done, total, "episodes")),
        )
        steps = summary(scores)["per_step"]
        found[name] = {
            **over_episodes(scores.inductive).as_dict(),
            **({"per_step": steps} if steps else {}),
        }

    fresh, state = untrained(model, problem)
    begin = {**model.params, **{k: v.to(device) for k, v in fresh.items()}}
    scored("untrained", replace(model, state=state), begin, few)
    if model.inputs.kind == "image":
        found["pixels"] = over_episodes(pixel_scores(source.episode, few)).as_dict()
    if opened.run is not None:
        for folder in sorted((opened.run / "baselines").glob("*")):
            other = adapted_as_often(load_few_shot(folder), model)
            params = {k: v.to(device) for k, v in other.params.items()}
            scored(folder.name, other, params, protocol.episodes)
    return found


def adapted_as_often(other: FewShotModel, model: FewShotModel) -> FewShotModel:
    """A baseline with the inner steps that the model is measured with, where it has any: an oracle
    has none."""
    own, wanted = (one.learner().inner_steps for one in (other, model))
    if not own or wanted is None or own == wanted:
        return other
    return with_fields(other, [f"inner_steps={wanted}"])


def as_seen(source: EpisodeSource, of: FewShotModel) -> EpisodeSource:
    """The same episodes with the inputs of this model: the oracle's are told more."""
    if not isinstance(source, Sinusoids):
        return source
    return replace(source, told=bool(of.recipe.data.options.get("told", False)))


def untrained(model: FewShotModel, problem: Problem) -> tuple[Params, State]:
    """What the model's training began with: its parameters, its learner's own numbers, and its
    memory."""
    fresh = problem.init(model.recipe.seed)
    own, state = restore_learner(model.recipe, deployed=False).init(problem, fresh)
    return {**fresh, **own}, state
