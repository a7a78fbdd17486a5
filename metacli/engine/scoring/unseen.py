"""Data that a model was not trained on: that it fits the model, and holds no class it has seen."""

from __future__ import annotations

from dataclasses import fields, replace
from pathlib import Path

from metacli.data.catalogue.registry import DATASETS
from metacli.data.few_shot.class_tasks import ClassTaskEpisodes
from metacli.data.few_shot.episodes import ClassEpisodes
from metacli.data.few_shot.feature_rows import FeatureRows
from metacli.data.few_shot.pools import fitted
from metacli.data.few_shot.regression import RegressionEpisodes
from metacli.data.few_shot.source import EpisodeSource
from metacli.data.few_shot.user_regression import holds_tables
from metacli.data.plain import record_in, text_or_none_in, texts_in
from metacli.data.sources import load_pool, tasks_with_cells
from metacli.data.tables.choice import NOTHING_SAID, Choice
from metacli.data.user.open import list_task
from metacli.engine.models.model import FewShotModel
from metacli.engine.storage.paths import cache_root
from metacli.errors import DataError

HOLDS = {"images": "images", "text": "texts", "waves": "sine waves"}
TAKES = {"image": "images", "text": "texts"}


def require_kind(model: FewShotModel, data: str, choice: Choice = NOTHING_SAID) -> None:
    """Raises DataError when images are meant for a model of numbers, and so on."""
    wants = TAKES.get(model.inputs.kind, "numbers" if model.inputs.reader is None else "tables")
    holds = held_by(data) if data in DATASETS else kind_in(Path(data), choice)
    if holds != wants and (holds, wants) != ("sine waves", "numbers"):
        raise DataError(
            f"the data are {holds} and the model takes {wants}", code="data.mismatch", where=data
        )


def held_by(data: str) -> str:
    """What a data set holds; a set of tasks is read for it. Raises DataError: not fetched yet."""
    if DATASETS[data].kind != "tasks":
        return HOLDS[DATASETS[data].kind]
    tasks = tasks_with_cells(data, {}, cache_root())
    if tasks.shape:
        return "images"
    return "texts" if tasks.texts else "tables"


def kind_in(path: Path, choice: Choice) -> str:
    """What a user's folder or table holds. Raises DataError for a table without a target."""
    if not holds_tables(path):
        return "images"
    return {"images": "images", "text": "texts", "table": "tables"}[
        list_task(path, choice=choice).kind
    ]


def fit_to(model: FewShotModel, source: EpisodeSource) -> EpisodeSource:
    """The same episodes with images of the size and channels that the model takes, or texts and
    rows as it reads them.

    Raises:
        DataError: tasks with numbers to predict that are scaled otherwise than the model's.
    """
    if isinstance(source, RegressionEpisodes):
        if source.tasks.encoding.as_dict() != model.inputs.reader:
            raise DataError(
                "these tasks are not those that the model was trained among, so its columns and "
                "its scale are others",
                code="data.mismatch",
                where=source.tasks.name,
                hint="adapt the model to one of them: metacli adapt",
            )
        return source
    if isinstance(source, ClassTaskEpisodes):
        return read_as_trained(model, source)
    if not isinstance(source, ClassEpisodes):
        return source
    if isinstance(source.pool.store, FeatureRows):
        return source  # as `make_source` made it for the model's network
    encoder = model.inputs.encoder
    if source.pool.encoder is not None and encoder is not None:
        store = source.pool.coded.read_by(encoder)
        return replace(source, pool=replace(source.pool, store=store))
    return replace(source, pool=fitted(source.pool, tuple(model.inputs.shape)))


def read_as_trained(model: FewShotModel, source: ClassTaskEpisodes) -> ClassTaskEpisodes:
    """Classification tasks with the numbers and the labels of the model.

    Raises:
        DataError: other columns, images of another size, or other labels than its head's.
    """
    tasks, inputs = source.tasks, model.inputs
    fixed = inputs.labels if not model.learner().any_way else ()
    if fixed and tasks.shared != fixed:
        have = tasks.shared or tasks.labels[0]
        raise DataError(
            f"the model answers {' or '.join(fixed)} in every task, {tasks.name} has the labels "
            f"{', '.join(have[:8])}",
            code="model.labels",
            where=tasks.name,
            hint="a learner whose head is made of the support takes any labels: protonet, r2d2, or "
            "algorithm.head=proto",
        )
    if tasks.encoder is not None and inputs.encoder is not None:
        if tasks.encoder.as_dict() == inputs.reader:
            return source
        return replace(source, tasks=tasks.read_by(inputs.encoder))
    if tasks.example_shape != tuple(inputs.shape):
        shapes = ["x".join(map(str, one)) for one in (tasks.example_shape, inputs.shape)]
        message = f"the rows are {shapes[0]}, the model takes {shapes[1]}"
        raise DataError(message, code="data.mismatch", where=tasks.name)
    return source


def require_unseen(model: FewShotModel, source: EpisodeSource, split: str) -> None:
    """Raises DataError when a class of the split was trained on."""
    if isinstance(source, ClassTaskEpisodes) and split != "train":
        require_new_tasks(model, source)
    if not isinstance(source, ClassEpisodes) or split == "train":
        return
    data = model.recipe.data.source
    seen = sorted(trained_classes(model, data) & set(source.pool.classes))
    if seen:
        hint = "the folder has changed since training: keep train/ and test/ apart"
        if data in DATASETS:
            hint = f"it has the images of {trained_on(model)} in other splits"
        raise DataError(
            f"{len(seen)} class(es) of split {split} were trained on: {', '.join(seen[:5])}",
            code="data.seen_class",
            where=data,
            hint=hint,
        )


def trained_on(model: FewShotModel) -> str | None:
    """The data set or folder, as the model names it."""
    return text_or_none_in(record_in(model.provenance, "data"), "source")


def require_new_tasks(model: FewShotModel, source: ClassTaskEpisodes) -> None:
    """Raises DataError when a task of the split was trained on: the data have changed since."""
    if trained_on(model) != model.recipe.data.source:
        return
    trained = record_in(model.provenance, "data")
    names = texts_in(trained, "tasks") if trained.get("tasks") else ()
    seen = sorted(set(names) & set(source.tasks.tasks))
    if seen:
        raise DataError(
            f"{len(seen)} of the tasks of split {source.tasks.split} were trained on: "
            f"{', '.join(seen[:5])}",
            code="data.seen_task",
            where=model.recipe.data.source,
            hint="data.test_tasks=A,B in the recipe names those that stay unseen",
        )


def trained_classes(model: FewShotModel, data: str) -> set[str]:
    """Class names that training used, where `data` has the same images: a folder as it was then,
    or another data set that shares them. Splits of one data set are disjoint by themselves.
    """
    trained, source = record_in(model.provenance, "data"), trained_on(model)
    if source == data:
        return set(texts_in(trained, "classes")) if trained.get("classes") else set()
    shared = source in DATASETS and data in DATASETS
    if source is None or not shared or DATASETS[source].folder != DATASETS[data].folder:
        return set()
    names = {field.name for field in fields(DATASETS[source].options)}
    options = {key: value for key, value in trained.items() if key in names}
    return set(load_pool(source, "train", options, cache_root()).classes)
