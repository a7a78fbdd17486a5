"""The model that adapting to a whole support gives, with all that it remembers of how."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import torch

from metacli.algorithms.transfer.transfer import network_of
from metacli.engine.adapting.adding import adapted_to
from metacli.engine.adapting.featured import Seen
from metacli.engine.adapting.reading import Examples
from metacli.engine.adapting.request import Request
from metacli.engine.adapting.scoring import Measured, threads_for
from metacli.engine.adapting.source import Source
from metacli.engine.adapting.time_order import in_time_order
from metacli.engine.adapting.transfer import settled
from metacli.engine.models.hashes import weights_hash
from metacli.engine.models.learners import NATIVE
from metacli.engine.models.model import AdaptedModel
from metacli.engine.results.base import Json
from metacli.engine.training import journal


@torch.no_grad()
def adapted(
    source: Source,
    examples: Examples,
    seen: Seen,
    found: Measured,
    request: Request,
    folder: Path,
) -> AdaptedModel:
    """The model on all of the support, to be saved in `folder`.

    Args:
        seen: the same as the source adapts to it.
    """
    classes = examples.labels if source.kind == "classification" else None
    bare = seen.source
    support = bare.with_names(in_time_order(bare, seen.examples.support))
    problem = bare.problem(None if classes is None else len(classes))
    with threads_for(bare):
        learner = settled(bare.learner, problem, bare.params, source.state, support)
        phi = learner.adapt(problem, bare.params, support, source.state)
    if bare.features is not None:  # the network that the features are of goes along
        phi = {**network_of(source.problem(), source.params), **phi}
    return AdaptedModel(
        recipe=source.recipe,
        params=dict(phi),
        state=source.state,
        inputs=source.inputs,
        kind=source.kind,
        way=source.way,
        method=source.method,
        options={} if source.method == NATIVE else dict(vars(learner)),
        classes=classes,
        confidence=replace(found.confidence, span=examples.span),
        columns=examples.columns,
        support=examples.hashes,
        scores={"score": found.score.as_dict(), "transfer": found.transfer.as_dict()},
        provenance=provenance(source, examples, request, folder),
    )


def provenance(
    source: Source, examples: Examples, request: Request, folder: Path
) -> Mapping[str, Json]:
    """Where the model comes from. Paths are relative to its folder, so that it can be moved with
    what lies beside it."""
    return {
        **source.opened.model.provenance,
        "created": journal.now(),
        "from": os.path.relpath(source.opened.path, folder),
        "from_weights": weights_hash(source.opened.model.params),
        "overrides": list(request.overrides),
        **({"class_names": True} if source.names else {}),
        **adapted_to((*request.onto, (request.task, request.choice)), folder),
        "support": len(examples.support.y),
    }
