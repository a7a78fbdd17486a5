"""The episodes that a model is evaluated on: of which data, and whether they have enough."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from metacli.data.catalogue.registry import DATASETS
from metacli.data.few_shot.class_tasks import ClassTaskEpisodes
from metacli.data.few_shot.episodes import ClassEpisodes
from metacli.data.few_shot.pools import ALL
from metacli.data.few_shot.read_class_tasks import EVERY
from metacli.data.few_shot.source import EpisodeSource
from metacli.data.sources import kind_of_tasks
from metacli.data.user.open import Reading
from metacli.engine.events import Notice, Reporter
from metacli.engine.models.model import FewShotModel
from metacli.engine.models.opening import Opened
from metacli.engine.scoring.protocol import Protocol
from metacli.engine.scoring.unseen import fit_to, require_kind, require_unseen, trained_classes
from metacli.engine.storage.paths import cache_root
from metacli.engine.training.few_shot.sources import make_source
from metacli.errors import DataError
from metacli.schema.values import largest

FOLDS = ("fold",)  # of sets of texts that hold the same intents


def replace_source(
    opened: Opened[FewShotModel], data: str | None, reading: Reading
) -> Opened[FewShotModel]:
    """The model with its recipe pointed at other data. Raises DataError when there are none, or
    they are of another kind than the model's."""
    if data is None:
        return opened
    recipe = opened.model.recipe
    if same_source(data, recipe.data.source) and reading == Reading():
        return opened  # with the scheme that it was trained under
    if data in DATASETS:
        require_kind(opened.model, data)
        shared = FOLDS if opened.model.inputs.kind == "text" else ()
        kept = {key: recipe.data.options[key] for key in shared if key in recipe.data.options}
        if DATASETS[data].kind == "tasks":  # all of them are new to a model of other tasks
            kept["test_tasks"] = EVERY
        source = recipe.data.model_copy(update={"source": data, "options": kept})
    else:
        path = Path(data)
        if not path.exists():
            raise DataError(
                "no such data set or folder",
                code="data.not_found",
                where=data,
                hint="metacli fetch --list",
            )
        require_kind(opened.model, data, reading.choice)
        options: dict[str, int | bool | str] = {"way": 2, **options_of(reading)}
        if opened.model.inputs.kind == "image":
            channels, height, _ = opened.model.inputs.shape
            options |= {"size": height, "channels": channels}
        if kind_of_tasks(str(path), options, cache_root()) == "classification":
            options["test_tasks"] = EVERY
        source = recipe.data.model_copy(update={"source": str(path.absolute()), "options": options})
    moved = recipe.model_copy(update={"data": source})
    return opened.having(replace(opened.model, recipe=moved))


def options_of(reading: Reading) -> dict[str, bool | str]:
    """As a recipe's `data` states them."""
    choice = reading.choice
    columns = {"target": choice.target, "input": ",".join(choice.inputs or ())}
    return {
        "skip_bad": reading.skip_bad,
        "allow_duplicates": reading.allow_duplicates,
        **{key: value for key, value in columns.items() if value},
    }


def same_source(data: str, trained: str) -> bool:
    """Whether both are one data set, or one folder however it was written."""
    named = data in DATASETS or trained in DATASETS
    return data == trained if named else Path(data).resolve() == Path(trained).resolve()


def source_of(model: FewShotModel, protocol: Protocol) -> EpisodeSource:
    """The episodes of a protocol. Raises DataError where the data do not have them, or the model
    was trained on them."""
    source = make_source(
        model.recipe,
        protocol.split,
        way=protocol.way,
        shot=protocol.shot,
        query=protocol.query,
        seed=protocol.seed,
        balanced=protocol.balanced,
    )
    require_unseen(model, source, protocol.split)
    return fit_to(model, source)


def class_tasks_asked(model: FewShotModel, protocol: Protocol) -> ClassTaskEpisodes:
    """The classification tasks of a protocol, one row of each class being enough to be asked.
    Raises as `source_of`."""
    source = source_of(model, replace(protocol, query=1))
    assert isinstance(source, ClassTaskEpisodes)  # whoever calls this has asked
    return source


def report_left_aside(model: FewShotModel, source: EpisodeSource, report: Reporter) -> None:
    """Says how many classes of a user's folder are not measured, although the model was not trained
    on them either."""
    data = model.recipe.data.source
    if data in DATASETS or not isinstance(source, ClassEpisodes):
        return
    whole = make_source(model.recipe, ALL, way=2, shot=1, query=1, seed=0)
    if not isinstance(whole, ClassEpisodes):
        return
    rest = set(whole.pool.classes) - set(source.pool.classes) - trained_classes(model, data)
    if rest and len(source.pool.classes) + len(rest) == len(whole.pool.classes):
        message = (
            f"{len(source.pool.classes)} of {len(whole.pool.classes)} classes are measured, as the "
            "others are for training and validation; --split all measures every class"
        )
        report(Notice(message, "evaluate.part_of_classes"))


def with_room(model: FewShotModel, wanted: list[Protocol], report: Reporter) -> list[Protocol]:
    """The same protocols with as many queries, which nobody asked for, as the smallest class leaves
    after the most shots: one number for all, so that they can be compared."""
    shots = [largest(one.shot) for one in wanted]
    least = make_source(model.recipe, wanted[0].split, way=2, shot=1, query=1, seed=0)
    if not isinstance(least, ClassEpisodes):
        return wanted
    room = min(map(len, least.pool.rows)) - max(shots)
    if not 1 <= room < wanted[0].query:
        return wanted
    message = f"{room} queries per class, since the smallest class has {room + max(shots)} examples"
    report(Notice(message, "evaluate.fewer_queries"))
    return [replace(one, query=room) for one in wanted]
