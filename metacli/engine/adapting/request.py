"""What was asked of `adapt`, beside the models."""

from __future__ import annotations

import os
import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypedDict, get_args

import torch

from metacli.data.tables.choice import NOTHING_SAID, Choice, TaskType
from metacli.data.user.content import Content
from metacli.engine.events import Reporter, ignore
from metacli.engine.models.learners import METHODS, NATIVE
from metacli.engine.models.parts import NO_COLUMNS, Columns
from metacli.engine.results.adapt import Doubt
from metacli.engine.scoring.checks import Check, parse_checks
from metacli.engine.spelling import typed
from metacli.errors import UsageProblem

BUDGET = 30.0  # seconds of processor time
CPU = torch.device("cpu")


class AdaptKeywords(TypedDict, total=False):
    """Keywords of `adapt` beside those that say how."""

    target: str | None
    input: str | Sequence[str] | None
    type: Literal["classification", "regression"] | None
    skip_bad: bool
    allow_duplicates: bool
    folds: int | None
    compare: bool | None
    new_only: bool
    follow_links: bool
    fail_under: Sequence[str]
    fail_over: Sequence[str]
    fail_if: Sequence[str]
    strict: bool
    order: str | None
    out: str | Path | None
    force: bool
    device: str
    seed: int | None
    dry_run: bool
    budget: float | None
    fit_inputs: bool
    standalone: bool
    shard: str | None


@dataclass(frozen=True)
class Settings:
    """The same with their defaults.

    Args:
        target: the column to predict. input: those to predict from, with commas between them.
        type: only to be sure; a model answers with what it was trained for.
        skip_bad: leave out files that cannot be read.
        allow_duplicates: go on with examples that are in support and query, or under two labels.
        folds: at most so many, dealt once; 0: none, and no score; None: five, dealt again where
            they are few.
        compare: with models that need no source; None: for one task, and not for a folder of them.
        new_only: of a folder of tasks those alone that have no model yet.
        follow_links: read what links, and names that lead out of the task's folder, lead to.
        fail_under: `accuracy=0.9`: the check fails below; `fail_over` above.
        order: a column, or `rows`: the last rows in that order are held out, each block predicted
            from the rows before it.
        fail_if: `guessing`, `hurts`: fails where that is said of the model; `strict`: for each.
        out: the new model's folder; None: `runs/adapted/<task>/<UTC time>`.
        force: replace it.
        budget: seconds of processor time for a choice among the sources on this machine; None: 30.
            With more than that, networks that are fine-tuned in every fold are among them.
        fit_inputs: change images where they then suit the source better.
        shard: of a folder of tasks a part, `2/8`, for `merge`.
        standalone: a pretrained encoder is put into the folder, not named by its hash.
    """

    target: str | None = None
    input: str | Sequence[str] | None = None
    type: TaskType | None = None
    skip_bad: bool = False
    allow_duplicates: bool = False
    folds: int | None = None
    compare: bool | None = None
    new_only: bool = False
    follow_links: bool = False
    fail_under: Sequence[str] = ()
    fail_over: Sequence[str] = ()
    fail_if: Sequence[str] = ()
    strict: bool = False
    order: str | None = None
    out: str | Path | None = None
    force: bool = False
    device: str = "auto"
    seed: int | None = None
    dry_run: bool = False
    budget: float | None = None
    fit_inputs: bool = False
    standalone: bool = False
    shard: str | None = None

    def checks(self) -> list[Check]:
        """Raises UsageProblem."""
        return parse_checks(self.fail_under, self.fail_over)

    def doubts(self) -> tuple[Doubt, ...]:
        """Those that fail. Raises UsageProblem for another word, or where it is not looked for."""
        names: tuple[Doubt, ...] = get_args(Doubt)
        for word in self.fail_if:
            if word not in names:
                raise UsageProblem(f"--fail-if {word}; wanted {' or '.join(names)}")
        asked = tuple(name for name in names if self.strict or name in self.fail_if)
        if "hurts" in asked and self.compare is False:
            raise UsageProblem(
                "whether the source hurts is seen in the comparison that --no-compare leaves out",
                hint="leave out --no-compare, or --fail-if guessing alone",
            )
        return asked

    def choice(self) -> Choice:
        """What is said of the columns of tables. Raises UsageProblem for no type of a task."""
        if self.type not in (None, *get_args(TaskType)):
            raise UsageProblem(f"--type {self.type}; wanted {' or '.join(get_args(TaskType))}")
        names = self.input.split(",") if isinstance(self.input, str) else self.input
        inputs = None if names is None else tuple(names)
        return Choice(self.target, inputs, self.type, follow_links=self.follow_links)


@dataclass(frozen=True)
class Request:
    """One task to adapt to, whatever the model.

    Args:
        overrides: of the learner's fields.
        holdout: share of the support to score on, instead of k-fold.
        baseline: also train the same network from scratch.
        folds: at most so many, dealt once; 0: nothing is held out, and the model has no score;
            None: `splits.repeated_folds`.
        compare: with models that need no source.
        choice: what is said of the columns of tables.
        budget: seconds of processor time for a choice among the sources on this machine.
        fit_inputs: choose on folds whether images are inverted, made grey, or given contrast.
        order: a column, or `rows`, by which the support is sorted, and whose last rows are held
            out.
        onto: tasks that the examples are added to, each with what was said of its columns;
            `columns` are those of the model that was adapted to them.
        content: what the door found at the task, where it was asked already.
    """

    task: Path
    method: str = NATIVE
    overrides: tuple[str, ...] = ()
    holdout: float | None = None
    baseline: bool = False
    choice: Choice = NOTHING_SAID
    skip_bad: bool = False
    allow_duplicates: bool = False
    seed: int = 0
    device: torch.device = CPU
    report: Reporter = ignore
    onto: tuple[tuple[Path, Choice], ...] = ()
    columns: Columns = NO_COLUMNS
    folds: int | None = None
    compare: bool = True
    budget: float = BUDGET
    fit_inputs: bool = False
    content: Content | None = None
    order: str | None = None

    def __post_init__(self) -> None:
        """Raises UsageProblem."""
        if self.method not in METHODS:
            raise UsageProblem(
                f"unknown method {self.method!r}", hint=f"there are {', '.join(METHODS)}"
            )
        if self.holdout is not None and not 0 < self.holdout < 1:
            raise UsageProblem(f"--holdout wants a share between 0 and 1, found {self.holdout:g}")
        if self.order is not None and self.folds is not None:
            raise UsageProblem("--folds deals random folds, and --order holds out the last rows")
        if self.folds is not None and (self.folds < 0 or self.folds == 1):
            raise UsageProblem(f"--folds is 2 or more, or 0 for no score; found {self.folds}")
        if self.folds == 0 and self.holdout is not None:
            raise UsageProblem("--folds 0 holds nothing out, and --holdout a share")
        if not self.budget > 0:
            raise UsageProblem(f"--budget wants seconds above 0, found {self.budget:g}")

    @property
    def typed(self) -> str:
        """The task and what was said of how it is read and scored, as words of `adapt`."""
        words = typed(
            type=self.choice.type,
            order=self.order,
            follow_links=self.choice.follow_links,
            skip_bad=self.skip_bad,
            allow_duplicates=self.allow_duplicates,
        )
        return shlex.join([os.fspath(self.task), *self.choice.words(), *words])
