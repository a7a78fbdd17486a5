"""What a researcher's network or episodes can have wrong, said in words instead of torch's."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from metacli.autodiff import stops_second_derivatives
from metacli.errors import UsageProblem
from metacli.nn.problem import Problem
from metacli.trees import pick
from metacli.types import Batch, Episode, Params


def check_meta_batch(problem: Problem, episodes: Episode) -> None:
    """Raises UsageProblem where the tensors are no meta-batch of one size."""
    tasks = {len(half.y) if half.y.dim() else 0 for half in episodes}
    for name, half in zip(("support", "query"), episodes, strict=True):
        rows = half.y.shape[:2]
        labels = problem.kind == "classification"
        wrong = half.x.shape[:2] != rows or len(rows) < 2 or (labels and half.y.dim() != 2)
        if wrong or len(tasks) > 1 or 0 in (*rows, *tasks):
            wanted = "y [B, M]" if labels else "y [B, M, outputs]"
            raise UsageProblem(
                f"{name} has x {tuple(half.x.shape)} and y {tuple(half.y.shape)}; wanted are "
                f"x [B, M, ...] and {wanted}, with the same B in support and query",
                hint="Episode(Batch(x, y), Batch(x, y)) of metacli; x[None] is one task",
            )
        if labels and half.y.is_floating_point():
            raise UsageProblem(f"{name}.y is {half.y.dtype}; wanted are labels 0..N-1 as int64")


SECOND = "second derivatives"
FIRST = "a learner that needs none, such as MAML(first_order=True)"


def require_second_derivatives(problem: Problem, params: Params, episodes: Episode) -> None:
    """Raises UsageProblem where the gradient of the first task's support hides an operation that
    forbids a second derivative: torch leaves it out of the sum instead of stopping at it. Looked
    for once for a problem."""
    if problem.chunk > 1 or SECOND in problem.checked:  # inside vmap torch stops by itself
        return
    support = Batch(episodes.support.x[0], episodes.support.y[0])
    theta = pick(params, problem.trainable)
    with explained(problem):
        stops = stops_second_derivatives(
            lambda moved: problem.loss_on({**params, **moved}, support), theta
        )
    if stops:
        raise UsageProblem(
            "an operation of the network has no second derivative (once_differentiable)",
            hint=FIRST,
        )
    problem.checked.add(SECOND)


@contextmanager
def explained(problem: Problem) -> Iterator[None]:
    """Raises UsageProblem for an operation without second derivative, or without a rule for
    vmap."""
    try:
        yield
    except (RuntimeError, NotImplementedError) as error:
        text = str(error)
        if "derivative for" in text:
            raise UsageProblem(
                f"an operation of the network has no second derivative: {text.splitlines()[0]}",
                hint=FIRST,
            ) from error
        if problem.chunk > 1:
            raise UsageProblem(
                f"the network fails under torch.vmap: {text.splitlines()[0]}",
                hint="chunk=1 in Problem.from_module computes the tasks one by one",
            ) from error
        raise
