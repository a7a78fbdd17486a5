"""A learner of sets adapted to a user's set."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from metacli.algorithms.meta_multitask.protocol import alone, together
from metacli.data.sets.from_user import UserSet, UserTask, asking, roles_of, support_of
from metacli.engine.sets.adapting import adapt_to_set, folds_of, held_out, judged, predicted
from metacli.engine.sets.model import SetModel
from metacli.errors import DataError
from metacli.schema.meta_multi_task import MetaMultiTaskRecipe
from metacli.schema.recipe import parse_recipe

pytestmark = pytest.mark.usefixtures("one_thread")
NAMES = ("sine", "tanh", "sigmoid", "gaussian")


def model(name: str = "mtnp") -> SetModel:
    fields = {"mtnp": {"width": 8, "heads": 2, "blocks": 1}, "coupled": {"hidden": [6]}}[name]
    recipe = parse_recipe(
        {
            "kind": "meta-multitask",
            "data": {"source": "functions"},
            "sets": {"points": 5, "query": 4},
            "algorithm": {"name": name, **fields},
            "train": {"steps": 1},
        }
    )
    assert isinstance(recipe, MetaMultiTaskRecipe)
    made = SetModel(recipe, {}, {}, NAMES, 1)
    rng = torch.Generator().manual_seed(0)
    params = {
        key: value + 0.1 * torch.randn(value.shape, generator=rng)
        for key, value in made.weights().items()
    }
    return SetModel(recipe, params, {}, NAMES, 1)


def user(rows: int = 6, tasks: int = 3) -> UserSet:
    rng = np.random.Generator(np.random.PCG64(0))
    made = [
        UserTask(name, rng.uniform(-5, 5, (rows + t, 1)), rng.normal(size=rows + t))
        for t, name in enumerate(NAMES[:tasks])
    ]
    return UserSet("mine", tuple(made), ("x",), "folder", "y")


@pytest.mark.parametrize("name", ["mtnp", "coupled"])
def test_the_adapted_model_answers_as_the_learner_does_from_all_labels(name: str) -> None:
    source, mine = model(name), user()
    adapted, _ = adapt_to_set(source, mine)
    asked = UserSet(
        "new", (UserTask("tanh", np.array([[1.0], [2.0]]), np.full(2, np.nan)),), ("x",), "folder"
    )
    found = predicted(adapted, asked)
    assert set(found) == {"tanh"}
    roles = roles_of(mine.names, NAMES)
    x = torch.zeros(1, 3, 2, 1)
    x[0, 1, :, 0] = torch.tensor([1.0, 2.0])
    wanted = source.answer(asking(support_of(mine.tasks), roles, x), together(roles))
    torch.testing.assert_close(found["tanh"].mean, wanted.mean[0, 1])


def test_a_held_out_label_is_not_seen_by_its_own_answer() -> None:
    source, mine = model(), user()
    tasks = list(mine.tasks)
    parts = [folds_of(one, 3, (0, one.name)) for one in tasks]
    roles = roles_of(mine.names, NAMES)
    before = held_out(source, tasks, roles, parts, together(roles))
    y = tasks[0].y.copy()
    y[2] += 10.0
    tasks[0] = UserTask(tasks[0].name, tasks[0].x, y)
    after = held_out(source, tasks, roles, parts, together(roles))
    same = parts[0] == parts[0][2]
    others = same.copy()
    others[2] = False
    np.testing.assert_array_equal(before.error[0][others], after.error[0][others])
    first, then = float(before.error[0][2]), float(after.error[0][2])
    # The answer stays, the label moved by 10.
    assert min(abs(abs(first - 10) - then), abs(abs(-first - 10) - then)) < 1e-4
    assert not np.array_equal(before.error[1], after.error[1])
    separate = [held_out(source, t, roles, parts, alone(roles)) for t in (list(mine.tasks), tasks)]
    np.testing.assert_array_equal(separate[0].error[1], separate[1].error[1])


def test_every_row_is_in_one_fold_and_folds_are_of_equal_size() -> None:
    task = UserTask("sine", np.zeros((11, 1)), np.zeros(11))
    assert sorted(np.bincount(folds_of(task, 5, (0, "sine")))) == [2, 2, 2, 2, 3]
    few = UserTask("sine", np.zeros((3, 1)), np.zeros(3))
    assert sorted(folds_of(few, 5, (0, "sine"))) == [0, 1, 2]


def test_a_task_is_judged_by_the_paired_difference_of_its_held_out_errors() -> None:
    task = UserTask("sine", np.zeros((12, 1)), np.zeros(12))
    separate = np.linspace(1, 2, 12)
    worse = judged(task, separate + np.tile([0.1, 0.3], 6), separate, guard=True)
    assert (worse.verdict, worse.joint) == ("hurt", False)
    assert worse.delta == pytest.approx(0.2)
    assert judged(task, separate + 0.2, separate, guard=False).joint
    better = judged(task, separate - np.tile([0.1, 0.3], 6), separate, guard=True)
    assert (better.verdict, better.joint) == ("helped", True)
    noise = judged(task, separate + np.tile([0.3, -0.3], 6), separate, guard=True)
    assert (noise.verdict, noise.joint) == ("no_difference", True)
    few = UserTask("sine", np.zeros((1, 1)), np.zeros(1))
    assert judged(few, np.ones(1), np.ones(1), guard=True).verdict == "too_few_to_say"


def test_a_guarded_task_is_answered_from_its_own_labels_alone() -> None:
    source, mine = model(), user()
    adapted, result = adapt_to_set(source, mine, guard=True)
    chosen = [one.joint for one in adapted.tasks]
    assert chosen == [one.joint for one in result.tasks]
    x = torch.linspace(-3, 3, 4)[None, :, None].expand(3, 4, 1)
    asked = asking(adapted.support, adapted.roles, x[None])
    joint = source.answer(asked, together(adapted.roles)).mean[0]
    separate = source.answer(asked, alone(adapted.roles)).mean[0]
    assert not torch.allclose(joint, separate)
    wanted = torch.stack([joint[t] if chosen[t] else separate[t] for t in range(3)])
    torch.testing.assert_close(adapted.predict(x).mean, wanted)


def test_the_coupling_is_square_with_nothing_on_its_diagonal() -> None:
    _, result = adapt_to_set(model(), user())
    matrix = result.coupling.matrix[0]
    assert matrix.shape == (3, 3)
    assert (matrix[np.eye(3, dtype=bool)] == 0).all()
    assert (matrix[~np.eye(3, dtype=bool)] != 0).all()


def test_another_number_of_inputs_is_refused_by_name() -> None:
    mine = user()
    wide = UserSet(mine.name, mine.tasks, ("x", "z"), "folder")
    with pytest.raises(DataError, match="2 input columns, x, z; the model takes 1"):
        adapt_to_set(model(), wide)
