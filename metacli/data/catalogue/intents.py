"""CLINC150 and HWU64: short requests to an assistant and what is meant by them; a class per intent.

S. Larson et al., "An evaluation dataset for intent classification and out-of-scope prediction",
EMNLP 2019 (CLINC150). X. Liu, A. Eshghi, P. Swietojanski, V. Rieser, "Benchmarking natural language
understanding services for building conversational agents", IWSDS 2019 (HWU64). The five folds
of the intents are those of T. Dopierre, C. Gravier, W. Logerais, "ProtAugment", ACL 2021.

All lines of an intent are its examples, whichever part of the files they stand in. Five texts of
CLINC150 occur twice in the file; the second is left out.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from metacli.data.cache.kept_files import read_file, read_members
from metacli.data.cache.store import Report, silent
from metacli.data.few_shot.pools import Pool, check_split, make_pool
from metacli.data.tables.coded import coded, fitted_encoder
from metacli.data.tables.text import text_encoder
from metacli.errors import DataError

FOLDS = 5
PARTS = {"train": "train", "val": "valid", "test": "test"}


@dataclass(frozen=True)
class IntentOptions:
    """Options of HWU64.

    Args:
        fold: which of the five published splits of the intents.
        encoder: `hashed`, or `sentence:NAME_OR_FOLDER` with the extra [text].
        features: of `hashed`.
    """

    fold: int = 1
    encoder: str = "hashed"
    features: int = 8192

    def __post_init__(self) -> None:
        if not 1 <= self.fold <= FOLDS:
            raise DataError(f"fold is {self.fold}; wanted 1 to {FOLDS}", code="data.option_value")
        text_encoder(self.encoder, self.features)


@dataclass(frozen=True)
class ClincOptions(IntentOptions):
    """Options of CLINC150.

    Args:
        scheme: `intents`: the published folds, where train and test share their domains; or
            `domains`: whole domains, 6 train, 2 val, 2 test, each domain tested in one fold.
    """

    scheme: str = "intents"

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.scheme not in ("intents", "domains"):
            message = f"scheme is {self.scheme!r}; wanted intents or domains"
            raise DataError(message, code="data.option_value")


def clinc150(split: str, options: ClincOptions, cache: Path, report: Report = silent) -> Pool:
    """The intents of a split of CLINC150. Raises DataError: not fetched yet, or damaged."""
    check_split(split, "clinc150")
    read = lambda file: read_file(cache, "clinc150", file)  # noqa: E731
    lines = kept_lines("clinc150", cache)
    classes = {one: clinc_classes(one, options, read) for one in ("train", split)}
    return _pool("clinc150", split, options.scheme, options, lines, classes)


def clinc_classes(split: str, options: ClincOptions, read: Callable[[str], bytes]) -> list[str]:
    """Intents of a split."""
    if options.scheme == "intents":
        folds = json.loads(read("class_splits.json"))
        return sorted(folds[f"{options.fold:02}"][PARTS[split]])
    domains = json.loads(read("domains.json"))
    names = sorted(domains)
    turned = names[2 * (options.fold - 1) :] + names[: 2 * (options.fold - 1)]
    part = {"test": turned[:2], "val": turned[2:4], "train": turned[4:]}[split]
    return sorted(intent for one in part for intent in domains[one])


def clinc_domains(cache: Path) -> dict[str, str]:
    """The domain of each intent of CLINC150."""
    domains = json.loads(read_file(cache, "clinc150", "domains.json"))
    return {intent: name for name, intents in domains.items() for intent in intents}


def out_of_scope(cache: Path) -> dict[str, list[str]]:
    """The requests of CLINC150 that mean none of its intents: train, val and test."""
    whole = json.loads(read_file(cache, "clinc150", "data_full.json"))
    return {part: [text for text, _ in whole[f"oos_{part}"]] for part in ("train", "val", "test")}


def kept_lines(name: str, cache: Path) -> list[tuple[str, str]]:
    """(text, intent) of every line of CLINC150 or HWU64, each text once."""
    if name == "clinc150":
        whole = json.loads(read_file(cache, name, "data_full.json"))
        return unique(
            [(text, label) for part in ("train", "val", "test") for text, label in whole[part]]
        )
    found: list[tuple[str, str]] = []
    members = read_members(cache, name, "hwu64.zip")
    for part in ("train", "valid", "test"):
        texts, labels = (
            members[f"HWU64/{part}/{file}"].decode("utf-8").split("\n")
            for file in ("seq.in", "label")
        )
        found += [(a, b) for a, b in zip(texts, labels, strict=True) if a]
    return unique(found)


def unique(lines: Sequence[tuple[str, str]]) -> list[tuple[str, str]]:
    """The first line of each text, in their order."""
    first: dict[str, str] = {}
    for text, label in lines:
        first.setdefault(text.strip(), label.strip())
    return list(first.items())


def hwu64(split: str, options: IntentOptions, cache: Path, report: Report = silent) -> Pool:
    """The intents of a split of HWU64. Raises DataError: not fetched yet, or damaged."""
    check_split(split, "hwu64")
    lines = kept_lines("hwu64", cache)
    folds = json.loads(read_file(cache, "hwu64", "class_splits.json"))
    chosen = folds[f"{options.fold:02}"]
    classes = {one: sorted(chosen[PARTS[one]]) for one in ("train", split)}
    return _pool("hwu64", split, None, options, lines, classes)


def _pool(
    name: str,
    split: str,
    scheme: str | None,
    options: IntentOptions,
    lines: Sequence[tuple[str, str]],
    classes: Mapping[str, list[str]],
) -> Pool:
    """The encoder is fitted to the texts of the training classes, whichever split is asked for."""
    of: dict[str, list[str]] = {}
    for text, label in lines:
        of.setdefault(label, []).append(text)
    learned = [text for one in classes["train"] for text in of[one]]
    encoder = fitted_encoder(options.encoder, options.features, tuple(learned))
    names = classes[split]
    texts = tuple(text for one in names for text in of[one])
    ends = np.cumsum([len(of[one]) for one in names])
    return make_pool(
        name=name,
        split=split,
        scheme=scheme,
        classes=names,
        rows=[np.arange(end - len(of[one]), end) for one, end in zip(names, ends, strict=True)],
        store=coded(texts, encoder),
        contents=hashlib.sha256("\n".join(texts).encode()).hexdigest(),
    )
