"""n-grams of words and of characters within words, and their signed hashes: those of scikit-learn's
`HashingVectorizer`, which takes over a second to import.

MurmurHash3 of 32 bits: A. Appleby, https://github.com/aappleby/smhasher, `MurmurHash3_x86_32`, with
seed 0; computed for all n-grams of as many bytes at once.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from scipy.sparse import csr_matrix

WORD = re.compile(r"(?u)\b\w\w+\b")
BLANKS = re.compile(r"\s\s+")
FIRST, SECOND = np.uint32(0xCC9E2D51), np.uint32(0x1B873593)

Analyse = Callable[[str, tuple[int, int]], Iterator[str]]
"""(text, from n to n) -> its n-grams."""


def words(text: str, span: tuple[int, int]) -> Iterator[str]:
    """n-grams of words of two letters or more, in small letters."""
    found = WORD.findall(text.lower())
    for n in range(span[0], span[1] + 1):
        for start in range(len(found) - n + 1):
            yield " ".join(found[start : start + n])


def characters(text: str, span: tuple[int, int]) -> Iterator[str]:
    """n-grams within words, each with a blank before and after it; a word that is shorter than n is
    one by itself, once."""
    for word in BLANKS.sub(" ", text.lower()).split():
        padded = f" {word} "
        for n in range(span[0], span[1] + 1):
            yield padded[:n]
            for start in range(1, len(padded) - n + 1):
                yield padded[start : start + n]
            if len(padded) <= n:
                break


def counted(texts: Sequence[str], analyse: Analyse, span: tuple[int, int], size: int) -> csr_matrix:
    """How often each of `size` features is in each text, with the sign of its hash: [M, size]."""
    from scipy.sparse import csr_matrix

    places: dict[str, int] = {}
    numbers, ends = list[int](), [0]
    for text in texts:
        numbers += [places.setdefault(one, len(places)) for one in analyse(text, span)]
        ends.append(len(numbers))
    hashes = murmur(list(places))
    columns = np.abs(hashes.astype(np.int64)) % size
    signs = np.where(hashes >= 0, 1.0, -1.0)
    at = np.array(numbers, np.int64)
    made = csr_matrix((signs[at], columns[at], np.array(ends)), shape=(len(texts), size))
    made.sum_duplicates()
    return made


def murmur(texts: Sequence[str]) -> np.ndarray:
    """The hash of each text as UTF-8, int32."""
    found = np.zeros(len(texts), np.uint32)
    coded = [one.encode() for one in texts]
    alike: defaultdict[int, list[int]] = defaultdict(list)
    for number, one in enumerate(coded):
        alike[len(one)].append(number)
    for length, at in alike.items():
        whole = np.frombuffer(b"".join(coded[number] for number in at), np.uint8)
        found[at] = murmur_of(whole.reshape(len(at), length))
    return found.view(np.int32)


def murmur_of(rows: np.ndarray) -> np.ndarray:
    """Of uint8 [M, bytes]: uint32 [M]."""
    count, length = rows.shape
    found = np.zeros(count, np.uint32)
    blocks = np.ascontiguousarray(rows[:, : length // 4 * 4]).view("<u4")
    for number in range(length // 4):
        found ^= mixed(blocks[:, number])
        found = turned(found, 13) * np.uint32(5) + np.uint32(0xE6546B64)
    if length % 4:
        rest = np.zeros((count, 4), np.uint8)
        rest[:, : length % 4] = rows[:, length // 4 * 4 :]
        found ^= mixed(rest.view("<u4")[:, 0])
    found ^= np.uint32(length)
    for shift, factor in ((16, 0x85EBCA6B), (13, 0xC2B2AE35)):
        found ^= found >> np.uint32(shift)
        found = found * np.uint32(factor)
    return found ^ (found >> np.uint32(16))


def mixed(block: np.ndarray) -> np.ndarray:
    return turned(block.astype(np.uint32) * FIRST, 15) * SECOND


def turned(values: np.ndarray, by: int) -> np.ndarray:
    """Bits to the left, those that fall out on the right again."""
    return (values << np.uint32(by)) | (values >> np.uint32(32 - by))
