"""No variant of a file, whoever wrote it, is more than an error that a user can act on."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from campaign import tried
from doors import doors

from metacli.errors import BundleError

SHORT, FULL = 30, 2_000  # variants of each reader; benchmarks/faults.py does more
LONGEST = {"parquet": 3, "records of runs": 4, "models of sets": 15, "few-shot models": 20}
READERS = tuple(doors(Path("unused")))
pytestmark = pytest.mark.usefixtures("one_thread", "cache")


@pytest.mark.parametrize("reader", READERS)
@pytest.mark.parametrize(
    "full", [False, pytest.param(True, marks=[pytest.mark.slow, pytest.mark.timeout(1800)])]
)
def test_variants_are_read_or_refused(
    reader: str, full: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    door = doors(tmp_path / "doors")[reader]()
    for seed in door.seeds:
        door.read(seed)  # nothing is wrong with what was not edited
    count = FULL if full else LONGEST.get(reader, SHORT)
    found = tried(door, count)
    assert not found.uncaught, "\n".join(found.examples[:5])
    assert not found.slow, "\n".join(found.examples[:5])
    assert found.read + found.refused == found.mutants == count
    assert [one.name for one in tmp_path.iterdir()] == ["doors"]  # nothing was written elsewhere


def test_a_task_without_a_label_is_no_task(tmp_path: Path) -> None:
    door = doors(tmp_path)["multi-task models"]()
    name, files = next(one for one in door.seeds if one[0] == "hard-table")
    document = json.loads(files["model.json"])
    document["answers"]["labels"][0] = []
    edited = {**files, "model.json": json.dumps(document).encode()}
    with pytest.raises(BundleError, match="0 labels"):
        door.read((name, edited))


def test_every_reader_of_the_package_that_takes_a_file_from_outside_has_a_door() -> None:
    """Our own files are among them."""
    ours = {"adapted models", "multi-task models", "few-shot models", "models of sets"}
    ours |= {"checkpoints", "run files", "score files", "records of runs", "searches", "caches"}
    others = {"images", "recordings", "tables", "parquet", "sets", "recipes", "tasks", "archives"}
    assert set(READERS) == ours | others
