from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from metacli.data.images import ImageSpec
from metacli.data.user.open import list_inputs, list_task, load_task, survey_task
from metacli.errors import DataError

GREY2 = ImageSpec(1, 2, 2)


def make(root: Path, files: Mapping[str, int | bytes]) -> Path:
    """Writes files: a number is a 2 x 2 grey picture of that value, bytes are the content."""
    for name, content in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if isinstance(content, bytes):
            path.write_bytes(content)
        else:
            Image.new("L", (2, 2), content).save(path)
    return root


def codes(error: DataError) -> list[str]:
    return [finding.code for finding in error.findings]


PETS = {"cat/1.png": 1, "cat/2.png": 2, "dog/1.png": 3}


def test_class_folders_are_a_task_whose_labels_are_the_folder_names(tmp_path: Path):
    task = load_task(make(tmp_path, PETS), GREY2)
    assert (task.kind, task.type, task.labels) == ("images", "classification", ("cat", "dog"))
    assert task.support.names == ("cat/1.png", "cat/2.png", "dog/1.png")
    assert task.support.y.tolist() == [0, 0, 1]
    assert task.support.y.dtype == np.int64
    assert task.support.x.shape == (3, 1, 2, 2)
    assert task.support.x[:, 0, 0, 0].tolist() == [1, 2, 3]
    assert task.query is None
    assert (task.skipped, task.duplicates, task.findings) == (0, 0, ())


@pytest.mark.parametrize("support", ["support", "train"])
@pytest.mark.parametrize("query", ["query", "test", "val", "valid", "validation"])
def test_support_and_query_are_an_explicit_split(tmp_path: Path, support: str, query: str):
    make(tmp_path, {f"{support}/{name}": value for name, value in PETS.items()})
    make(tmp_path, {f"{query}/cat/9.png": 9, f"{query}/dog/8.png": 8})
    task = load_task(tmp_path, GREY2)
    assert task.support.names == tuple(f"{support}/{name}" for name in PETS)
    assert task.query is not None
    assert task.query.names == (f"{query}/cat/9.png", f"{query}/dog/8.png")
    assert task.query.y.tolist() == [0, 1]
    assert task.guessed == (f"support = {support}", f"query = {query}", "label = folder name")


def test_the_first_query_folder_wins_and_the_others_are_named(tmp_path: Path):
    files = {f"{half}/{name}": n for half in ("train", "val", "test") for name, n in PETS.items()}
    listing = list_task(make(tmp_path, files))
    assert listing.what == "task"
    assert {row.path.parent.parent.name for row in listing.query} == {"test"}
    assert [finding.message for finding in listing.findings] == [
        f"folder {tmp_path / 'val'} was not read"
    ]


def test_support_alone_has_no_query(tmp_path: Path):
    listing = list_task(make(tmp_path, {f"support/{name}": value for name, value in PETS.items()}))
    assert listing.query is None
    assert listing.labels == ("cat", "dog")


def test_train_val_test_of_disjoint_classes_are_pools(tmp_path: Path):
    files = {"train/a/1.png": 1, "train/b/1.png": 2, "valid/c/1.png": 3, "test/d/1.png": 4}
    listing = list_task(make(tmp_path, files))
    assert listing.what == "pool"
    assert {name: pool.labels for name, pool in listing.pools.items()} == {
        "train": ("a", "b"),
        "val": ("c",),
        "test": ("d",),
    }
    with pytest.raises(DataError, match="holds pools of classes"):
        load_task(tmp_path, GREY2)


def test_train_and_test_with_one_class_in_common_are_a_split_with_an_unknown_class(tmp_path: Path):
    files = {"train/a/1.png": 1, "train/b/1.png": 2, "test/b/1.png": 3, "test/c/1.png": 4}
    with pytest.raises(DataError, match="class c of the query is not in the support"):
        list_task(make(tmp_path, files))


def test_folders_of_tasks_are_a_set(tmp_path: Path):
    make(tmp_path / "one", PETS)
    make(tmp_path / "two", {f"support/{name}": value for name, value in PETS.items()})
    listing = list_task(tmp_path)
    assert listing.what == "tasks"
    assert [(child.path.name, child.labels) for child in listing.children] == [
        ("one", ("cat", "dog")),
        ("two", ("cat", "dog")),
    ]
    with pytest.raises(DataError, match="a set of 2 tasks, not one"):
        load_task(tmp_path, GREY2)


def test_problems_of_all_tasks_of_a_set_are_collected(tmp_path: Path):
    make(tmp_path / "one", PETS)
    make(tmp_path / "two", {"cat/1.png": 1})
    make(tmp_path / "three", PETS)
    (tmp_path / "three" / "owl").mkdir()
    with pytest.raises(DataError) as caught:
        list_task(tmp_path)
    assert sorted(codes(caught.value)) == ["data.empty_class", "data.too_few_classes"]


def test_loose_images_and_a_single_one_are_inputs(tmp_path: Path):
    make(tmp_path, {"b.png": 1, "a.png": 2})
    listing = list_task(tmp_path)
    assert listing.what == "inputs"
    assert [row.path.name for row in listing.support] == ["a.png", "b.png"]
    assert {row.label for row in listing.support} == {None}
    assert [row.path for row in list_task(tmp_path / "b.png").support] == [tmp_path / "b.png"]


def test_a_class_may_be_called_train(tmp_path: Path):
    listing = list_task(make(tmp_path, {"train/1.png": 1, "car/1.png": 2, "test/1.png": 3}))
    assert (listing.what, listing.labels) == ("task", ("car", "test", "train"))


def test_query_without_support_is_refused(tmp_path: Path):
    with pytest.raises(DataError, match="has query but neither support nor train"):
        list_task(make(tmp_path, {f"query/{name}": value for name, value in PETS.items()}))


@pytest.mark.parametrize(
    ("files", "found"),
    [
        ({"task.yaml": b"support: cats\n", **PETS}, "cats is not there"),
        ({"rows.csv": b"a,b\n1,2\n"}, "no column is the target"),
        ({"support.csv": b"a\n", "query.csv": b"a\n"}, "has no rows"),
        ({"rows.parquet": b"a", "images/1.png": 1}, "is not a Parquet file"),
    ],
)
def test_a_table_that_is_no_task_says_why(
    tmp_path: Path, files: dict[str, int | bytes], found: str
):
    with pytest.raises(DataError, match=found):
        list_task(make(tmp_path, files))


def test_a_table_file_and_a_text_file_are_named(tmp_path: Path):
    make(tmp_path, {"rows.TSV": b"a", "note.txt": b"a", "thing.bin": b"a"})
    for name, words in (
        ("rows.TSV", "rows.TSV has no rows"),
        ("note.txt", "is plain text"),
        ("thing.bin", "is neither"),
    ):
        with pytest.raises(DataError, match=words):
            list_task(tmp_path / name)


def test_a_missing_path_says_so(tmp_path: Path):
    with pytest.raises(DataError, match="no such file or folder") as caught:
        list_task(tmp_path / "nothing")
    assert caught.value.code == "data.missing"


@pytest.mark.parametrize("files", [{}, {"readme": b"x"}])
def test_a_folder_without_anything_usable_says_what_a_task_is(tmp_path: Path, files: dict):
    with pytest.raises(DataError, match="no class folders and no images") as caught:
        list_task(make(tmp_path, files))
    assert "one folder of images per class" in caught.value.hint


def test_all_problems_of_the_structure_are_raised_together(tmp_path: Path):
    make(tmp_path, {"support/cat/1.png": 1, "support/dog/deep/1.png": 2, "query/bird/1.png": 3})
    (tmp_path / "support" / "owl").mkdir()
    with pytest.raises(DataError, match="3 problems") as caught:
        list_task(tmp_path)
    assert codes(caught.value) == ["data.nested_folder", "data.empty_class", "data.unknown_class"]
    assert "1 empty class folders" in caught.value.message


def test_one_class_only_is_refused_by_name(tmp_path: Path):
    with pytest.raises(DataError, match="only one class, cat; at least two"):
        list_task(make(tmp_path, {"cat/1.png": 1}))


def test_more_than_20_problems_are_counted_and_20_listed(tmp_path: Path):
    make(tmp_path, PETS)
    for number in range(30):
        (tmp_path / f"empty{number:02}").mkdir()
    with pytest.raises(
        DataError, match=r"30 problems .*30 empty class folders .*first 20"
    ) as caught:
        list_task(tmp_path)
    assert len(caught.value.findings) == 20
    assert len(survey_task(tmp_path).findings) == 30


def test_a_survey_keeps_the_listing_beside_its_problems(tmp_path: Path):
    listing = survey_task(make(tmp_path, {"cat/1.png": 1}))
    assert (listing.what, listing.labels) == ("task", ("cat",))
    assert [finding.level for finding in listing.findings] == ["error"]


def test_unreadable_files_are_collected_and_raised_before_anything_is_returned(tmp_path: Path):
    make(tmp_path, {**PETS, "cat/a.png": b"not a picture", "dog/b.heic": b"\0\0\0\x18ftypheic"})
    with pytest.raises(DataError, match=r"2 problems .*2 unreadable files") as caught:
        load_task(tmp_path, GREY2)
    assert codes(caught.value) == ["data.not_an_image", "data.unsupported_format"]
    assert caught.value.findings[1].hint == "convert it to PNG or JPEG"


def test_skip_bad_goes_on_and_counts(tmp_path: Path):
    make(tmp_path, {**PETS, **{f"cat/bad{number:02}.png": b"x" for number in range(25)}})
    task = load_task(tmp_path, GREY2, skip_bad=True)
    assert task.skipped == 25
    assert task.support.x[:, 0, 0, 0].tolist() == [1, 2, 3]
    assert task.support.names == tuple(PETS)
    assert len(task.findings) == 21
    assert {finding.level for finding in task.findings} == {"warning"}
    assert "25 files were left out in all" in task.findings[-1].message


def test_skip_bad_does_not_leave_a_class_without_images(tmp_path: Path):
    make(tmp_path, {**PETS, "owl/1.png": b"x"})
    with pytest.raises(DataError, match="no image of class owl in the support can be read"):
        load_task(tmp_path, GREY2, skip_bad=True)


def test_a_image_in_support_and_query_is_an_error_unless_allowed(tmp_path: Path):
    make(tmp_path, {f"support/{name}": value for name, value in PETS.items()})
    Image.new("RGB", (2, 2), (3, 3, 3)).save(tmp_path / "again.bmp")
    make(tmp_path, {"query/dog/x.bmp": (tmp_path / "again.bmp").read_bytes(), "query/cat/7.png": 7})
    (tmp_path / "again.bmp").unlink()
    with pytest.raises(
        DataError, match=r"in support and query: support/dog/1.png, query/dog/x.bmp"
    ):
        load_task(tmp_path, GREY2)
    task = load_task(tmp_path, GREY2, allow_duplicates=True)
    assert task.duplicates == 1
    assert [(finding.level, finding.code) for finding in task.findings] == [
        ("warning", "data.same_picture")
    ]
    assert len(task.query.names) == 2


def test_a_image_under_two_labels_is_an_error_unless_allowed(tmp_path: Path):
    make(tmp_path, {**PETS, "dog/9.png": 1})
    with pytest.raises(DataError, match=r"under the labels cat, dog: cat/1.png, dog/9.png"):
        load_task(tmp_path, GREY2)
    assert load_task(tmp_path, GREY2, allow_duplicates=True).duplicates == 1


def test_a_image_twice_in_one_class_is_a_warning(tmp_path: Path):
    task = load_task(make(tmp_path, {**PETS, "dog/9.png": 3}), GREY2)
    assert task.duplicates == 0
    assert [finding.message for finding in task.findings] == [
        "the same image more than once in class dog: dog/1.png, dog/9.png"
    ]


def test_progress_counts_support_and_query_together(tmp_path: Path):
    make(tmp_path, {f"support/{name}": value for name, value in PETS.items()})
    make(tmp_path, {"query/cat/7.png": 7})
    told: list[tuple[str, int, int | None]] = []
    load_task(tmp_path, GREY2, report=lambda *words: told.append(words))
    assert told == [("read images", done, 4) for done in (1, 2, 3, 4)]


def test_hidden_and_system_files_are_counted_not_read(tmp_path: Path):
    extra = ("cat/.DS_Store", "cat/Thumbs.db", "dog/._1.png", "__MACOSX/cat/1.png", ".git/x")
    listing = list_task(make(tmp_path, {**PETS, **dict.fromkeys(extra, b"x")}))
    assert len(listing.support) == 3
    assert [(f.level, f.message) for f in listing.findings] == [
        ("note", "5 hidden or system files not read")
    ]


def test_files_beside_class_folders_are_named(tmp_path: Path):
    listing = list_task(make(tmp_path, {**PETS, "README.md": b"x", "loose.png": 7}))
    assert [finding.code for finding in listing.findings] == ["data.beside"]
    assert "README.md, loose.png" in listing.findings[0].message


@pytest.mark.parametrize(
    ("one", "two"), [("Cat", "cat"), ("caf\u00e9", "cafe\u0301"), ("K", "\u212a")]
)
def test_class_names_that_look_the_same_are_warned_about(tmp_path: Path, one: str, two: str):
    make(tmp_path, {f"{one}/1.png": 1, f"{two}/1.png": 2})
    if len(list(tmp_path.iterdir())) == 1:
        pytest.skip("this file system does not tell them apart")
    listing = list_task(tmp_path)
    assert [(f.level, f.code) for f in listing.findings] == [("warning", "data.similar_names")]
    assert len(listing.labels) == 2


def test_the_order_is_that_of_bytes(tmp_path: Path):
    make(tmp_path, {f"{name}/{name}.png": 1 for name in ("b", "B", "é", "a10", "a9", "a-")})
    listing = list_task(tmp_path)
    assert [row.label for row in listing.support] == ["B", "a-", "a10", "a9", "b", "é"]
    assert listing.labels == ("B", "a-", "a10", "a9", "b", "é")


def test_inputs_keep_the_order_given_and_folders_are_walked_in_byte_order(tmp_path: Path):
    make(tmp_path, {"in/a/2.png": 1, "in/a-b.png": 1, "in/a.png": 1, "in/a/1.txt": b"", "z.png": 1})
    make(tmp_path, {"in/.hidden": b"", "in/a/Thumbs.db": b""})
    found = list_inputs([tmp_path / "z.png", tmp_path / "in", tmp_path / "missing.png"])
    assert [path.relative_to(tmp_path).as_posix() for path in found] == [
        "z.png",
        "in/a-b.png",
        "in/a.png",
        "in/a/1.txt",
        "in/a/2.png",
        "missing.png",
    ]


def test_a_folder_without_inputs_stands_for_itself(tmp_path: Path):
    (tmp_path / "in" / "empty").mkdir(parents=True)
    assert list(list_inputs([tmp_path / "in"])) == [tmp_path / "in" / "empty"]


@pytest.mark.slow
def test_100_000_files_are_listed_in_little_memory(tmp_path: Path):
    import tracemalloc

    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    for number in range(50_000):
        for label in "ab":
            (tmp_path / label / f"{number:06}.png").touch()
    tracemalloc.start()
    start = time.process_time()
    listing = list_task(tmp_path)
    seconds = time.process_time() - start
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert len(listing.support) == 100_000
    assert peak < 150e6
    assert seconds < 20  # tracing included
