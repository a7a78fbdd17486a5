"""Columns of molecules and of texts inside a table, as numbers.

A molecule is written as SMILES (D. Weininger, J. Chem. Inf. Comput. Sci. 28 (1988) 31-36). With
RDKit (the extra [molecules]) it becomes a Morgan fingerprint: bit h(a, r) mod B is 1 where h is the
hash of the neighbourhood of radius r = 0..2 of any atom a (D. Rogers, M. Hahn, "Extended-
connectivity fingerprints", J. Chem. Inf. Model. 50 (2010) 742-754). Without it, hashed n-grams of
one to four characters of the SMILES, weighted and of length 1.

Letters: M rows, B bits, F features.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from importlib.util import find_spec
from typing import TYPE_CHECKING

import numpy as np

from metacli.data.files import shown
from metacli.data.plain import Plain, Record, numbers_in, text_in, whole_in
from metacli.data.tables.reader import Table
from metacli.data.tables.text import HashedText
from metacli.errors import DataError, EnvironmentProblem, Finding, first_names

if TYPE_CHECKING:
    from scipy.sparse import csr_matrix

NAMED = re.compile(r"(?i:(.*[_\W])?smiles([_\W].*)?)")
BITS, RADIUS = 2048, 2
GRAMS = (1, 4)  # characters
FEATURES = 2048  # of hashed n-grams
EXTRA = "rdkit"
LISTED = 20  # molecules that are named
MOST_BITS, MOST_RADIUS = 2**20, 16  # of what a model may claim


def is_molecules(name: str) -> bool:
    """Whether a column is called as SMILES are: smiles, SMILES, canonical_smiles."""
    return NAMED.fullmatch(name.strip()) is not None


def has_rdkit() -> bool:
    return find_spec(EXTRA) is not None


@dataclass(frozen=True)
class Fingerprint:
    """B bits of a molecule.

    Args:
        bits: B. radius: bonds from an atom.
    """

    name: str
    bits: int = BITS
    radius: int = RADIUS

    @property
    def width(self) -> int:
        return self.bits

    @property
    def titles(self) -> tuple[str, ...]:
        """A name for each number."""
        return tuple(f"{self.name}: bit {number}" for number in range(self.bits))

    def encode(self, table: Table) -> np.ndarray:
        """float32 [M, B]. Raises DataError: a molecule that cannot be read."""
        found = fingerprints(tuple(table.words(self.name)), self.bits, self.radius)
        if len(found.broken):
            what = "is a SMILES that RDKit cannot read"
            raise table.cell_error(what, found.broken[0], self.name, "table.molecule")
        return found.x.astype(np.float32)

    def as_dict(self) -> dict[str, Plain]:
        said = {"kind": "fingerprint", "name": self.name}
        return {**said, "bits": self.bits, "radius": self.radius}

    @classmethod
    def from_dict(cls, value: Record) -> Fingerprint:
        """Raises ValueError: not what `as_dict` gives."""
        bits, radius = whole_in(value, "bits"), whole_in(value, "radius")
        if not (1 <= bits <= MOST_BITS and 0 <= radius <= MOST_RADIUS):
            raise ValueError(f"{bits} bits of radius {radius}")
        return cls(text_in(value, "name"), bits, radius)


@dataclass(frozen=True)
class TextCells:
    """Hashed n-grams of a column of texts, F = `reader.width`."""

    name: str
    reader: HashedText

    @property
    def width(self) -> int:
        return self.reader.width

    @property
    def titles(self) -> tuple[str, ...]:
        """A name for each number."""
        return tuple(f"{self.name}: n-grams {number}" for number in range(self.width))

    def encode(self, table: Table) -> np.ndarray:
        """float32 [M, F]; an empty cell is all zeros."""
        texts = [cell or "" for cell in table.words(self.name)]
        found: np.ndarray = self.reader.encode(texts).toarray()
        return found

    def as_dict(self) -> dict[str, Plain]:
        return {"kind": "text", "name": self.name, "reader": self.reader.as_dict()}

    @classmethod
    def from_dict(cls, value: Record) -> TextCells:
        reader = value.get("reader")
        if not isinstance(reader, Mapping):
            raise ValueError(f"reader is {reader!r}; wanted how texts are read")
        return cls(text_in(value, "name"), HashedText.from_dict(reader))


@dataclass(frozen=True)
class Letters:
    """Hashed n-grams of the characters of SMILES, in which capitals are other atoms than small
    letters.

    Args:
        idf: [F] weights, smoothed inverse document frequencies of the molecules learned from.
    """

    name: str
    features: int = FEATURES
    idf: tuple[float, ...] = ()

    @property
    def width(self) -> int:
        return self.features

    @property
    def titles(self) -> tuple[str, ...]:
        """A name for each number."""
        return tuple(f"{self.name}: n-grams {number}" for number in range(self.features))

    def counts(self, table: Table) -> csr_matrix:
        from sklearn.feature_extraction.text import HashingVectorizer  # slow to import

        common = {"n_features": self.features, "norm": None, "lowercase": False}
        reader = HashingVectorizer(analyzer="char", ngram_range=GRAMS, **common)
        return reader.transform([cell or "" for cell in table.words(self.name)])

    def fit(self, tables: Sequence[Table]) -> Letters:
        """With the weights of these molecules, log((1 + M) / (1 + df)) + 1."""
        counts = [self.counts(one) for one in tables]
        found = sum((np.asarray((one != 0).sum(0)).ravel() for one in counts), np.zeros(1))
        idf = np.log((1 + sum(one.shape[0] for one in counts)) / (1 + found)) + 1
        return replace(self, idf=tuple(np.round(idf / idf.max(), 4).tolist()))

    def encode(self, table: Table) -> np.ndarray:
        """float32 [M, F] of length 1; all zeros for an empty cell."""
        weighed = self.counts(table).toarray() * np.array(self.idf)
        length = np.linalg.norm(weighed, axis=1, keepdims=True)
        found: np.ndarray = (weighed / np.maximum(length, 1e-12)).astype(np.float32)
        return found

    def as_dict(self) -> dict[str, Plain]:
        said = {"kind": "letters", "name": self.name}
        return {**said, "features": self.features, "idf": list(self.idf)}

    @classmethod
    def from_dict(cls, value: Record) -> Letters:
        """Raises ValueError: not what `as_dict` gives."""
        features, idf = whole_in(value, "features"), numbers_in(value, "idf")
        if not 1 <= features <= MOST_BITS or (idf and len(idf) != features):
            raise ValueError(f"{len(idf)} weights of {features} features")
        return cls(text_in(value, "name"), features, idf)


Wide = Fingerprint | Letters | TextCells


def fit_molecules(name: str, tables: Sequence[Table]) -> Fingerprint | Letters:
    """Fingerprints where RDKit is installed, else n-grams of characters."""
    return Fingerprint(name) if has_rdkit() else Letters(name).fit(tables)


def fit_texts(name: str, tables: Sequence[Table]) -> TextCells:
    """n-grams of words and of characters, as texts by themselves are read, with the weights of all
    texts of the tables."""
    texts = [cell or "" for table in tables for cell in table.words(name)]
    return TextCells(name, HashedText(2 * FEATURES).fit(texts))


@dataclass(frozen=True)
class Read:
    """uint8 [M, B], and the rows whose molecule could not be read."""

    x: np.ndarray
    broken: tuple[int, ...]


def fingerprints(smiles: Sequence[str | None], bits: int = BITS, radius: int = RADIUS) -> Read:
    """Fingerprints; a molecule that is missing or cannot be read is all zeros.

    Raises:
        EnvironmentProblem: RDKit is not installed.
    """
    if not has_rdkit():
        raise EnvironmentProblem(
            "fingerprints of molecules need RDKit, which is not installed",
            code="environment.extra",
            hint="pip install 'metacli[molecules]'",
        )
    from rdkit import rdBase  # optional, slow to import

    x, broken = np.zeros((len(smiles), bits), np.uint8), []
    with rdBase.BlockLogs():  # it writes to the terminal; what it cannot read is named by us
        for row, one in enumerate(smiles):
            found = fingerprint(one, bits, radius) if one else None
            if found is None:
                broken.append(row)
            else:
                x[row] = np.unpackbits(np.frombuffer(found, np.uint8), count=bits)
    return Read(x, tuple(broken))


@lru_cache(maxsize=50_000)  # read once to find what is broken, and once to learn from: 20 MB
def fingerprint(smiles: str, bits: int, radius: int) -> bytes | None:
    """The bits of one molecule, eight a byte; None: it cannot be read."""
    from rdkit import Chem
    from rdkit.Chem import rdFingerprintGenerator

    molecule = Chem.MolFromSmiles(smiles)
    if molecule is None or molecule.GetNumAtoms() == 0:
        return None
    make = rdFingerprintGenerator.GetMorganGenerator(radius=radius, fpSize=bits)
    return bytes(np.packbits(make.GetFingerprintAsNumPy(molecule)))


def broken_rows(table: Table, names: Sequence[str]) -> list[tuple[int, str]]:
    """Rows whose molecule is missing or cannot be read, and the column, by row."""
    found: dict[int, str] = {}
    for name in names:
        cells = table.words(name)
        if has_rdkit():
            rows: Sequence[int] = fingerprints(tuple(cells)).broken
        else:
            rows = [row for row, cell in enumerate(cells) if cell is None]
        for row in rows:
            found.setdefault(row, name)
    return sorted(found.items())


def without_broken(table: Table, names: Sequence[str]) -> tuple[Table, tuple[Finding, ...]]:
    """The table without the rows whose molecules cannot be read, and a warning that names them.

    Raises:
        DataError: none is left.
    """
    rows = broken_rows(table, names)
    if not rows:
        return table, ()
    if len(rows) == len(table):
        what = "holds no molecule that can be read as SMILES"
        raise table.column_error(rows[0][1], what, "table.molecules")
    cells = {name: table.words(name) for name in names}
    listed = [
        f"row {table.number_of(row)} ({shown((cells[n][row] or 'empty')[:40])})" for row, n in rows
    ]
    message = (
        f"{len(rows)} of {len(table)} molecules of {table.name} cannot be read and are left out: "
        f"{first_names(listed, LISTED)}"
    )
    gone = {row for row, _ in rows}
    kept = table.rows([row for row in range(len(table)) if row not in gone])
    return kept, (Finding("warning", "table.molecule", message, table.name),)


def how_read(names: Sequence[str]) -> tuple[str, ...]:
    """What is said of columns of molecules."""
    if not names:
        return ()
    what = (
        "Morgan fingerprints"
        if has_rdkit()
        else ("n-grams of characters; pip install 'metacli[molecules]' reads fingerprints")
    )
    return (f"{', '.join(map(shown, names))} = molecules, as {what}",)


def refuse_export(name: str) -> DataError:
    """Fingerprints and n-grams are made by programs that no exported file holds."""
    return DataError(
        f"column {shown(name)} holds molecules or texts beside other columns, which no exported "
        "file can read",
        code="export.cells",
        hint="metacli predict reads it; a table of numbers and words, or of texts alone, exports",
    )
