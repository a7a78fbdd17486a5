"""The sources that a user names, opened and made ready to adapt."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from metacli.algorithms import ALGORITHMS
from metacli.engine.adapting.backbone_source import backbone_options, is_backbone, open_source
from metacli.engine.adapting.built_in import METHODS, is_built_in, open_built_in
from metacli.engine.adapting.feature_source import FEATURES, feature_source
from metacli.engine.adapting.hub_source import hub_source_for, is_hub_source
from metacli.engine.adapting.request import Request
from metacli.engine.adapting.source import Source
from metacli.engine.adapting.tables.prior_source import IN_CONTEXT, prior_source, require_pair
from metacli.engine.adapting.transfer import starting_point
from metacli.engine.adapting.trunk_source import trunk_source
from metacli.engine.models.fields import checked_fields, with_fields
from metacli.engine.models.learners import NATIVE
from metacli.engine.models.model import AdaptedModel, AnyModel, FewShotModel, MultiTaskModel
from metacli.engine.models.opening import Opened
from metacli.engine.training.few_shot.sources import has_generated_tables
from metacli.errors import DataError, UsageProblem

LINEAR_PROBE = "linear-probe"  # for sources that have no adaptation of their own


def names_of(model: str | Path | Sequence[str | Path]) -> list[str]:
    """One or more models, as the user called them."""
    return [str(model)] if isinstance(model, str | Path) else [str(one) for one in model]


def open_sources(names: Sequence[str], request: Request) -> list[Source]:
    """Every source with the learner that adapts it. `features` are those of the task's table."""
    options, fields = backbone_options(request.overrides)
    opened: list[Opened[AnyModel]] = []
    for name in names:
        if is_built_in(name):
            built = open_built_in(name, request)
            opened.append(Opened(built.model, built.path, built.run))
        elif is_hub_source(name):
            network = hub_source_for(name, request)
            opened.append(Opened(network.model, network.path, network.run))
        elif name == FEATURES and not Path(name).exists():
            features = feature_source(request)
            opened.append(Opened(features.model, features.path, features.run))
        else:
            source = open_source(name, options, request.device, request.report)
            opened.append(for_columns(source, request))
    if options and not any(map(is_backbone, opened)):
        raise UsageProblem(
            f"{next(iter(options))} is for a network of others; {names[0]} is a model of metacli"
        )
    return [prepared(one, fields, request.method) for one in opened]


def for_columns(source: Opened[AnyModel], request: Request) -> Opened[AnyModel]:
    """What was trained on generated tables reads the columns of the task's; all else as it is."""
    model = source.model
    if not isinstance(model, FewShotModel) or not has_generated_tables(model.recipe):
        return source
    made = prior_source(request, source.having(model))
    return Opened(made.model, made.path, made.run)


def metric_of(sources: Sequence[Source]) -> str:
    """What `adapt` scores them by."""
    return "mae" if sources[0].kind == "regression" else "accuracy"


def require_type(type: str | None, sources: Sequence[Source]) -> None:
    """Raises UsageProblem for what a model of this kind has not: its own kind wins."""
    kinds = {one.kind for one in sources}
    if type is not None and kinds != {type}:
        raise UsageProblem(f"--type {type}, and this model is for {' and '.join(sorted(kinds))}")


def prepared(opened: Opened[AnyModel], overrides: Sequence[str], method: str) -> Source:
    """The one dispatch of `adapt`: what is adapted of the model that was opened, and how."""
    match opened.model:
        case AdaptedModel():
            raise DataError(
                "this model is adapted already",
                code="model.adapted",
                where=str(opened.path),
                hint="adapt the model that it came from (metacli inspect names it), or add with "
                "--add",
            )
        case MultiTaskModel() as model:  # whose tasks' heads stay behind
            source = trunk_source(opened, model, LINEAR_PROBE if method == NATIVE else method)
            require_kind(source, method)
            return with_options(source, overrides) if overrides else source
        case FewShotModel() as model:
            if needs_method(opened) and method == NATIVE:
                classes = model.kind == "classification"
                own = model.recipe.algorithm.name if is_backbone(opened) else LINEAR_PROBE
                known = METHODS.get(str(opened.path), own)
                method = known if classes or known == IN_CONTEXT else LINEAR_PROBE
            return few_shot_source(opened, model, overrides, method)


def needs_method(opened: Opened[AnyModel]) -> bool:
    """Whether it has no adaptation of its own."""
    return is_backbone(opened) or str(opened.path) in (FEATURES, *METHODS)


def few_shot_source(
    opened: Opened[AnyModel], model: FewShotModel, overrides: Sequence[str], method: str
) -> Source:
    """θ and the learner with the fields that are changed; or θ for a transfer method."""
    source = Source(
        opened=opened,
        recipe=model.recipe,
        params=model.params,
        state=model.state,
        inputs=model.inputs,
        kind=model.kind,
        way=model.way,
    )
    require_kind(source, method)
    require_pair(str(opened.path), method)
    if method == NATIVE:
        changed = with_fields(model, overrides) if overrides else model
        return replace(source, recipe=changed.recipe)
    start = starting_point(model.params, model.learner())
    source = replace(source, method=method, params=start)
    return with_options(source, overrides) if overrides else source


def with_options(source: Source, overrides: Sequence[str]) -> Source:
    """The fields of a transfer method that are given."""
    options = checked_fields(source.learner, source.recipe, source.way, overrides)
    return replace(source, options=options)


def require_kind(source: Source, method: str) -> None:
    """Raises DataError for a model that takes no files, UsageProblem for a method that is not for
    its kind of task."""
    if source.inputs.regresses and source.inputs.target is None:
        raise DataError(
            f"a {source.kind} model of {source.recipe.data.source} takes no files of a user",
            code="model.kind",
            where=str(source.opened.path),
            hint="metacli recipes lists models for images, texts and tables",
        )
    if method == NATIVE:
        return
    kinds = ALGORITHMS[method].learner().kinds
    if source.kind not in kinds:
        predicts = "numbers" if source.kind == "regression" else "classes"
        raise UsageProblem(
            f"--method {method} is for {' and '.join(kinds)}, and this model predicts {predicts}",
            hint="linear-probe, fine-tune, lp-ft and l2-sp take both",
        )
