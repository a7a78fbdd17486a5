"""Data that a model was not trained on: that it fits the model, and holds no class it has seen."""

from __future__ import annotations

from dataclasses import fields, replace

from metacli.data.episodes import ClassEpisodes
from metacli.data.pool import fitted
from metacli.data.registry import DATASETS, load_pool
from metacli.data.sinusoid import Sinusoids
from metacli.data.task_episodes import TaskEpisodes
from metacli.engine.bundle import Bundle
from metacli.engine.place import cache_root
from metacli.errors import DataError

Source = ClassEpisodes | Sinusoids | TaskEpisodes


def require_kind(model: Bundle, data: str) -> None:
    """Raises DataError when pictures are meant for a model of numbers, or the reverse."""
    waves = data in DATASETS and DATASETS[data].kind == "waves"
    if waves != (model.inputs.kind == "numbers"):
        holds = "waves" if waves else "pictures"
        wants = "pictures" if waves else "numbers"
        raise DataError(
            f"the data are {holds} and the model takes {wants}", code="data.mismatch", where=data
        )


def fit_to(model: Bundle, source: Source) -> Source:
    """The same episodes with pictures of the size and channels that the model takes."""
    if not isinstance(source, ClassEpisodes):
        return source
    return replace(source, pool=fitted(source.pool, tuple(model.inputs.shape)))


def require_unseen(model: Bundle, source: Source, split: str) -> None:
    """Raises DataError when a class of the split was trained on."""
    if not isinstance(source, ClassEpisodes) or split == "train":
        return
    data = model.recipe.data.source
    seen = sorted(trained_classes(model, data) & set(source.pool.classes))
    if seen:
        hint = "the folder has changed since training: keep train/ and test/ apart"
        if data in DATASETS:
            hint = f"it has the pictures of {model.provenance['data']['source']} in other splits"
        raise DataError(
            f"{len(seen)} class(es) of split {split} were trained on: {', '.join(seen[:5])}",
            code="data.seen_class",
            where=data,
            hint=hint,
        )


def trained_classes(model: Bundle, data: str) -> set[str]:
    """Class names that training used, where `data` has the same pictures: a folder as it was then,
    or another data set that shares them. Splits of one data set are disjoint by themselves.
    """
    trained = model.provenance.get("data", {})
    source = trained.get("source")
    if source == data:
        return set(trained.get("classes") or ())
    shared = source in DATASETS and data in DATASETS
    if not shared or DATASETS[source].folder != DATASETS[data].folder:
        return set()
    names = {field.name for field in fields(DATASETS[source].options)}
    options = {key: value for key, value in trained.items() if key in names}
    return set(load_pool(source, "train", options, cache_root()).classes)
