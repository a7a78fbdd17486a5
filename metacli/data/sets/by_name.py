"""Sets of classification tasks by name: which classes a set is drawn from, and how its tasks are
related."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, NamedTuple

from metacli.data.cache.store import Report, fetched, silent
from metacli.data.catalogue.glyphs import GlyphOptions
from metacli.data.catalogue.glyphs import pool as glyph_pool
from metacli.data.catalogue.intents import ClincOptions, clinc150, clinc_domains
from metacli.data.catalogue.omniglot import OmniglotOptions
from metacli.data.catalogue.omniglot import pool as omniglot_pool
from metacli.data.catalogue.spoken_digits import FOLDER, PAIRS, check_size, chosen
from metacli.data.few_shot.pools import Pool, check_split, fitted, make_pool
from metacli.data.sets.assays import AssaySets, sider_sets, tox21_sets
from metacli.data.sets.classes import ClassGroups, ClassTask, digest_of
from metacli.errors import DataError


@dataclass(frozen=True)
class CharacterSets:
    """Sets of characters. Of Omniglot's alphabets 25 of the background set are to learn from, 5 to
    validate on, and the 20 of the evaluation set are test; of the glyphs' 38, 10 and 12.

    Args:
        variant: styles: the same N characters in T styles (rotation, inversion, width of strokes,
            noise); alphabets: T disjoint N-way problems of one alphabet.
    """

    variant: Literal["styles", "alphabets"] = "styles"


@dataclass(frozen=True)
class SpeakerSets:
    """Sets of speakers of FSDD who say the same digits. Fold f tests two speakers and five digits
    that it did not learn from; validation has a speaker that is held out, beside those of training.

    Args:
        fold: 1 to 15. size: height and width of the log-mel images.
    """

    fold: int = 1
    size: int = 28

    def __post_init__(self) -> None:
        if not 1 <= self.fold <= len(PAIRS):
            raise DataError(f"fsdd: fold is 1 to {len(PAIRS)}, found {self.fold}")
        check_size(self.size)


@dataclass(frozen=True)
class DomainSets:
    """Sets of CLINC150: T disjoint N-way problems of the intents of one domain. Six domains to
    learn from, two to validate on, two as test.

    Args:
        fold: 1 to 5. encoder: of texts: `hashed`, `tokens` for the backbone `words`, or
        `sentence:NAME_OR_FOLDER`. features: of `hashed`.
    """

    fold: int = 1
    encoder: str = "hashed"
    features: int = 2048


ClassOptions = CharacterSets | SpeakerSets | DomainSets | AssaySets


class NamedSets(NamedTuple):
    """A source of sets of classifications: its options, and what makes its classes of a split."""

    options: type[ClassOptions]
    load: Callable[..., ClassGroups]
    summary: str


def omniglot_sets(
    split: str, options: CharacterSets, cache: Path, report: Report = silent
) -> ClassGroups:
    """Raises DataError: not fetched yet, a damaged cache, or an unknown split."""
    return character_sets(
        omniglot_pool(split, OmniglotOptions("background"), cache, report), options
    )


def glyph_sets(
    split: str, options: CharacterSets, cache: Path, report: Report = silent
) -> ClassGroups:
    """Raises DataError: a damaged cache, or an unknown split."""
    return character_sets(glyph_pool(split, GlyphOptions(), cache, report), options)


def character_sets(pool: Pool, options: CharacterSets) -> ClassGroups:
    """Characters `alphabet/character` in styles or by alphabet."""
    if options.variant == "styles":
        groups: tuple[tuple[ClassTask, ...], ...] = (
            (ClassTask("characters", pool.classes, pool.rows),),
        )
        return grouped(pool, groups, "styles", options.variant, ink=True)
    alphabets = by_group(pool, [name.partition("/")[0] for name in pool.classes])
    return grouped(pool, alphabets, "divided", options.variant, ink=True)


def by_group(pool: Pool, groups: list[str]) -> tuple[tuple[ClassTask, ...], ...]:
    """A group of one task for each name, groups by name."""
    found = []
    for group in sorted(set(groups)):
        members = [c for c, name in enumerate(groups) if name == group]
        classes = tuple(pool.classes[c] for c in members)
        found.append((ClassTask(group, classes, tuple(pool.rows[c] for c in members)),))
    return tuple(found)


def grouped(
    pool: Pool,
    groups: tuple[tuple[ClassTask, ...], ...],
    relation: Literal["tasks", "divided", "styles"],
    variant: str,
    *,
    ink: bool,
    focus: bool = False,
) -> ClassGroups:
    """The classes of a pool in groups."""
    return ClassGroups(
        pool.name,
        pool.split,
        pool.store,
        groups,
        relation,
        relation != "divided",
        digest_of([pool.digest, relation, variant, focus], groups),
        ink=ink,
        focus=focus,
    )


def speaker_sets(
    split: str, options: SpeakerSets, cache: Path, report: Report = silent
) -> ClassGroups:
    """A task per speaker. Raises DataError: not fetched yet, or an unknown split."""
    check_split(split, "fsdd")
    stored = fetched(cache / FOLDER, "fsdd")
    rows = {one.name: one.rows for one in stored.groups}
    speakers, digits = chosen(split, options.fold)
    beside = chosen("train", options.fold)[0] if split == "val" else ()
    names = [f"{one}/{digit}" for one in (*speakers, *beside) for digit in sorted(digits)]
    whole = make_pool(
        name="fsdd",
        split=split,
        scheme=f"sets, fold {options.fold}",
        classes=names,
        rows=[rows[name] for name in names],
        store=stored.images,
        contents=stored.contents,
    )
    pool = fitted(whole, (1, options.size, options.size))
    tasks, way = [], len(digits)
    for number, speaker in enumerate((*speakers, *beside)):
        here = slice(number * way, (number + 1) * way)
        tasks.append(ClassTask(speaker, tuple(sorted(digits)), pool.rows[here]))
    return grouped(pool, (tuple(tasks),), "tasks", "speakers", ink=False, focus=split == "val")


def domain_sets(
    split: str, options: DomainSets, cache: Path, report: Report = silent
) -> ClassGroups:
    """A group per domain. Raises DataError: not fetched yet, or an unknown split."""
    said = ClincOptions(options.fold, options.encoder, options.features, "domains")
    pool = clinc150(split, said, cache, report)
    domain = clinc_domains(cache)
    groups = by_group(pool, [domain[name] for name in pool.classes])
    return grouped(pool, groups, "divided", "domains", ink=False)


CLASS_SETS: Mapping[str, NamedSets] = {
    "glyphs": NamedSets(CharacterSets, glyph_sets, "invented characters; nothing to download"),
    "omniglot": NamedSets(
        CharacterSets, omniglot_sets, "characters in styles, or problems of one alphabet"
    ),
    "fsdd": NamedSets(SpeakerSets, speaker_sets, "speakers who say the same digits"),
    "tox21": NamedSets(AssaySets, tox21_sets, "assays of the same molecules"),
    "sider": NamedSets(AssaySets, sider_sets, "side effects of the same drugs"),
    "clinc150": NamedSets(DomainSets, domain_sets, "problems of the intents of one domain"),
}
