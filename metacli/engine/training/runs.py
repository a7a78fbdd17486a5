"""What the frame of training (`run`, `keeper`, `resume`) needs of a run, of whatever kind.

A kind of run is one frozen class with these methods, in a file of its own, and a case in `kinds`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar, Literal, Protocol, Self, TypeVar

import torch

from metacli.algorithms.learner import Method
from metacli.engine.events import Reporter
from metacli.engine.ranks.team import Team
from metacli.engine.results.base import Json
from metacli.engine.results.train import Comparison, Limit
from metacli.engine.scoring.intervals import Estimate
from metacli.engine.training.checkpoint import Saved
from metacli.engine.training.history import History
from metacli.engine.training.loop import Pace, Snapshot, train
from metacli.engine.training.signals import Control
from metacli.engine.training.workspace import Workspace
from metacli.errors import UsageProblem
from metacli.schema.multi_task import MultiTaskRecipe
from metacli.schema.recipe import Recipe
from metacli.types import Params, State

Kind = Literal["classification", "regression"]
Data = TypeVar("Data")


@dataclass(frozen=True)
class DataFacts:
    """What a run learns from, to know the same data again.

    Args:
        train, val: SHA-256 hex of the parts.
        shown: what `run.json` and `model.json` tell of them.
    """

    train: str
    val: str
    shown: Mapping[str, Json]


@dataclass(frozen=True)
class Start:
    """Where training begins.

    Args:
        params: θ, with what the method learns besides. state: the method's memory.
        network: names of the network's parameters. learned: of all that the optimiser sees.
    """

    params: Params
    state: State
    network: frozenset[str]
    learned: frozenset[str]


@dataclass(frozen=True)
class Validation:
    """The validation of a state; `by_task` of a run whose tasks are few and known by name."""

    estimate: Estimate
    by_task: tuple[float, ...] = ()


@dataclass(frozen=True)
class Hooks:
    """What the frame wants of the loop: see `loop.train`."""

    visit: Callable[[Snapshot], None]
    stop: Callable[[], bool]
    report: Reporter
    pace: Pace = field(default_factory=Pace)


@dataclass(frozen=True)
class Reached:
    """What a training has come to: the steps taken, and the state with the best validation."""

    steps: int
    best: Saved | None
    history: History


class Run(Protocol):
    """A recipe that is ready to train. Nothing of it is written before `write_model`."""

    @property
    def verb(self) -> str:
        """The command that trains it."""
        ...

    @property
    def recipe(self) -> Recipe:
        """Fully resolved."""
        ...

    @property
    def metric(self) -> str:
        """By which it is validated."""
        ...

    @property
    def kind(self) -> Kind:
        """Whether the metric is an error (regression) or a success."""
        ...

    @property
    def data(self) -> DataFacts: ...

    def check(self, name: str) -> None:
        """What else can be wrong with the recipe called `name`. Raises RecipeError."""
        ...

    def divided(self, team: Team) -> Self:
        """The run as one of several processes. Raises UsageProblem for what cannot be divided."""
        ...

    def foretell(self, report: Reporter) -> Self:
        """Reports what can be said before training, as a dry run does, too; the run with what was
        found out. Nothing is written."""
        ...

    def prepared(self, workspace: Workspace) -> Self:
        """The run with what has to be found out under its lock before training begins."""
        ...

    def start(self) -> Start:
        """Before the first step, on the CPU."""
        ...

    def train(
        self, begin: Snapshot, learned: frozenset[str], device: torch.device, hooks: Hooks
    ) -> Snapshot:
        """Train from a state on. Raises as `loop.train`."""
        ...

    def validate(self, snapshot: Snapshot, tick: Callable[[int], None]) -> Validation:
        """Score a state on validation data; `tick` gets the number of episodes done."""
        ...

    def write_model(self, workspace: Workspace, reached: Reached) -> None:
        """The model folder from the best state; nothing where no state was validated yet."""
        ...

    def compared(self, workspace: Workspace, reached: Reached, control: Control) -> Self:
        """Train what the run is compared with for as long, kept below `baselines/`; the run with
        what came of it."""
        ...

    @property
    def batch_bytes(self) -> int:
        """Bytes of the data of one step at least."""
        ...

    def details(self) -> dict[str, Json]:
        """What `RunStarted` says of this kind of run."""
        ...

    def comparison(self, folder: Path) -> Comparison | None:
        """What the run was compared with, for its result."""
        ...


class OfOneProcess:
    """What the runs have in common whose builder finds every problem, and whose steps are not
    divided."""

    trains_on: ClassVar[str]  # in words

    def check(self, name: str) -> None:
        """Whoever built it has found everything."""

    def divided(self, team: Team) -> Self:
        """Refused."""
        raise UsageProblem(
            f"training on {self.trains_on} is not divided over processes",
            code="usage.not_divided",
            hint="train it without torchrun",
        )

    def foretell(self, report: Reporter) -> Self:
        """There is nothing to be said."""
        return self

    def prepared(self, workspace: Workspace) -> Self:
        """There is nothing to be found out."""
        return self


class Trainable(Protocol):
    """A network without its weights, as far as a run's beginning is concerned."""

    @property
    def trainable(self) -> frozenset[str]: ...


Network = TypeVar("Network", bound=Trainable)


def start_of(
    init: Callable[[Network, Params], tuple[Params, State]], problem: Network, params: Params
) -> Start:
    """θ with the method's own parameters and memory, which its `init` gives."""
    own, state = init(problem, params)
    network = problem.trainable
    return Start({**params, **own}, state, network, network | frozenset(own))


def train_run(
    method: Method[Network, Data],
    problem: Network,
    batch_at: Callable[[int], Data],
    recipe: Recipe,
    begin: Snapshot,
    learned: frozenset[str],
    hooks: Hooks,
) -> Snapshot:
    """The loop as every kind of run has it."""
    return train(
        method,
        problem,
        batch_at,
        recipe.train,
        begin,
        learned=learned,
        seed=recipe.seed,
        every=recipe.evaluate.every,
        visit=hooks.visit,
        stop=hooks.stop,
        report=hooks.report,
        pace=hooks.pace,
    )


@dataclass
class Session:
    """A run while it is carried out, and what it has reached.

    Args:
        begin: the checkpoint to resume from. best: the one with the best validation.
        stopped_by: the limit that ends it before its last step.
    """

    run: Run
    workspace: Workspace
    begin: Saved | None = None
    best: Saved | None = None
    history: History = field(default_factory=History)
    stopped_by: Limit | None = None

    @property
    def recipe(self) -> Recipe:
        return self.run.recipe

    @property
    def folder(self) -> Path:
        return self.workspace.folder

    def reached(self, steps: int) -> Reached:
        return Reached(steps, self.best, self.history)


def multi_task_details(recipe: MultiTaskRecipe, tasks: int) -> dict[str, Json]:
    """What a result says of a recipe of so many tasks."""
    surgery = {} if recipe.surgery is None else {"surgery": recipe.surgery.name}
    return {
        "data": recipe.data.source,
        "tasks": tasks,
        "sharing": recipe.sharing.name,
        "weighting": recipe.weighting.name,
        **surgery,
        "backbone": recipe.backbone.name,
    }
