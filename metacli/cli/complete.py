"""What the shell offers after TAB. No torch: it has to answer while the user waits."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

_RUNS = Path("runs")
TABLES = (".csv", ".tsv", ".jsonl", ".parquet", ".txt", ".yaml")
DATA_SETS = (  # the registry's names, without its imports
    *("glyphs", "omniglot", "cifar-fs", "fc100", "mnist", "kannada-mnist", "sinusoid"),
    "generated-tables",
    *("flowers12", "fsdd", "fsdd-speakers"),
    *("clinc150", "hwu64", "texts"),
    *("school", "landmine", "sarcos", "computer-buyers", "adult", "fdu-mtl"),
    *("grasps", "heart", "tox21", "sider"),
    *("task-families", "scenes"),
    "omniglot-alphabets",
    *("resnet18", "resnet34", "resnet50"),
)


def recipes(incomplete: str) -> list[str]:
    """Shipped recipes by name."""
    from metacli.schema.load import shipped

    return _starting(incomplete, (name for name, _ in shipped()))


def trainings(incomplete: str) -> list[str]:
    """Recipes, data sets and paths; after the first word, the keys of a recipe."""
    if "." in incomplete and "/" not in incomplete:
        return keys(incomplete)
    return [*recipes(incomplete), *keys(incomplete), *paths(incomplete)]


def keys(incomplete: str) -> list[str]:
    """Dotted keys of a recipe with the `=` that they need, such as `train.lr=`."""
    from metacli.schema.recipe import valid_keys

    return _starting(incomplete, (f"{key}=" for key in valid_keys() if "." in key))


def paths(incomplete: str) -> list[str]:
    """Folders (with a slash) and tables below what was typed."""
    folder = Path(incomplete) if incomplete.endswith("/") else Path(incomplete).parent
    try:
        found = sorted(folder.iterdir())
    except OSError:
        return []
    shown = [f"{path}/" for path in found if path.is_dir() and not path.name.startswith(".")]
    shown += [str(path) for path in found if path.suffix.lower() in TABLES]
    return _starting(incomplete, shown)


def sources_and_tasks(incomplete: str) -> list[str]:
    """What `adapt` takes: models, then a folder or table of examples."""
    return [*dict.fromkeys([*models(incomplete), *paths(incomplete)])]


def evaluated(incomplete: str) -> list[str]:
    """What `evaluate` measures on: data sets and paths."""
    return [*data_sets(incomplete), *paths(incomplete)]


def data_sets(incomplete: str) -> list[str]:
    """Data sets that metacli can build or fetch."""
    return _starting(incomplete, DATA_SETS)


def models(incomplete: str) -> list[str]:
    """`@last`, models and runs that lie here, and those under ./runs, newest first."""
    return _starting(incomplete, ["@last", "@model", *map(str, _here()), *map(str, _below_runs())])


def runs(incomplete: str) -> list[str]:
    """The training runs under ./runs, newest first, for `--resume`."""
    return _starting(
        incomplete, (str(run) for run in _below_runs() if run.parent.parent.name != "adapted")
    )


def devices(incomplete: str) -> list[str]:
    """The kinds of device; which of them exist only torch could say."""
    return _starting(incomplete, ["auto", "cpu", "cuda", "cuda:0", "mps"])


def trackers(incomplete: str) -> list[str]:
    """The names that `--track` takes."""
    return _starting(incomplete, ["tensorboard", "mlflow"])


def _here() -> list[Path]:
    """What `-o` made in the current folder."""
    try:
        return sorted(folder for folder in Path().iterdir() if _is_ours(folder))
    except OSError:
        return []


def _is_ours(folder: Path) -> bool:
    return any((folder / name).is_file() for name in ("run.json", "model.json"))


def _below_runs() -> list[Path]:
    try:
        return sorted(_run_folders(), key=lambda folder: folder.name, reverse=True)
    except OSError:
        return []


def _run_folders() -> Iterator[Path]:
    for found in (_RUNS.glob("*/*"), _RUNS.glob("adapted/*/*")):
        for folder in found:
            if _is_ours(folder):
                yield folder


def _starting(incomplete: str, names: Iterable[str]) -> list[str]:
    return [name for name in names if name.startswith(incomplete)]
