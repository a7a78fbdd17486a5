"""What is known of a data set before anything is read: the types of the registry's entries."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class Archive:
    """A file to download, and what must be in it.

    Args:
        name: the file's name, by which mirrors are searched.
        urls: official addresses, in the order to try.
        bytes: size of the official file.
        md5: of the official file; for information, since mirrors pack the same files anew.
        contents: SHA-256 of the lines `path SHA-256-of-the-file`, sorted by path, of all members.
        members: how many there are.
        unpacked: their bytes together.
        suffix: what a member's name ends in; other files are ignored.
        depth: how many parts of a member's path count, from its end.
        groups: the first parts of the members' paths, such as Omniglot's alphabets; they tell to
            which archive a file of an unpacked folder belongs.
        packing: `zip` of many members; `gzip` of one, named as the archive is without `.gz`; or
            `none`: the file itself.
        source: where the archive is from, said when it has no address to download it at.
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
    packing: Literal["zip", "gzip", "none"] = "zip"
    source: str = ""


@dataclass(frozen=True)
class DataSet:
    """What is known of a data set before anything is read.

    Args:
        kind: `images` and `text` have pools of classes, `waves` draws regressions, `tasks` are
            tables of many related tasks, `weights` are those of a backbone.
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
    kind: Literal["images", "text", "waves", "tasks", "weights"]
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
    name: str, urls: tuple[str, ...], size: int, md5: str, sha256: str, source: str = ""
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
