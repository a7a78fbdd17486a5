"""The two ways of balancing tasks. They are two classes because their cost differs: one backward
pass against one for each task."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import NamedTuple

import torch
from torch import Tensor

from metacli.errors import UsageProblem
from metacli.types import Params, State


class Weighted(NamedTuple):
    """What a weighting makes of losses: the scalar to differentiate, and its memory."""

    loss: Tensor
    state: State


class Weighting(ABC):
    """One backward pass: a frozen dataclass of pure functions.

    In a training loop of one's own:

        loss, state = weighting(losses, state)     # state None at the first step
        loss.backward()
    """

    @property
    def needs_norms(self) -> bool:
        """Whether the norm of each task's gradient at the last shared layer is wanted."""
        return False

    @property
    def needs_validation(self) -> bool:
        """Whether it follows the loss on validation rows (`multitask/meta.py`)."""
        return False

    def init(self, tasks: int) -> tuple[Params, State]:
        """Learned parameters (trained with the network) and memory."""
        return {}, {}

    def terms(self, losses: Tensor) -> Tensor:
        """What a surgery that goes with it takes the gradients of, [T]."""
        return losses

    @abstractmethod
    def objective(
        self,
        losses: Tensor,
        norms: Tensor | None,
        params: Params,
        state: State,
        rng: torch.Generator,
    ) -> tuple[Tensor, State]:
        """The scalar to differentiate, from losses [T] and gradient norms [T]; and the memory."""

    def __call__(
        self,
        losses: Tensor,
        state: State | None = None,
        *,
        params: Params | None = None,
        norms: Tensor | None = None,
        rng: torch.Generator | None = None,
    ) -> Weighted:
        """The weighted loss of one step.

        Args:
            losses: [T], one scalar for each task.
            state: the memory that the last step gave; None at the first one.
            params: its learned parameters, from `init` and trained with the network, if it has any.
            norms: [T], the norm of each task's gradient at the last shared layer, if it
                `needs_norms`.
            rng: what is random; left out, seeded by torch's global generator.

        Raises:
            UsageProblem: losses are no vector; norms or parameters are missing; or the weighting
                needs validation rows, which only `multitask` gives it.
        """
        name = type(self).__name__
        if losses.dim() != 1 or not len(losses):
            raise UsageProblem(
                f"losses are {tuple(losses.shape)}; wanted is [T], one for each task"
            )
        if self.needs_validation:
            raise UsageProblem(f"{name} follows the loss on validation rows: metacli.multitask")
        if self.needs_norms and norms is None:
            raise UsageProblem(f"{name} needs norms=, the norm of each task's gradient, [T]")
        own, begin = self.init(len(losses))
        if missing := own.keys() - (params or {}).keys():
            raise UsageProblem(
                f"{name} has learned parameters: {', '.join(sorted(missing))}",
                hint="params, state = weighting.init(T); train params, and give params=params",
            )
        state = begin if state is None else state
        return Weighted(*self.objective(losses, norms, params or {}, state, rng or seeded()))


class Surgery(ABC):
    """T backward passes; sees no network: a frozen dataclass of pure functions."""

    @property
    def weighting(self) -> str:
        """The weighting that it goes with, whose terms the gradients are of."""
        return "equal"

    @property
    def memory(self) -> bool:
        """Whether it remembers gradients from step to step (`remembered`)."""
        return False

    def remembered(self, rows: Tensor, before: Tensor) -> Tensor:
        """What is combined and kept, [T, P], of the gradients of this step and of what was kept
        before, zeros at first."""
        return rows

    @abstractmethod
    def combine(self, rows: Tensor, rng: torch.Generator) -> Tensor:
        """The direction [P] from the tasks' gradients J, [T, P]."""

    def __call__(self, jacobian: Tensor, rng: torch.Generator | None = None) -> Tensor:
        """The direction [P] to subtract, from the tasks' gradients, [T, P].

        Raises:
            UsageProblem: the gradients are no matrix.
        """
        if jacobian.dim() != 2 or not jacobian.numel():
            raise UsageProblem(
                f"the gradients are {tuple(jacobian.shape)}; wanted is [T, P], a row for each task"
            )
        return self.combine(jacobian, rng or seeded())


def seeded() -> torch.Generator:
    """A generator seeded by torch's global one."""
    return torch.Generator().manual_seed(int(torch.randint(2**62, ())))
