"""CLINC150, HWU64 and the three sets together: who is in which split, on files of the same form."""

from __future__ import annotations

import io
import json
import zipfile
from pathlib import Path

import numpy as np
import pytest

from metacli.data.cache.kept_files import keep
from metacli.data.catalogue.intents import ClincOptions, clinc_classes, kept_lines, out_of_scope
from metacli.data.few_shot.episodes import ClassEpisodes
from metacli.data.few_shot.pools import Pool
from metacli.data.sources import load_pool
from metacli.errors import DataError

DOMAINS = {f"domain{d}": [f"intent{d}{i}" for i in range(3)] for d in range(10)}
INTENTS = [one for of in DOMAINS.values() for one in of]
PER_INTENT = 6


def split_of(names: list[str]) -> dict[str, list[str]]:
    return {"train": names[:10], "valid": names[10:20], "test": names[20:]}


@pytest.fixture
def stored(tmp_path: Path) -> Path:
    """A cache with small files of the three sets."""
    folds = {f"{fold:02}": split_of(INTENTS[fold:] + INTENTS[:fold]) for fold in range(1, 6)}
    parts = {"train": range(4), "val": range(4, 5), "test": range(5, 6)}
    clinc = {p: [[f"say {i} {n}", i] for i in INTENTS for n in ns] for p, ns in parts.items()}
    clinc["test"].append(["say intent00 0", "intent00"])  # a second time
    clinc |= {f"oos_{part}": [[f"unknown {part}", "oos"]] for part in parts}
    files = {
        "data_full.json": json.dumps(clinc).encode(),
        "domains.json": json.dumps(DOMAINS).encode(),
        "class_splits.json": json.dumps(folds).encode(),
    }
    write(tmp_path / "clinc150", files)
    labels = [f"home{i}" for i in range(12)]
    home = {
        f"{f:02}": {"train": labels[:5], "valid": labels[5:8], "test": labels[8:]}
        for f in range(1, 6)
    }
    packed = zipped(
        {
            f"HWU64/{part}/{file}": "".join(
                f"{label if file == 'label' else f'do {label} {part} {n}'}\n"
                for label in labels
                for n in range(2)
            ).encode()
            for part in ("train", "valid", "test")
            for file in ("seq.in", "label")
        }
    )
    write(tmp_path / "hwu64", {"hwu64.zip": packed, "class_splits.json": json.dumps(home).encode()})
    domains = {
        f"kind{d}.task.train": "".join(f"{n % 2}\treview {d} of {n}\n" for n in range(12)).encode()
        for d in range(16)
    }
    write(tmp_path / "fdu-mtl", {"fdu_mtl.zip": zipped(domains)})
    return tmp_path


def write(folder: Path, files: dict[str, bytes]) -> None:
    folder.mkdir()
    keep(files, folder, None, None)


def zipped(files: dict[str, bytes]) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return out.getvalue()


def pools(name: str, cache: Path, **options: object) -> dict[str, Pool]:
    small = {"features": 128, **options}
    return {split: load_pool(name, split, small, cache) for split in ("train", "val", "test")}


@pytest.mark.parametrize("name", ["clinc150", "hwu64", "texts"])
def test_no_class_is_in_two_splits_and_every_row_in_one_class(name: str, stored: Path) -> None:
    found = pools(name, stored)
    names = [one for pool in found.values() for one in pool.classes]
    assert len(names) == len(set(names))
    for pool in found.values():
        rows = np.concatenate(pool.rows)
        assert sorted(rows.tolist()) == list(range(pool.store.shape[0]))
        for label, own in zip(pool.classes, pool.rows, strict=True):
            word = label.rpartition("/")[2].split(" ")[0].removeprefix("kind")
            assert all(word in pool.store.rows[row] for row in own)


def test_the_encoder_is_fitted_to_the_training_classes_whichever_split_is_asked_for(
    stored: Path,
) -> None:
    found = pools("clinc150", stored)
    assert found["train"].encoder == found["val"].encoder == found["test"].encoder
    assert found["train"].encoder != pools("clinc150", stored, fold=2)["train"].encoder


def test_unseen_domains_share_no_domain_and_each_is_tested_once(stored: Path) -> None:
    read = lambda file: (stored / "clinc150" / file).read_bytes()  # noqa: E731
    tested: list[str] = []
    for fold in range(1, 6):
        options = ClincOptions(fold=fold, scheme="domains")
        parts = {one: clinc_classes(one, options, read) for one in ("train", "val", "test")}
        domains = [{intent[:-1] for intent in part} for part in parts.values()]
        assert [len(one) for one in domains] == [6, 2, 2]
        assert not (domains[0] & domains[2])
        assert not (domains[1] & domains[2])
        tested += parts["test"]
    assert sorted(tested) == sorted(INTENTS)


def test_a_text_that_occurs_twice_counts_once(stored: Path) -> None:
    lines = kept_lines("clinc150", stored)
    assert len(lines) == len(INTENTS) * PER_INTENT
    assert out_of_scope(stored)["test"] == ["unknown test"]


def test_an_episode_of_the_joint_set_is_of_one_set(stored: Path) -> None:
    pool = load_pool("texts", "train", {"features": 128}, stored)
    source = ClassEpisodes(pool=pool, way=4, shot=1, query=1)
    seen = set()
    for index in range(40):
        families = {pool.classes[one].partition("/")[0] for one in source.members(index).classes}
        assert len(families) == 1
        seen |= families
    assert seen == {"clinc150", "hwu64", "fdu-mtl"}


@pytest.mark.parametrize(
    ("options", "says"),
    [({"fold": 6}, "1 to 5"), ({"scheme": "random"}, "intents or domains")],
)
def test_a_division_that_is_not_there_is_refused(
    options: dict[str, object], says: str, stored: Path
) -> None:
    with pytest.raises(DataError, match=says):
        load_pool("clinc150", "train", options, stored)


def test_what_was_not_fetched_says_how(tmp_path: Path) -> None:
    with pytest.raises(DataError) as caught:
        load_pool("texts", "train", {}, tmp_path)
    assert caught.value.hint == "metacli fetch clinc150"
