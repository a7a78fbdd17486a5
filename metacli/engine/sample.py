"""`sample`: one episode of a data set, or of a user's own classes, as plain files."""

from __future__ import annotations

from pathlib import Path

from metacli.data.catalogue.registry import DATASETS
from metacli.data.few_shot.episodes import ClassEpisodes
from metacli.data.few_shot.pools import Pool
from metacli.data.few_shot.user_regression import holds_regression_tasks
from metacli.data.sources import kind_of_tasks, load_pool
from metacli.engine.events import Progress, Reporter, ignore
from metacli.engine.results.sample import SampleResult
from metacli.engine.sampling.class_tasks import draw_class_task
from metacli.engine.sampling.folder import File, check_target, write
from metacli.engine.sampling.images import files, folder_names
from metacli.engine.sampling.rows import Drawn, draw_numbers, draw_rows
from metacli.engine.sampling.sets import SETS, draw_set
from metacli.engine.storage.paths import cache_root
from metacli.errors import DataError


def sample(
    data: str | Path,
    out: str | Path,
    *,
    way: int = 5,
    shot: int = 5,
    query: int = 5,
    split: str = "test",
    seed: int = 0,
    force: bool = False,
    report: Reporter = ignore,
) -> SampleResult:
    """Write `out/support/<class>/NN.png` and `out/query/<class>/NN.png`, all of it or nothing; of
    texts, tables and classification tasks `support.csv` and `query.csv`; of `functions` a set of
    tasks, `set.csv`, and other rows of it, `later.csv`.

    The images keep the size that they have in the data set; those of a user's own folder the size
    that they have there. Of a data set it is the first episode that `evaluate` draws with the same
    way, shot, query, split and seed.

    Args:
        data: a data set, or a folder of class folders.
        shot: support examples per class; `query`: queries per class.
        force: replace a folder that `sample` wrote and that holds nothing else.

    Raises:
        DataError: no such data, not fetched yet, no images, too few classes or examples.
        BundleError: `out` has content.
    """
    name, target = str(data), Path(out).absolute()
    check_target(target, str(out), force=force)
    if name == SETS and not Path(name).exists():
        return written(target, name, draw_set(shot, query, split, seed), split, seed)
    if has_class_tasks(name):
        task = draw_class_task(name, way, shot, query, split, seed)
        return written(target, name, task, split, seed)
    if has_number_tasks(name):
        return written(target, name, draw_numbers(name, shot, query, split, seed), split, seed)
    pool = pool_of(name, split, way, report)
    if pool.encoder is not None:
        rows = draw_rows(pool, way, shot, query, split, seed)
        return written(target, name, rows, split, seed)
    key = (seed, pool.digest, split, way, shot, query)
    drawn = ClassEpisodes(pool=pool, way=way, shot=shot, query=query, seed=key).members(0)
    names = folder_names([pool.classes[one] for one in drawn.classes])
    images = list(files(drawn, names, name, pool, report))
    write(target, images, mark_of(name, split, seed, pool.digest))
    return SampleResult(target, way, shot, query, tuple(sorted(names)), split, seed)


def written(target: Path, data: str, drawn: Drawn, split: str, seed: int) -> SampleResult:
    """The files of a task of rows, and what `sample` returns for it."""
    made = [File(name, content) for name, content in drawn.files.items()]
    write(target, made, mark_of(data, split, seed, drawn.digest))
    each = drawn.way or 1
    shot, query = drawn.shot // each, drawn.query // each
    return SampleResult(target, drawn.way, shot, query, tuple(drawn.names), split, seed)


def mark_of(data: str, split: str, seed: int, digest: str) -> dict[str, str | int]:
    """What is kept in the folder. Of a user's folder the name alone: the task may be given to
    somebody else."""
    name = data if data in DATASETS else Path(data).resolve().name
    return {"data": name, "split": split, "seed": seed, "digest": digest}


def has_class_tasks(data: str) -> bool:
    """Whether it is a named set of tasks with labels."""
    of_tasks = data in DATASETS and DATASETS[data].kind == "tasks"
    return of_tasks and kind_of_tasks(data, {}, cache_root()) == "classification"


def has_number_tasks(data: str) -> bool:
    """Whether it is a set of tasks with numbers to predict."""
    if data in DATASETS:
        return DATASETS[data].kind == "tasks"
    return holds_regression_tasks(data, {})


def pool_of(data: str, split: str, way: int, report: Reporter) -> Pool:
    """The classes to draw from. Raises DataError."""
    if data in DATASETS and DATASETS[data].kind not in ("images", "text"):
        raise DataError(
            f"{data} has no images or texts, so it cannot be written as files",
            code="data.no_pictures",
            where=data,
            hint="metacli fetch --list names the data sets",
        )
    options = {} if data in DATASETS else {"way": way}

    def progress(what: str, done: int, total: int | None) -> None:
        report(Progress(what, done, total))

    return load_pool(data, split, options, cache_root(), progress)
