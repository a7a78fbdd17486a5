"""Texts as sets of tasks. A text is kept as the places and weights of its n-grams, and spread to
all features only in the network, since nearly all of them are zero.

Letters: M texts, F features, L n-grams that are kept of a text.
"""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np

from metacli.data.multi_task.dataset import MultiTaskData
from metacli.data.multi_task.read_as import TextColumns
from metacli.data.multi_task.splits import divide_rows
from metacli.data.tables.text import HashedText

if TYPE_CHECKING:
    from scipy.sparse import csr_matrix

MOST = 512  # n-grams of a text that are kept: those with the largest weights


def text_set(table: MultiTaskData, encoder: HashedText, seed: int) -> MultiTaskData:
    """The table with its texts encoded; the weights of n-grams are those of training rows."""
    parts = divide_rows(table, seed)
    ends = np.cumsum([0, *map(len, table.texts)])
    counts = counted(encoder, table.texts)
    learned = np.concatenate([a + rows for a, rows in zip(ends, parts["train"], strict=False)])
    fitted = encoder.fit_counts([one[learned] for one in counts])
    x = packed(fitted.weigh(counts))
    return replace(
        table,
        x=tuple(np.split(x, ends[1:-1])),
        levels=(0.0, 1.0),
        packed=fitted.width,
        read=TextColumns(fitted),
    )


@lru_cache(maxsize=1)  # a run, its evaluation and its baselines read the same texts
def counted(encoder: HashedText, texts: tuple[tuple[str, ...], ...]) -> list[csr_matrix]:
    return encoder.counts([text for one in texts for text in one])


def packed(matrix: csr_matrix) -> np.ndarray:
    """Sparse rows [M, F] as float32 [M, 2 L]: L places, then the weight at each; 0 where a text has
    fewer."""
    found = np.zeros((matrix.shape[0], 2 * MOST), np.float32)
    for row in range(matrix.shape[0]):
        here = slice(matrix.indptr[row], matrix.indptr[row + 1])
        places, weights = matrix.indices[here], matrix.data[here]
        if len(places) > MOST:
            kept = np.sort(np.argsort(-np.abs(weights), kind="stable")[:MOST])
            places, weights = places[kept], weights[kept]
        found[row, : len(places)] = places
        found[row, MOST : MOST + len(places)] = weights
    return found


def folded(table: MultiTaskData, columns: int) -> MultiTaskData:
    """The table as it is, or with its packed texts as numbers [n_t, columns]: each place is hashed
    once more, with a sign, which keeps inner products on average (K. Weinberger et al., "Feature
    hashing for large scale multitask learning", ICML 2009)."""
    if not table.packed:
        return table
    x = tuple(fold(rows, columns) for rows in table.x)
    return replace(table, x=x, packed=0, levels=None)


def fold(rows: np.ndarray, columns: int) -> np.ndarray:
    """Packed rows [M, 2 L] to [M, columns]. Places are hashes already: what is left of one beside
    its column gives the sign."""
    found = np.zeros((len(rows), columns), np.float32)
    places, weights = np.split(rows, 2, axis=1)
    place = places.astype(np.int64)
    signed = weights * (1 - 2 * (place // columns & 1))
    np.add.at(found, (np.arange(len(rows))[:, None], place % columns), signed)
    return found
