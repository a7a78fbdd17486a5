"""fsdd, flowers12, grasps, heart, tox21 and sider: on tiny files of the same form, and on the real
ones where a mirror is at hand."""

from __future__ import annotations

import io
import os
import wave
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from metacli.data.cache.download import fetch_dataset
from metacli.data.cache.kept_files import keep
from metacli.data.catalogue import flowers, spoken_digits
from metacli.data.catalogue.flowers import FlowerOptions
from metacli.data.catalogue.spoken_digits import DIGITS, PAIRS, SPEAKERS, DigitsOptions, chosen
from metacli.data.catalogue.tables_of_tasks import HEART, HOSPITALS, PALMS
from metacli.data.sources import load_multi_task, load_pool
from metacli.errors import DataError

BESIDE = Path(__file__).parents[3] / "shared" / "data"
MIRROR = os.environ.get("METACLI_MIRROR") or (str(BESIDE) if BESIDE.is_dir() else None)
MultiTask = None  # `keep` takes no options
needs_mirror = pytest.mark.skipif(
    MIRROR is None, reason="set METACLI_MIRROR to a folder with the archives"
)


def silent(what: str, done: int, total: int | None) -> None:
    pass


def clip(hertz: float) -> bytes:
    sound = 9000 * np.sin(2 * np.pi * hertz * np.arange(800) / 8000)
    out = io.BytesIO()
    with wave.open(out, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(8000)
        file.writeframes(np.rint(sound).astype("<i2").tobytes())
    return out.getvalue()


@pytest.fixture(scope="module")
def spoken(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Seven recordings of each digit of each speaker; the pitch is the digit's."""
    cache = tmp_path_factory.mktemp("spoken")
    (cache / "fsdd").mkdir()
    members = {
        f"{digit}_{speaker}_{index}.wav": clip(200 + 300 * int(digit) + 5 * index)
        for digit in DIGITS
        for speaker in SPEAKERS
        for index in range(7)
    }
    spoken_digits.build(members, cache / "fsdd", DigitsOptions(), silent)
    return cache


def test_in_every_fold_digits_and_speakers_of_test_are_unseen() -> None:
    for fold in range(1, len(PAIRS) + 1):
        parts = {split: chosen(split, fold) for split in ("train", "val", "test")}
        people = [set(parts[split][0]) for split in parts]
        assert [len(one) for one in people] == [3, 1, 2]
        assert set.union(*people) == set(SPEAKERS)
        assert set(parts["train"][1]) == set(parts["val"][1])
        assert set(parts["train"][1]).isdisjoint(parts["test"][1])
        assert set(parts["train"][1]) | set(parts["test"][1]) == set(DIGITS)
    assert len({chosen("test", fold) for fold in range(1, 16)}) == 15


def test_an_episode_of_spoken_digits_is_of_one_speaker(spoken: Path) -> None:
    pool = load_pool("fsdd", "test", {"fold": 2, "size": 16}, spoken)
    assert pool.example_shape == (1, 16, 16)
    assert [len(one) for one in pool.families or ()] == [5, 5]
    people = [{pool.classes[number].partition("/")[0] for number in one} for one in pool.families]
    assert people == [{one} for one in PAIRS[1]]
    assert {len(rows) for rows in pool.rows} == {7}


def test_merged_a_class_is_a_digit_of_all_speakers_of_the_split(spoken: Path) -> None:
    pool = load_pool("fsdd", "train", {"scheme": "merged"}, spoken)
    assert pool.families is None
    assert pool.classes == chosen("train", 1)[1]
    assert {len(rows) for rows in pool.rows} == {3 * 7}


def test_the_official_recordings_of_each_digit_are_the_tests_of_a_speaker(spoken: Path) -> None:
    made, _ = load_multi_task("fsdd-speakers", {"size": 64}, spoken)
    assert made.tasks == SPEAKERS
    assert made.test_rows == (50,) * 6
    for x, y in zip(made.x, made.y, strict=True):
        assert x.shape == (70, 64 * 64)
        assert np.bincount(y[-50:].astype(int)).tolist() == [5] * 10
        assert np.bincount(y[:-50].astype(int)).tolist() == [2] * 10
        rows = x.reshape(-1, 64, 64).mean(2).argmax(1)  # higher digits have higher pitches
        assert np.corrcoef(rows, y)[0, 1] < -0.9


def test_options_of_spoken_digits_are_checked(spoken: Path) -> None:
    for options in ({"fold": 16}, {"scheme": "all"}, {"size": 4}):
        with pytest.raises(DataError, match="fsdd"):
            load_pool("fsdd", "train", options, spoken)
    with pytest.raises(DataError, match="not called"):
        spoken_digits.place_of("a_george_1.wav")


def test_flowers_are_the_same_species_in_two_splits(tmp_path: Path) -> None:
    def photograph(level: int) -> bytes:
        out = io.BytesIO()
        Image.new("RGB", (224, 224), (level, 10, 200)).save(out, "JPEG")
        return out.getvalue()

    members = {
        f"{split}/{species}/{number}.jpg": photograph(40 * number + 20 * (split == "test"))
        for split, count in (("train", 3), ("test", 2))
        for species in ("daisy", "tulip")
        for number in range(count)
    }
    (tmp_path / "flowers12").mkdir()
    flowers.build(members, tmp_path / "flowers12", FlowerOptions(), silent)
    pools = {split: load_pool("flowers12", split, {}, tmp_path) for split in ("train", "test")}
    assert pools["train"].classes == pools["test"].classes == ("daisy", "tulip")
    assert [len(rows) for pool in pools.values() for rows in pool.rows] == [3, 3, 2, 2]
    assert pools["train"].example_shape == (3, 224, 224)
    first = pools["test"].images[pools["test"].rows[1][1]]
    assert abs(int(first[0, 100, 100]) - 60) <= 3
    assert load_pool("flowers12", "train", {"size": 32}, tmp_path).example_shape == (3, 32, 32)
    with pytest.raises(DataError, match="no val"):
        load_pool("flowers12", "val", {}, tmp_path)


def test_a_grasp_keeps_its_object_and_its_palm(tmp_path: Path) -> None:
    (tmp_path / "grasps").mkdir()
    tables = {}
    for side, palm in enumerate(PALMS):
        lines = ["object,slipped,ff_1,th_1"]
        lines += [f"{'cup' if n % 2 else 'ball'},{n // 2 % 2},{n},{100 * side}" for n in range(16)]
        tables[f"biotac-{palm}-grasps.csv"] = "\n".join(lines).encode()
    keep(tables, tmp_path / "grasps", MultiTask, silent)
    made, _ = load_multi_task("grasps", {}, tmp_path)
    assert made.tasks == ("ball", "cup")
    assert made.columns == ("ff_1", "th_1", "palm")
    assert made.x[1][:, 0].tolist() == [*range(1, 16, 2)] * 2
    assert (made.x[0][:, 1] == 100 * made.x[0][:, 2]).all()
    assert made.y[0].tolist() == [0, 1] * 8
    assert made.labels[0] == ("stable", "slipped")


def test_hospitals_have_missing_cells_and_a_diagnosis_above_0_is_yes(tmp_path: Path) -> None:
    (tmp_path / "heart").mkdir()
    rows = [
        f"{40 + n},1,{1 + n % 4},120,{200 + n},0,0,{150 - n},0,1.{n},2,?,3,{n % 5}"
        for n in range(20)
    ]
    blank = [row.replace("?", "").replace(",120,", ",,") for row in rows]
    files = {
        f"processed.{name}.data": "\n".join(blank if name == "va" else rows).encode() + b"\n"
        for name in HOSPITALS
    }
    keep(files, tmp_path / "heart", MultiTask, silent)
    made, _ = load_multi_task("heart", {}, tmp_path)
    assert made.tasks == HOSPITALS
    assert [len(y) for y in made.y] == [20] * 4
    assert made.labels[0] == ("no", "yes")
    assert made.y[0].tolist() == [float(n % 5 > 0) for n in range(20)]
    assert made.read.inputs == HEART
    assert np.isfinite(made.x[3]).all()
    assert "blood-pressure: missing" in made.columns


@pytest.mark.parametrize("name", ["tox21", "sider"])
def test_targets_of_molecules_divide_as_gs_meta_has_them(name: str, tmp_path: Path) -> None:
    count, first = {"tox21": (12, 9), "sider": (27, 21)}[name]
    (tmp_path / name).mkdir()
    lines = ["smiles," + ",".join(f"t{n}" for n in range(count))]
    for row in range(40):
        cells = [str((row + n) % 2) if (row * 7 + n) % 5 else "" for n in range(count)]
        lines.append(",".join(["C" * (1 + row % 20) + "NO"[row % 2], *cells]))
    keep({f"{name}.csv": "\n".join(lines).encode()}, tmp_path / name, MultiTask, silent)
    parts = {part: load_multi_task(name, {"part": part}, tmp_path)[0] for part in ("train", "test")}
    assert parts["train"].tasks == tuple(f"t{n}" for n in range(first))
    assert parts["test"].tasks == tuple(f"t{n}" for n in range(first, count))
    assert parts["train"].metric == "auc"
    wanted = [(row * 7 + first) % 5 == 0 for row in range(40)]
    assert np.isnan(parts["test"].y[0]).tolist() == wanted
    with pytest.raises(DataError, match="wanted train, test"):
        load_multi_task(name, {"part": "val"}, tmp_path)


@needs_mirror
def test_the_real_tables_have_the_rows_that_their_authors_count(tmp_path: Path) -> None:
    for name in ("grasps", "heart", "sider"):
        fetch_dataset(name, tmp_path, mirror=MIRROR, offline=True)
    grasps, _ = load_multi_task("grasps", {}, tmp_path)
    assert (len(grasps.tasks), sum(map(len, grasps.y))) == (41, 2549)
    assert grasps.x[0].shape[1] == 3 * 24 + 1
    heart, _ = load_multi_task("heart", {}, tmp_path)
    assert [len(y) for y in heart.y] == [303, 294, 123, 200]
    sider, _ = load_multi_task("sider", {}, tmp_path)
    assert (len(sider.tasks), len(sider.y[0])) == (27, 1427)


@needs_mirror
@pytest.mark.slow
def test_the_real_recordings_and_photographs_have_the_counts_of_their_authors(
    tmp_path: Path,
) -> None:
    for name in ("fsdd", "flowers12", "tox21"):
        fetch_dataset(name, tmp_path, mirror=MIRROR, offline=True)
    for fold in (1, 8):
        sizes = [
            len(load_pool("fsdd", s, {"fold": fold}, tmp_path).classes)
            for s in ("train", "val", "test")
        ]
        assert sizes == [15, 5, 10]
    counts = [
        {len(rows) for rows in load_pool("flowers12", split, {}, tmp_path).rows}
        for split in ("train", "test")
    ]
    assert counts == [{60}, {20}]
    tox21, _ = load_multi_task("tox21", {}, tmp_path)
    assert 7800 < len(tox21.y[0]) <= 7831
