"""One line of the table of algorithms, and how its class is found."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib import import_module
from typing import TYPE_CHECKING, Literal

from metacli.errors import PluginError
from metacli.plugins import load

if TYPE_CHECKING:  # with torch, which this table does without
    from metacli.algorithms.learner import Adapter

BASES: dict[str, tuple[str, ...]] = {
    "meta": ("Learner",),
    "multitask": ("Weighting", "Surgery"),
}
Family = Literal["meta", "multitask", "meta-multitask", "transfer"]
FieldValue = bool | int | float | str | tuple[str, ...] | None


@dataclass(frozen=True)
class Entry:
    """One line of the table: `module` is below `metacli.algorithms`."""

    family: Family
    module: str
    cls: str
    summary: str
    preset: Mapping[str, FieldValue] = field(default_factory=dict)
    aliases: tuple[str, ...] = ()  # earlier spellings, which recipes and models may hold
    outside: bool = False  # of another package: `module` is its whole name

    def load(self) -> type:
        """The class. Raises PluginError where it is of another package, which is not allowed or
        not there."""
        if self.outside:
            return a_class(f"{self.module}:{self.cls}", BASES[self.family])
        found: type = vars(import_module(f"metacli.algorithms.{self.module}"))[self.cls]
        return found

    def learner(self, **fields: FieldValue) -> Adapter:
        """The learner or transfer method of this line, its other fields left at their defaults.

        Raises:
            TypeError: it has no field of such a name.
        """
        made: Adapter = self.load()(**{**self.preset, **fields})
        return made


def a_class(path: str, bases: tuple[str, ...]) -> type:
    """The class that an import path names. Raises PluginError where it is none of these."""
    found = load(path)
    wanted = tuple(getattr(import_module("metacli"), name) for name in bases)
    if not isinstance(found, type) or not issubclass(found, wanted):
        raise PluginError(
            f"the plug-in {path} is not a class of metacli.{' or metacli.'.join(bases)}",
            code="plugin.kind",
        )
    return found
