"""What tables mean: tasks, sets of tasks and task files, with every problem named."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from metacli.data.images import ImageSpec
from metacli.data.tables.choice import Choice
from metacli.data.tables.fitting import fit_encoding
from metacli.data.tables.text import HashedText
from metacli.data.user.open import RowSpec, list_task, load_task, survey_task
from metacli.engine.inspect import inspect
from metacli.engine.multitask import multitask
from metacli.errors import DataError, UsageProblem

TEXTS = RowSpec(HashedText(128), "text", "classification")


def write(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def rows(path: Path, seed: int, count: int = 8) -> Path:
    cells = "".join(f"{i},{seed + i}.5,{i * seed}.25\n" for i in range(count))
    return write(path, "a,b,y\n" + cells)


def test_one_table_is_a_task_and_says_what_it_guessed(tmp_path: Path) -> None:
    path = write(tmp_path / "t.csv", "text,label\nhello,hi\nbye,ciao\n")
    for where in (path, tmp_path):
        task = list_task(where)
        assert (task.what, task.kind, task.labels) == ("task", "text", ("ciao", "hi"))
        assert "text = column text" in task.guessed


def test_support_and_query_tables_are_read_as_numbers(tmp_path: Path) -> None:
    write(tmp_path / "support.csv", "text,label\nplay jazz,music\nwake me,alarm\n")
    write(tmp_path / "test.jsonl", '{"text": "play rock", "label": "music"}\n')
    task = load_task(tmp_path, TEXTS)
    assert task.support.y is not None
    assert task.query is not None
    assert task.support.y.tolist() == [1, 0]
    np.testing.assert_allclose(
        task.support.x, HashedText(128).encode(["play jazz", "wake me"]).toarray()
    )
    assert task.query.names == ("test.jsonl:1",)
    assert (task.target, task.input) == ("label", "text")


def test_a_label_of_the_query_that_the_support_lacks_is_a_problem(tmp_path: Path) -> None:
    write(tmp_path / "support.csv", "text,label\na b,x\nc d,y\n")
    write(tmp_path / "query.csv", "text,label\ne f,z\n")
    with pytest.raises(DataError, match="class z of the query is not in the support"):
        load_task(tmp_path, TEXTS)


def test_one_class_is_a_problem_in_words_of_tables(tmp_path: Path) -> None:
    with pytest.raises(DataError) as caught:
        list_task(write(tmp_path / "t.csv", "text,label\na,x\nb,x\n"))
    assert caught.value.hint == "the target column needs two different labels"


def test_the_same_text_under_two_labels_or_in_both_sides_is_refused(tmp_path: Path) -> None:
    write(tmp_path / "support.csv", "text,label\nhello,x\nhello,y\nbye,y\n")
    write(tmp_path / "query.csv", "text,label\nbye,y\n")
    with pytest.raises(DataError) as caught:
        load_task(tmp_path, TEXTS)
    assert [one.code for one in caught.value.findings] == ["data.same_text"] * 2
    assert load_task(tmp_path, TEXTS, allow_duplicates=True).duplicates == 2


def test_the_same_row_in_both_sides_is_refused_unless_rows_repeat_by_chance(
    tmp_path: Path,
) -> None:
    """One rule for tables and texts."""
    write(tmp_path / "support.csv", "a,label\n1,x\n2,y\n")
    write(tmp_path / "query.csv", "a,label\n1,x\n")
    table = list_task(tmp_path).content.support
    spec = RowSpec(fit_encoding([table], {"a": "numeric"}), "table", "classification", ("a",))
    with pytest.raises(DataError, match="the same row in support and query"):
        load_task(tmp_path, spec)
    assert load_task(tmp_path, spec, allow_duplicates=True).duplicates == 1
    write(tmp_path / "support.csv", "a,label\n1,x\n2,y\n2,y\n")
    task = load_task(tmp_path, spec)
    assert "table.same_rows" in {one.code for one in task.findings}
    write(tmp_path / "support.csv", "text,label\nhello,x\nbye,y\nbye,y\n")
    write(tmp_path / "query.csv", "text,label\nhello,x\n")
    assert "data.same_text" in {one.code for one in load_task(tmp_path, TEXTS).findings}


def test_texts_for_a_model_of_images_are_refused(tmp_path: Path) -> None:
    write(tmp_path / "t.csv", "text,label\na,x\nb,y\n")
    with pytest.raises(DataError, match="holds texts, the model takes images"):
        load_task(tmp_path, ImageSpec(1, 8, 8))


def test_a_column_of_image_paths_is_a_task_of_images(tmp_path: Path) -> None:
    for name in ("a", "b"):
        Image.new("L", (4, 4), 255 if name == "a" else 0).save(tmp_path / f"{name}.png")
    write(tmp_path / "t.csv", "file,label\na.png,light\nb.png,dark\n")
    task = load_task(tmp_path / "t.csv", ImageSpec(1, 4, 4))
    assert (task.kind, task.labels) == ("images", ("dark", "light"))
    assert task.support.x[0].max() == 255


def test_tables_in_a_folder_are_a_set_with_one_decision_about_the_type(tmp_path: Path) -> None:
    rows(tmp_path / "north.csv", 1)
    write(tmp_path / "south.csv", "a,b,y\n1,2,3\n2,3,4\n")  # whole numbers by chance
    found = list_task(tmp_path)
    assert (found.what, len(found.children)) == ("tasks", 2)
    assert {one.content.type for one in found.children} == {"regression"}


def test_tasks_of_several_kinds_are_no_set_and_each_odd_one_is_named(tmp_path: Path) -> None:
    rows(tmp_path / "a" / "support.csv", 1)
    rows(tmp_path / "b" / "support.csv", 2)
    write(tmp_path / "words" / "support.csv", "text,label\nhello,hi\nbye now,ciao\n")
    for label in ("cat", "dog"):
        (tmp_path / "pictures" / label).mkdir(parents=True)
        Image.new("L", (8, 8)).save(tmp_path / "pictures" / label / "1.png")
    found = survey_task(tmp_path)
    odd = [one for one in found.findings if one.code == "data.mixed_kinds"]
    assert [Path(str(one.where)).name for one in odd] == ["pictures", "words"]
    assert "pictures holds images, and a a table of columns" in odd[0].message
    assert [one.path.name for one in found.children] == ["a", "b"]
    assert [one["code"] for one in inspect(str(tmp_path))["problems"]].count(
        "data.mixed_kinds"
    ) == 2
    with pytest.raises(DataError, match="2 tasks of another kind"):
        multitask(str(tmp_path), out=str(tmp_path / "run"))


def test_tasks_of_other_columns_are_named(tmp_path: Path) -> None:
    rows(tmp_path / "north.csv", 1)
    write(tmp_path / "south.csv", "a,c,y\n1,2,3.5\n2,3,4.5\n")
    found = [one for one in survey_task(tmp_path).findings if one.code == "table.columns_differ"]
    assert len(found) == 1
    assert "lacks b" in found[0].message
    assert "has c besides" in found[0].message


def test_folders_of_support_and_query_tables_are_a_set(tmp_path: Path) -> None:
    for name in ("north", "south"):
        rows(tmp_path / name / "support.csv", 2)
        rows(tmp_path / name / "query.csv", 3)
    found = list_task(tmp_path)
    assert (found.what, [one.path.name for one in found.children]) == ("tasks", ["north", "south"])


def test_a_task_file_says_what_would_be_guessed(tmp_path: Path) -> None:
    write(tmp_path / "spring.csv", "size,rooms,id,price\n1,2,3,100\n2,3,4,150\n")
    write(tmp_path / "autumn.csv", "size,rooms,id,price\n1,3,5,120\n")
    said = "support: spring.csv\nquery: autumn.csv\ntarget: price\ninput: [size, rooms]\n"
    write(tmp_path / "task.yaml", said + "type: regression\nunit: EUR\n")
    content = list_task(tmp_path).content
    assert (content.target, content.roles.inputs) == ("price", ("size", "rooms"))
    assert (content.type, content.unit, len(content.query)) == ("regression", "EUR", 1)


@pytest.mark.parametrize(
    ("said", "code"),
    [
        ("traget: price\n", "task.unknown_key"),
        ("type: clustering\n", "task.value"),
        ("target: 3\n", "task.value"),
        ("support: ../other.csv\n", "task.outside"),
        ("support: gone.csv\n", "data.missing"),
        ("a: &x 1\n", "task.syntax"),
    ],
)
def test_a_task_file_with_a_mistake_is_named(tmp_path: Path, said: str, code: str) -> None:
    rows(tmp_path / "t.csv", 1)
    write(tmp_path / "task.yaml", said)
    with pytest.raises(DataError) as caught:
        list_task(tmp_path)
    assert caught.value.code == code
    assert "task.yaml" in str(caught.value.where)


def test_a_column_of_tasks_divides_one_table(tmp_path: Path) -> None:
    cells = "".join(f"{'ns'[i % 2]},{i},{i}.5\n" for i in range(8))
    path = write(tmp_path / "t.csv", "city,a,y\n" + cells)
    found = list_task(path, choice=Choice(task="city"))
    assert [one.path.name for one in found.children] == ["n", "s"]
    assert [len(one.content.support) for one in found.children] == [4, 4]
    assert found.children[0].content.roles.inputs == ("a",)


def test_columns_of_images_cannot_be_named(tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        Image.new("L", (4, 4)).save(tmp_path / name / "x.png")
    with pytest.raises(UsageProblem, match="columns of a table"):
        list_task(tmp_path, choice=Choice(target="label"))


SEVERAL = "a,b,grade,price\n" + "".join(
    f"{i},{i * i % 7},{'' if i % 5 == 0 else 'pq'[i % 2]},{'' if i % 4 == 0 else i / 2}\n"
    for i in range(2, 42)
)


def test_several_targets_are_a_set_of_tasks_whose_empty_labels_are_missing(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text(SEVERAL)
    listing = list_task(tmp_path / "t.csv", choice=Choice(target="grade,price"))
    grade, price = listing.children
    assert (listing.what, grade.tables.type, price.tables.type) == (
        *("tasks", "classification", "regression"),
    )
    assert grade.tables.roles.inputs == price.tables.roles.inputs == ("a", "b")
    assert (len(grade.support), len(price.support)) == (32, 30)
    assert [one.message for one in listing.findings] == [
        "8 of 40 rows have no grade: the other targets'",
        "10 of 40 rows have no price: the other targets'",
    ]


def test_rows_without_a_target_are_named_by_their_place_in_the_file_and_can_be_left_out(
    tmp_path: Path,
) -> None:
    (tmp_path / "t.csv").write_text("a,label\n1,p\n2,\n3,q\n4,p\n5,NA\n6,q\n")
    with pytest.raises(DataError) as caught:
        list_task(tmp_path / "t.csv")
    assert (caught.value.code, caught.value.where) == ("table.no_label", "t.csv:3, column label")
    assert "row 3, column label of t.csv is empty" in str(caught.value)
    assert "so is one other row" in str(caught.value)
    assert "--skip-bad" in (caught.value.hint or "")
    listing = list_task(tmp_path / "t.csv", skip_bad=True)
    assert [one.label for one in listing.support] == ["p", "q", "p", "q"]
    assert listing.tables.unlabelled == 2
    assert [listing.tables.support.row(at) for at in range(4)] == [
        *("t.csv:2", "t.csv:4", "t.csv:5", "t.csv:7")
    ]
    (tmp_path / "t.csv").write_text("a,label\n1,\n2,\n")
    with pytest.raises(DataError, match="has no label at all"):
        list_task(tmp_path / "t.csv", skip_bad=True)


def test_a_set_by_a_column_leaves_out_rows_without_a_target(tmp_path: Path) -> None:
    labels = ["" if i == 4 else "pq"[i // 2 % 2] for i in range(12)]
    rows = "".join(f"{i * i % 7}.5,{'uv'[i % 2]},{one}\n" for i, one in enumerate(labels))
    (tmp_path / "t.csv").write_text(f"a,who,label\n{rows}")
    choice = Choice(target="label", task="who")
    with pytest.raises(DataError, match="row 6, column label"):
        list_task(tmp_path / "t.csv", choice=choice)
    listing = list_task(tmp_path / "t.csv", choice=choice, skip_bad=True)
    assert [len(one.support) for one in listing.children] == [5, 6]


def test_a_column_whose_name_has_a_comma_is_one_target(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text('a,"size, in m"\n1,2.5\n2,3.5\n')
    listing = list_task(tmp_path / "t.csv", choice=Choice(target="size, in m"))
    assert (listing.what, listing.tables.target) == ("task", "size, in m")


def test_a_table_of_any_ending_is_a_task_and_a_text_is_none(tmp_path: Path) -> None:
    (tmp_path / "t.dat").write_text("a|y\n1|p\n2|q\n3|p\n")
    assert list_task(tmp_path / "t.dat").tables.target == "y"
    (tmp_path / "t.txt").write_text("One sentence, and\nanother one, or, well, two.\n")
    with pytest.raises(DataError, match="plain text"):
        list_task(tmp_path / "t.txt")


def test_twenty_tables_of_one_fault_are_one_error_with_what_mends_them(tmp_path: Path) -> None:
    for number in range(20):
        (tmp_path / f"t{number:02}.csv").write_text("size,price\n1,2.5\n2,3.5\n")
    (tmp_path / "z.csv").write_text("size,price\n1,2.5\n2\n")
    with pytest.raises(
        DataError, match=r"21 problems .*: 20 tables without a target, 1 tables"
    ) as caught:
        list_task(tmp_path)
    alike, ragged = caught.value.findings
    assert alike.message == (
        "20 files alike, t00.csv, t01.csv, t02.csv and 17 more: no column is the target; "
        "the columns are size, price"
    )
    assert (alike.where, ragged.code) == (str(tmp_path), "table.ragged")
    (tmp_path / "z.csv").unlink()
    with pytest.raises(DataError, match="20 files alike") as caught:
        list_task(tmp_path)
    assert caught.value.code == "table.no_target"
    assert (caught.value.hint or "").startswith("--target price")
    assert len(list_task(tmp_path, choice=Choice(target="price")).children) == 20


def test_whole_numbers_that_are_nearly_all_different_are_classes_with_a_warning(
    tmp_path: Path,
) -> None:
    rows = "".join(f"{i / 2},{1000 + 7 * i}\n" for i in range(12))
    (tmp_path / "t.csv").write_text("size,y\n" + rows)
    listing = list_task(tmp_path / "t.csv")
    assert listing.tables.type == "classification"
    (warning,) = listing.findings
    assert (warning.code, warning.hint) == (
        *("table.many_classes", "--type regression, if they are a quantity"),
    )
    assert list_task(tmp_path / "t.csv", choice=Choice(type="regression")).findings == ()


def test_labels_that_differ_in_capitals_alone_are_named(tmp_path: Path) -> None:
    labels = ["Yes", "yes", "no", "no ", "a", "A", "on hold", "On  hold"]
    rows = "".join(f"{number % 5},{label}\n" for number, label in enumerate(labels * 2))
    (tmp_path / "t.csv").write_text("size,label\n" + rows)
    (warning,) = list_task(tmp_path / "t.csv").findings
    assert (warning.level, warning.code) == ("warning", "table.labels_alike")
    assert warning.message == (
        "label has labels that differ in capitals or blanks alone: "
        "'On  hold' and 'on hold'; 'Yes' and 'yes'"
    )
    (tmp_path / "t.csv").write_text("size,label\n" + rows.replace("Y", "y").replace("O", "o"))
    (warning,) = list_task(tmp_path / "t.csv").findings
    assert warning.message.endswith(": 'on  hold' and 'on hold'")


def test_images_and_folders_outside_the_task_are_refused_unless_links_are_followed(
    tmp_path: Path,
) -> None:
    task, elsewhere = tmp_path / "task", tmp_path / "elsewhere"
    for folder in (task, elsewhere / "cat", elsewhere / "dog"):
        folder.mkdir(parents=True)
    for name, shade in (("cat/1", 10), ("cat/2", 60), ("dog/1", 120), ("dog/2", 200)):
        Image.new("L", (4, 4), shade).save(elsewhere / f"{name}.png")
    (task / "linked").symlink_to(elsewhere)
    names = ["../elsewhere/cat/1.png", "linked/cat/2.png", str(elsewhere / "dog/1.png")]
    rows = [f"{name},{'cat' if '/cat/' in name else 'dog'}" for name in names]
    (task / "images.csv").write_text("\n".join(["file,label", *rows]) + "\n")
    with pytest.raises(DataError, match="3 problems") as caught:
        list_task(task / "images.csv")
    assert {one.code for one in caught.value.findings} == {"data.outside"}
    assert [one.message.rpartition("images.csv ")[2] for one in caught.value.findings] == [
        *("leads out of the folder", "goes through the link linked", "is an absolute path"),
    ]
    followed = Choice(follow_links=True)
    listing = list_task(task / "images.csv", choice=followed)
    assert len(load_task(task / "images.csv", ImageSpec(1, 4, 4), choice=followed).support.x) == 3
    assert all(row.path.is_relative_to(elsewhere) for row in listing.support)

    (task / "images.csv").unlink()
    (task / "task.yaml").write_text("support: linked\n")
    with pytest.raises(DataError, match="goes through the link linked") as caught:
        list_task(task)
    assert (caught.value.code, "--follow-links" in (caught.value.hint or "")) == (
        *("task.outside", True),
    )
    assert list_task(task, choice=followed).labels == ("cat", "dog")


def test_a_link_that_holds_its_own_folder_is_never_followed(tmp_path: Path) -> None:
    for name in ("cat", "dog"):
        (tmp_path / name).mkdir()
        Image.new("L", (4, 4), len(name)).save(tmp_path / name / "1.png")
    (tmp_path / "loop").symlink_to(tmp_path)
    with pytest.raises(DataError, match="symbolic link"):
        list_task(tmp_path, choice=Choice(follow_links=True))
