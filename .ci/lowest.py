"""The lowest versions that pyproject.toml allows, as a file of constraints for pip:

    python .ci/lowest.py > build/lowest.txt

Every requirement with a lower bound becomes `name==bound`, of the dependencies and of the extras
that the tests need. What has no bound is left to the resolver.
"""

from __future__ import annotations

import re
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
EXTRAS = (
    "onnx",
    "tune",
    "audio",
    "molecules",
    "timm",
    "hub",
    "serve",
    "tensorboard",
    "mlflow",
    "test",
)
BOUND = re.compile(r"([A-Za-z0-9._-]+)(\[[^]]*\])?\s*>=\s*([0-9][0-9a-z.]*)")


def lowest(project: dict[str, object]) -> Iterator[str]:
    """`name==version` for each lower bound, the highest one where a name has several."""
    extras = project["optional-dependencies"]
    words = [*project["dependencies"], *(one for name in EXTRAS for one in extras[name])]
    found: dict[str, str] = {}
    for word in words:
        match = BOUND.match(word)
        if match is None:
            continue
        name, version = match[1].lower().replace("_", "-"), match[3]
        if numbers(version) > numbers(found.get(name, "0")):
            found[name] = version
    yield from (f"{name}=={version}" for name, version in sorted(found.items()))


def numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split(".") if part.isdigit())


if __name__ == "__main__":
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    sys.stdout.write("\n".join(lowest(project)) + "\n")
