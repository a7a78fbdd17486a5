"""A learner of sets adapted to one set of a user: whether the tasks help each other, measured on
held-out rows, and the model of the set."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from metacli.algorithms.meta_multitask.protocol import alone, together
from metacli.data.draws import shuffled
from metacli.data.sets.from_user import UserSet, UserTask, asking, roles_of, support_of
from metacli.engine.results.sets import SetTaskScore
from metacli.engine.scoring.intervals import FEW, Verdict, paired, t_quantile
from metacli.engine.sets.coupling import Coupling, coupling_of
from metacli.engine.sets.model import AdaptedSet, SetModel, SetTask
from metacli.errors import DataError
from metacli.nn.set_attention import Gaussian
from metacli.types import Batch

FOLDS = 5


@dataclass(frozen=True)
class SetResult:
    """Every task, `coupling`, [1, T, T], and joint minus separate errors of all held-out rows, [M],
    of tasks that have several."""

    tasks: tuple[SetTaskScore, ...]
    coupling: Coupling
    differences: np.ndarray


@dataclass(frozen=True)
class HeldOut:
    """Absolute errors of the held-out rows of each task, under one way of seeing: T arrays."""

    error: list[np.ndarray]


def adapt_to_set(
    model: SetModel, user: UserSet, *, guard: bool = False, folds: int = FOLDS, seed: int = 0
) -> tuple[AdaptedSet, SetResult]:
    """The model of a set.

    Args:
        guard: a task is answered from its own labels alone where that was better on held-out rows
            by one standard error of the paired difference.
    Raises:
        DataError: other tasks or another number of inputs than the model knows.
    """
    if len(user.inputs) != model.width:
        raise DataError(
            f"{user.name} has {len(user.inputs)} input columns, {', '.join(user.inputs)}; the "
            f"model takes {model.width}",
            code="sets.inputs",
            hint="--input A,B chooses the columns",
        )
    roles = roles_of(user.names, model.known)
    tasks = [one.labelled for one in user.tasks]
    parts = [folds_of(one, folds, (seed, one.name)) for one in tasks]
    joint = held_out(model, tasks, roles, parts, together(roles))
    separate = held_out(model, tasks, roles, parts, alone(roles))
    results = tuple(
        judged(task, joint.error[t], separate.error[t], guard=guard) for t, task in enumerate(tasks)
    )
    labelled = support_of(tasks)
    coupling = coupling_of(model, asking(labelled, roles, labelled.x))
    pairs = zip(joint.error, separate.error, strict=True)
    differences = np.concatenate([a - b for a, b in pairs if len(a) > 1] or [np.zeros(0)])
    result = SetResult(results, coupling, differences)
    adapted = AdaptedSet(
        model,
        tuple(SetTask(one.name, one.joint, one.labels) for one in results),
        user.inputs,
        user.layout,
        labelled,
        roles,
        user.target,
        user.task,
    )
    return adapted, result


def folds_of(task: UserTask, folds: int, key: tuple[int, str]) -> np.ndarray:
    """The fold of each row, [M]; as many folds as rows where these are fewer."""
    order = np.array(shuffled(len(task.y), "set folds", *key), int)
    found = np.empty(len(task.y), int)
    found[order] = np.arange(len(task.y)) % folds
    return found


def held_out(
    model: SetModel,
    tasks: Sequence[UserTask],
    roles: Tensor,
    parts: Sequence[np.ndarray],
    sees: Tensor,
) -> HeldOut:
    """Every labelled row answered without the labels of its fold, in any task."""
    errors = [np.full(len(one.y), np.nan) for one in tasks]
    for fold in range(max(int(part.max()) for part in parts) + 1):
        kept = [rows(one, part != fold) for one, part in zip(tasks, parts, strict=True)]
        asked = support_of(
            [rows(one, part == fold) for one, part in zip(tasks, parts, strict=True)]
        )
        found = model.answer(asking(support_of(kept), roles, asked.x), sees)
        for t, part in enumerate(parts):
            here = part == fold
            count = int(here.sum())
            errors[t][here] = (found.mean - asked.y).abs()[0, t, :count].double().numpy()
    return HeldOut(errors)


def rows(task: UserTask, chosen: np.ndarray) -> UserTask:
    return UserTask(task.name, task.x[chosen], task.y[chosen])


def judged(task: UserTask, joint: np.ndarray, separate: np.ndarray, *, guard: bool) -> SetTaskScore:
    """What the held-out errors of one task say."""
    count = len(joint)
    if count < 2:
        return SetTaskScore(task.name, count, None, None, None, None, "too_few_to_say", joint=True)
    delta, low, high = paired(joint - separate)
    error = (high - delta) / t_quantile(count - 1)
    verdict: Verdict = "helped" if high < 0 else "hurt" if low > 0 else "no_difference"
    return SetTaskScore(
        task.name,
        count,
        float(joint.mean()),
        float(separate.mean()),
        delta,
        (low, high),
        verdict if count >= FEW else "too_few_to_say",
        joint=not (guard and delta > error),
    )


def rows_for(adapted: AdaptedSet, user: UserSet) -> Batch:
    """Rows to predict, x [T, Q, D] in the order of the model's tasks; mask [T, Q]."""
    by_name = {one.name: one for one in user.tasks}
    most = max(1, *(len(one.x) for one in user.tasks))
    x = np.zeros((len(adapted.tasks), most, len(adapted.inputs)))
    mask = np.zeros(x.shape[:2], bool)
    for t, name in enumerate(adapted.names):
        if name in by_name:
            own = by_name[name].x
            x[t, : len(own)], mask[t, : len(own)] = own, True
    batch = torch.as_tensor(x, dtype=torch.float32)
    return Batch(batch, batch[..., 0] * 0, torch.from_numpy(mask))


def predicted(adapted: AdaptedSet, user: UserSet) -> dict[str, Gaussian]:
    """Mean and variance [Q] of the rows of each task, by its name."""
    batch = rows_for(adapted, user)
    found = adapted.predict(batch.x)
    counts = {one.name: len(one.x) for one in user.tasks}
    return {
        name: Gaussian(found.mean[t, : counts[name]], found.variance[t, : counts[name]])
        for t, name in enumerate(adapted.names)
        if name in counts
    }
