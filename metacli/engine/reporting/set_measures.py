"""What a learner of sets does on validation sets: its error over points and over tasks, its fits of
a few sets, and its couplings."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from metacli.algorithms.meta_multitask.protocol import alone, together
from metacli.data.sets.functions import INPUT
from metacli.data.sets.sources import SetShape, SetSource
from metacli.engine.scoring.intervals import Estimate, over_episodes, paired
from metacli.engine.sets.build import VALIDATION_POINTS
from metacli.engine.sets.build import source_of as set_source
from metacli.engine.sets.coupling import auc_of, coupling_of
from metacli.engine.sets.model import SetModel
from metacli.engine.sets.scoring import Z90
from metacli.nn.set_attention import Gaussian
from metacli.types import SetEpisode

POINTS = (3, 5, 10, 20, 30)
SETS, GROUP, QUERY = 192, 16, 32
GRID = 101
AGAINST = 40  # rows of each task that are shown, where x is of several columns
SHOWN = 4  # tasks of a set whose fits are shown
LOOKED = 40  # sets among which one of each kind is looked for
SEED = "val"


@dataclass(frozen=True)
class Curve:
    """Errors over x of joint and separate adaptation on the same sets, one estimate for each x."""

    x: tuple[int, ...]
    joint: tuple[Estimate, ...]
    separate: tuple[Estimate, ...]


@dataclass(frozen=True)
class Gain:
    """Joint and separate adaptation at `points` points: their errors, and the paired difference
    joint minus separate with its 95 % interval. `tasks` is the number in a set, or a range."""

    points: int
    tasks: int | tuple[int, int]
    joint: Estimate
    separate: Estimate
    delta: float
    low: float
    high: float


@dataclass(frozen=True)
class TaskFit:
    """One task on a grid of x: what it really is, its labels, and the answers from its own labels
    (`alone`) and from those of all tasks (`together`); mean and half of the 90 % interval."""

    name: str
    x: np.ndarray
    truth: np.ndarray | None
    points: tuple[np.ndarray, np.ndarray]
    alone: tuple[np.ndarray, np.ndarray]
    together: tuple[np.ndarray, np.ndarray]

    def error(self, answer: tuple[np.ndarray, np.ndarray]) -> float | None:
        """Mean squared, on the grid."""
        return None if self.truth is None else float(((answer[0] - self.truth) ** 2).mean())


@dataclass(frozen=True)
class TaskAgainst:
    """One task whose rows are of several columns: labels of rows that it was not given, [Q], the
    answers from its own labels (`alone`) and from those of all tasks (`together`); mean and half of
    the 90 % interval. `labels`, how many it was given; `related`, how many of the other tasks are
    related to it."""

    name: str
    truth: np.ndarray
    labels: int
    related: int
    alone: tuple[np.ndarray, np.ndarray]
    together: tuple[np.ndarray, np.ndarray]

    def error(self, answer: tuple[np.ndarray, np.ndarray]) -> float:
        """Mean squared, over these rows."""
        return float(((answer[0] - self.truth) ** 2).mean())


@dataclass(frozen=True)
class SetLook:
    """One validation set; `kind` says how its tasks are related."""

    kind: str
    tasks: tuple[TaskFit | TaskAgainst, ...]


@dataclass(frozen=True)
class OneCoupling:
    """Of one set: the learned coupling, and which tasks share their parameters, both [T, T]."""

    names: tuple[str, ...]
    learned: np.ndarray
    true: np.ndarray
    what: str


@dataclass(frozen=True)
class KindCoupling:
    """Of a kind of set, the mean over so many `sets`."""

    kind: str
    sets: int
    coupling: OneCoupling


@dataclass(frozen=True)
class CoupledKinds:
    """Every kind of set, and how well couplings tell related pairs of tasks from unrelated ones
    (None where all pairs are of one kind)."""

    kinds: tuple[KindCoupling, ...]
    auc: float | None


def source_of(
    model: SetModel, points: int, query: int, group: int, *, grid: bool = False
) -> SetSource:
    """Validation sets; each number of points has the same ones."""
    return set_source(model.recipe, SetShape(points, query, group, grid), (SEED, 0))


def episodes_of(source: SetSource, sets: int) -> Iterator[SetEpisode]:
    """Groups of `GROUP` sets."""
    return (source.meta_batch_at(step) for step in range(-(-sets // GROUP)))


def names_of(model: SetModel, roles: Tensor) -> list[str]:
    """Of the tasks of a set, roles [T]; a number where tasks have no names."""
    return [
        model.known[role] if role >= 0 else f"task {number}"
        for number, role in enumerate(roles.tolist(), 1)
    ]


def errors_of(found: Gaussian, episodes: SetEpisode) -> Tensor:
    """The mean squared error of each task, [B, T]."""
    return (found.mean - episodes.query.y).square().mean(-1)


def over_points(model: SetModel, points: tuple[int, ...] = POINTS) -> tuple[Curve, Gain]:
    """The curve, and what stands in the headline: `VALIDATION_POINTS` points."""
    joint, separate, gain = [], [], None
    for count in points:
        parts: tuple[list[np.ndarray], list[np.ndarray]] = ([], [])
        sizes = set()
        for episodes in episodes_of(source_of(model, count, QUERY, GROUP), SETS):
            sizes.add(episodes.roles.shape[1])
            for part, sees in zip(parts, (together, alone), strict=True):
                found = errors_of(model.answer(episodes, sees(episodes.roles)), episodes)
                part.append(found.mean(1).double().numpy())
        both, apart = map(np.concatenate, parts)
        joint.append(over_episodes(both))
        separate.append(over_episodes(apart))
        if count == VALIDATION_POINTS:
            tasks = sizes.pop() if len(sizes) == 1 else (min(sizes), max(sizes))
            gain = Gain(count, tasks, joint[-1], separate[-1], *paired(both - apart))
    assert gain is not None
    return Curve(points, tuple(joint), tuple(separate)), gain


def over_tasks(model: SetModel, points: int = VALIDATION_POINTS) -> Curve:
    """The error of a task by the number of tasks that it sees: itself and those after it, in turn
    for every task of a set, so that all numbers are about the same tasks and labels."""
    errors: dict[int, list[np.ndarray]] = {}
    for episodes in episodes_of(source_of(model, points, QUERY, GROUP), SETS // 2):
        for seen in range(1, episodes.roles.shape[1] + 1):
            errors.setdefault(seen, []).append(seeing(model, episodes, seen))
    whole = {seen: np.concatenate(found) for seen, found in errors.items()}
    most = len(whole[1])
    kept = {seen: found for seen, found in whole.items() if len(found) == most}
    joint = tuple(over_episodes(found) for found in kept.values())
    return Curve(tuple(kept), joint, (joint[0],) * len(kept))


def seeing(model: SetModel, episodes: SetEpisode, seen: int) -> np.ndarray:
    """The mean error [B] of the tasks of each set, each seeing `seen` tasks."""
    tasks = episodes.roles.shape[1]
    total = torch.zeros(len(episodes.roles), dtype=torch.float64)
    for task in range(tasks):
        window = torch.tensor([(task + step) % tasks for step in range(seen)])
        sees = alone(episodes.roles)
        sees[:, window[:, None], window] = True
        total += errors_of(model.answer(episodes, sees), episodes)[:, task]
    return (total / tasks).numpy()


def coupled_kinds(model: SetModel, points: int = VALIDATION_POINTS) -> CoupledKinds:
    """The couplings of validation sets, by kind of set. Where a kind has the same tasks in every
    set it is the mean over them, else the first of them is shown."""
    source = source_of(model, points, QUERY, 1)
    found: dict[str, list[OneCoupling]] = {}
    for step in range(SETS // 4):
        episodes, related = source.meta_batch_at(step), source.related_at(step)[0]
        coupling = coupling_of(model, episodes)
        names = tuple(names_of(model, episodes.roles[0]))
        one = OneCoupling(names, coupling.matrix[0], related, coupling.what)
        found.setdefault(kind_of(related), []).append(one)
    kinds = tuple(mean_of_kind(kind, sets) for kind, sets in found.items())
    return CoupledKinds(
        kinds, auc_of([(c.learned, c.true) for some in found.values() for c in some])
    )


def mean_of_kind(kind: str, sets: list[OneCoupling]) -> KindCoupling:
    if len({one.names for one in sets}) > 1:
        sets = sets[:1]
    learned = np.mean([one.learned for one in sets], 0)
    return KindCoupling(kind, len(sets), replace(sets[0], learned=learned))


def looks(model: SetModel) -> list[SetLook]:
    """The first validation set of each kind: curves where x is one number, else what is said of
    rows against what is true."""
    if model.width > 1:
        return [look_against(model)]
    source = source_of(model, VALIDATION_POINTS, GRID, 1, grid=True)
    found: dict[str, SetLook] = {}
    for step in range(LOOKED if is_of_several_kinds(model) else 1):
        related = source.related_at(step)[0]
        kind = kind_of(related)
        if kind not in found:
            found[kind] = look_of(model, source.meta_batch_at(step), kind)
    return list(found.values())


def is_of_several_kinds(model: SetModel) -> bool:
    return model.recipe.data.options.get("variant") == "pooled"


def kind_of(related: np.ndarray) -> str:
    """In words."""
    if related.all():
        return "all tasks are related"
    return "no two tasks are related" if related.sum() == len(related) else "some tasks are related"


def look_of(model: SetModel, episodes: SetEpisode, kind: str) -> SetLook:
    names = names_of(model, episodes.roles[0])
    x, truth = np.linspace(*INPUT, GRID), episodes.query.y[0].numpy()
    fits = fits_of(model.answer, episodes, names, x)
    tasks = tuple(
        TaskFit(one.name, one.x, truth[t], one.points, one.alone, one.together)
        for t, one in enumerate(fits)
    )
    return SetLook(kind, tasks)


def look_against(model: SetModel) -> SetLook:
    """The first validation set, of several columns: `SHOWN` of its tasks, from the first to the
    last."""
    source = source_of(model, VALIDATION_POINTS, AGAINST, 1)
    episodes, related = source.meta_batch_at(0), source.related_at(0)[0]
    support, truth = episodes.support, episodes.query.y[0].double().numpy()
    counts = (
        torch.full(support.y.shape[1:2], support.y.shape[2])
        if support.mask is None
        else support.mask[0].sum(-1)
    )
    halves = bands_of(model.answer, episodes)
    names = names_of(model, episodes.roles[0])
    shown = np.unique(np.linspace(0, len(names) - 1, SHOWN).round().astype(int)).tolist()
    tasks = tuple(
        TaskAgainst(
            *(names[t], truth[t], int(counts[t]), int(related[t].sum()) - 1),
            *(halves[0][t], halves[1][t]),
        )
        for t in shown
    )
    return SetLook(kind_of(related), tasks)


Bands = list[list[tuple[np.ndarray, np.ndarray]]]
"""From the own labels and from those of all tasks: of each task mean and half of the interval."""


def bands_of(answer: Callable[[SetEpisode, Tensor], Gaussian], episodes: SetEpisode) -> Bands:
    """Of the first set."""
    halves = [answer(episodes, sees(episodes.roles)) for sees in (alone, together)]
    return [
        [
            (m.numpy(), Z90 * v.sqrt().numpy())
            for m, v in zip(one.mean[0], one.variance[0], strict=True)
        ]
        for one in halves
    ]


def fits_of(
    answer: Callable[[SetEpisode, Tensor], Gaussian],
    episodes: SetEpisode,
    names: list[str],
    x: np.ndarray,
) -> list[TaskFit]:
    """The fits of the first set, whose queries are the grid x for every task."""
    support = episodes.support
    mask = torch.ones_like(support.y, dtype=torch.bool) if support.mask is None else support.mask
    bands = bands_of(answer, episodes)
    return [
        TaskFit(
            name,
            x,
            None,
            (support.x[0, t, mask[0, t], 0].numpy(), support.y[0, t, mask[0, t]].numpy()),
            bands[0][t],
            bands[1][t],
        )
        for t, name in enumerate(names)
    ]
