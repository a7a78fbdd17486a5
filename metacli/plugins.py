"""Backbones, learners, weightings, surgeries and data sets of other packages.

A recipe names one by import path (`backbone.name: mypkg.nets:Net`) or by the name of an entry point
that an installed package declares in `metacli.backbones`, `metacli.learners`, `metacli.balancing`
or `metacli.data`.

Code is imported only where a user asks for it: a recipe file or a setting of the command line that
a command was given allows the packages that it names, and so does METACLI_PLUGINS, a list of
packages with commas. A model or a run never does: a folder that was made elsewhere must not choose
what runs here.
"""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Mapping
from importlib import import_module, metadata
from pathlib import Path

from metacli.errors import PluginError

VARIABLE = "METACLI_PLUGINS"
GROUPS = {  # block of a recipe, its key: the group of entry points
    ("backbone", "name"): "metacli.backbones",
    ("algorithm", "name"): "metacli.learners",
    ("weighting", "name"): "metacli.balancing",
    ("surgery", "name"): "metacli.balancing",
    ("data", "source"): "metacli.data",
}
PATH = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*:[A-Za-z_]\w*")
IMPORT_FAILS = (
    *(ImportError, SyntaxError, AttributeError, NameError, KeyError),
    *(TypeError, ValueError, RuntimeError, OSError),
)
_allowed: set[str] = set()


def is_import_path(name: str) -> bool:
    """Whether a name is `package.module:Name`."""
    return PATH.fullmatch(name) is not None


def target(name: str, group: str) -> str | None:
    """The import path of a name: itself, or that of an entry point; None where it is neither.
    Nothing is imported."""
    if is_import_path(name):
        return name
    found = metadata.entry_points(group=group, name=name)
    return next((one.value for one in found), None)


def package_of(path: str) -> str:
    return path.partition(":")[0].partition(".")[0]


def allow(*packages: str) -> None:
    """Let code of these packages be imported in this process, whatever names it."""
    _allowed.update(packages)


def allowed(package: str) -> bool:
    by_variable = re.split(r"[\s,]+", os.environ.get(VARIABLE, ""))
    return package in _allowed or package in by_variable


def named_in(blocks: Mapping[str, object], known: frozenset[str]) -> dict[str, str]:
    """The plug-ins that a recipe names, by name: their import paths.

    Args:
        blocks: a recipe as plain values.
        known: names that are metacli's own, for which no entry point is looked up.
    """
    found = {}
    for (block, key), group in GROUPS.items():
        values = blocks.get(block)
        name = values.get(key) if isinstance(values, Mapping) else None
        if not isinstance(name, str) or name in known:
            continue
        path = target(name, group)
        if path is not None:
            found[name] = path
    return found


def load(path: str) -> object:
    """What an import path names.

    Raises:
        PluginError: its package was not allowed; it is not installed, fails, or has no such name.
    """
    package = package_of(path)
    if not allowed(package):
        raise PluginError(
            f"this needs the plug-in {path}, whose code is not imported unless you ask for it",
            code="plugin.not_allowed",
            hint=f"{VARIABLE}={package} in front of the command, if you trust it",
        )
    module, _, name = path.partition(":")
    try:
        return vars(import_module(module))[name]
    except IMPORT_FAILS as error:
        missing = isinstance(error, ModuleNotFoundError) and error.name is not None
        raise PluginError(
            f"the plug-in {path} cannot be imported: {type(error).__name__}: {error}",
            code="plugin.missing" if missing else "plugin.broken",
            hint=f"pip install {package}, or PYTHONPATH=FOLDER in front of the command",
        ) from error


def version_of(path: str) -> str:
    """The version of the distribution that a plug-in is of; of a loose file its digest. Raises as
    `load`."""
    package = package_of(path)
    for distribution in metadata.packages_distributions().get(package, ()):
        return metadata.version(distribution)
    load(path)
    file = vars(import_module(path.partition(":")[0])).get("__file__")
    if file is None:
        return "unknown"
    return f"sha256:{hashlib.sha256(Path(file).read_bytes()).hexdigest()[:16]}"
