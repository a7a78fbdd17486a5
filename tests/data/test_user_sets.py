"""A user's own set of tasks, in its three layouts."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from metacli.data.sets.from_user import SetColumns, read_set, roles_of, support_of
from metacli.errors import DataError

KNOWN = SetColumns(known=("sine", "tanh"))


def written(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def columns(tmp_path: Path) -> Path:
    return written(tmp_path / "set.csv", "x,sine,tanh\n1,0.5,\n2,,0.25\n3,1.5,2.5\n")


def test_three_layouts_hold_the_same_tasks(tmp_path: Path) -> None:
    rows = written(
        tmp_path / "rows.csv", "x,task,y\n1,sine,0.5\n2,tanh,0.25\n3,sine,1.5\n3,tanh,2.5\n"
    )
    written(tmp_path / "folder" / "sine.csv", "x,y\n1,0.5\n3,1.5\n")
    written(tmp_path / "folder" / "tanh.csv", "x,y\n2,0.25\n3,2.5\n")
    found = [read_set(p, KNOWN) for p in (columns(tmp_path), rows, tmp_path / "folder")]
    assert [one.layout for one in found] == ["columns", "rows", "folder"]
    for one in found:
        assert one.names == ("sine", "tanh")
        assert one.inputs == ("x",)
        first, second = (task.labelled for task in one.tasks)
        assert (first.x[:, 0].tolist(), first.y.tolist()) == ([1, 3], [0.5, 1.5])
        assert (second.x[:, 0].tolist(), second.y.tolist()) == ([2, 3], [0.25, 2.5])


def test_targets_and_inputs_can_be_named(tmp_path: Path) -> None:
    path = written(tmp_path / "set.csv", "id,x,a,b\n7,1,0.5,2\n8,2,1.5,3\n")
    found = read_set(path, SetColumns(targets=("b", "a"), inputs=("x",)))
    assert found.names == ("b", "a")
    assert found.inputs == ("x",)
    assert found.tasks[0].x.tolist() == [[1], [2]]


def test_rows_to_predict_need_no_labels(tmp_path: Path) -> None:
    path = written(tmp_path / "new.csv", "x\n4\n5\n")
    found = read_set(path, SetColumns(targets=("sine", "tanh"), inputs=("x",)), labelled=False)
    assert found.names == ("sine", "tanh")
    assert np.isnan(found.tasks[1].y).all()
    assert found.tasks[1].x[:, 0].tolist() == [4, 5]


def test_a_support_is_padded_to_its_largest_task(tmp_path: Path) -> None:
    path = written(tmp_path / "set.csv", "x,sine,tanh\n1,0.5,\n2,,\n3,1.5,2.5\n")
    support = support_of(read_set(path, KNOWN).tasks)
    assert support.x.shape == (1, 2, 2, 1)
    assert support.mask is not None
    assert support.mask.tolist() == [[[True, True], [True, False]]]
    assert support.y[0, 1, 0] == 2.5


def test_roles_are_the_places_of_the_names_and_minus_one_where_there_are_none() -> None:
    assert roles_of(["tanh", "sine"], ["sine", "tanh"]).tolist() == [[1, 0]]
    assert torch.equal(roles_of(["a", "b"], []), torch.tensor([[-1, -1]]))
    with pytest.raises(DataError, match=r"knows tasks by name, sine; found cosine") as caught:
        roles_of(["cosine", "sine"], ["sine"])
    assert caught.value.code == "sets.unknown_task"


@pytest.mark.parametrize(
    ("files", "what", "code"),
    [
        ({"s.csv": "x,sine,tanh\n1,,2\n"}, "task sine of s.csv has no label", "sets.no_label"),
        ({"s.csv": "x,left,right\n1,2,3\n"}, "no column is a task", "sets.no_tasks"),
        ({"s.csv": "x,sine\n,2\n"}, "row 2, column x of s.csv is empty", "sets.missing_input"),
        ({"s.csv": "x,task,y\n1,,2\n"}, "row 2, column task", "sets.no_task_name"),
        ({"s.csv": "sine,tanh\n1,2\n"}, "s.csv has no input column", "table.no_input"),
        ({"s/a.csv": "x,y\n1,2\n", "s/b.csv": "z,y\n1,2\n"}, "b.csv has", "sets.columns_differ"),
        ({"s/a.csv": "x,z\n1,2\n"}, "a.csv: no column is the target", "table.no_target"),
        ({"s/note.md": "none"}, "s holds no table", "sets.no_tasks"),
    ],
)
def test_what_is_wrong_is_named(
    tmp_path: Path, files: dict[str, str], what: str, code: str
) -> None:
    for name, text in files.items():
        written(tmp_path / name, text)
    path = tmp_path / next(iter(files)).split("/")[0]
    with pytest.raises(DataError, match=what) as caught:
        read_set(path, KNOWN)
    assert caught.value.code == code
