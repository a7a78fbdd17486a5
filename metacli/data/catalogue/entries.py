"""What is known of a data set before anything is read: the types of the registry's entries."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from importlib.resources import files
from typing import Literal
from urllib.parse import quote


@dataclass(frozen=True)
class RawFile:
    """A member of an archive at an address of its own.

    Args:
        key: the last parts of its path, as the archive's members are called.
        sha256: of its content.
    """

    key: str
    url: str
    sha256: str


@dataclass(frozen=True)
class Archive:
    """A file to download, and what must be in it.

    Args:
        name: the file's name, by which mirrors are searched.
        urls: official addresses, in the order to try.
        bytes: size of the official file.
        md5: of the official file; for information, since mirrors pack the same files again.
        contents: SHA-256 of the lines `path SHA-256-of-the-file`, sorted by path, of all members.
        members: how many there are.
        unpacked: their bytes together.
        suffix: what a member's name ends in; other files are ignored.
        depth: how many parts of a member's path count, from its end.
        groups: the first parts of the members' paths, such as Omniglot's alphabets; they tell to
            which archive a file of an unpacked folder belongs.
        packing: `zip` of many members; `gzip` of one, named as the archive is without `.gz`;
            `none`: the file itself; `cifar`: the binary form of CIFAR-100.
        source: where the archive is from, said when it cannot be fetched.
        raw: its members one by one, where the public holds no archive of them.
        shipped: its file in `catalogue/lists`, where it is part of metacli.
        other: the same data as another file in another form, by the last resort.
    """

    name: str
    urls: tuple[str, ...]
    bytes: int
    md5: str
    contents: str
    members: int
    unpacked: int
    suffix: str
    depth: int
    groups: frozenset[str]
    packing: Literal["zip", "gzip", "none", "cifar"] = "zip"
    source: str = ""
    raw: tuple[RawFile, ...] = ()
    shipped: str = ""
    other: Archive | None = None

    @property
    def has_address(self) -> bool:
        """Whether `fetch` can bring it without a mirror."""
        return bool(self.urls or self.raw or self.shipped or self.other)


@dataclass(frozen=True)
class DataSet:
    """What is known of a data set before anything is read.

    Args:
        kind: `images` and `text` have pools of classes, `waves` draws regressions, `tables`
            generates unrelated tables, `tasks` are tables of many related tasks, `scenes` images
            with several truths for every pixel, `weights` are those of a backbone.
        loader: `module:function` of (split, options, cache, report) that gives a Pool; for waves
            the class of the source; for tasks of (options, cache, report) that gives a
            MultiTaskData.
        builder: `module:function` of (members, folder, options, report) that fills the cache
            folder; empty when there is nothing to keep.
        options: frozen dataclass that validates its fields.
        archives: what to download; none when the data are made here.
        splits: what the splits hold, in words.
        ink: images of dark strokes on light paper, which networks see inverted.
        shares: the data set whose cache this one reads: the same images in other splits.
    """

    name: str
    kind: Literal["images", "text", "waves", "tables", "tasks", "scenes", "weights"]
    loader: str
    builder: str
    options: type
    archives: tuple[Archive, ...]
    citation: str
    licence: str
    splits: str
    summary: str
    ink: bool = False
    shares: str = ""

    @property
    def folder(self) -> str:
        """Name of the cache folder."""
        return self.shares or self.name


def plain_archive(
    name: str,
    urls: tuple[str, ...],
    size: int,
    md5: str,
    sha256: str,
    source: str = "",
    shipped: str = "",
) -> Archive:
    """One file, kept as it is."""
    return Archive(
        name=name,
        urls=urls,
        bytes=size,
        md5=md5,
        contents=hashlib.sha256(f"{name} {sha256}\n".encode()).hexdigest(),
        members=1,
        unpacked=size,
        suffix=name[name.rindex(".") :],
        depth=1,
        groups=frozenset(),
        packing="none",
        source=source,
        shipped=shipped,
    )


def listed(name: str, base: str, depth: int, prefix: str = "") -> tuple[RawFile, ...]:
    """The files of a list in `catalogue/lists`, lines as `sha256sum` writes them.

    Args:
        base: of their addresses. depth: parts of a path that make the key.
        prefix: of a path that the addresses do not have.
    """
    text = files("metacli.data.catalogue.lists").joinpath(f"{name}.sha256").read_text("utf-8")
    found = []
    for line in text.splitlines():
        sha256, _, path = line.partition("  ")
        key = "/".join(path.split("/")[-depth:])
        found.append(RawFile(key, base + quote(path.removeprefix(prefix)), sha256))
    return tuple(found)


def zip_of(
    name: str, size: int, md5: str, raw: tuple[RawFile, ...], unpacked: int, depth: int, source: str
) -> Archive:
    """A zip that mirrors have, of files that the public holds one by one."""
    lines = "".join(f"{one.key} {one.sha256}\n" for one in sorted(raw, key=lambda one: one.key))
    return Archive(
        name=name,
        urls=(),
        bytes=size,
        md5=md5,
        contents=hashlib.sha256(lines.encode()).hexdigest(),
        members=len(raw),
        unpacked=unpacked,
        suffix="",
        depth=depth,
        groups=frozenset(one.key.partition("/")[0] for one in raw),
        source=source,
        raw=raw,
    )


def idx_archive(
    name: str, bases: tuple[str, ...], packed: int, md5: str, contents: str, unpacked: int
) -> Archive:
    """One IDX file, packed by gzip."""
    return Archive(
        name=f"{name}.gz",
        urls=tuple(f"{base}{name}.gz" for base in bases),
        bytes=packed,
        md5=md5,
        contents=contents,
        members=1,
        unpacked=unpacked,
        suffix="-ubyte",
        depth=1,
        groups=frozenset({name}),
        packing="gzip",
    )
