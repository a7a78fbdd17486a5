"""SetFit: L. Tunstall, N. Reimers, U. E. S. Jo, L. Bates, D. Korat, M. Wasserblat, O. Pereg,
"Efficient Few-Shot Learning Without Prompts", 2022, https://arxiv.org/abs/2209.11055, section 3.

Idea: N classes of K examples give N K (N K - 1) / 2 pairs. So fine-tune the network on pairs first,
that those of one class point the same way, and fit logistic regression to its features then.

    φ ← φ − η · Adam(∇ [mean over pairs of one class of (cos(f_φ(a), f_φ(b)) − 1)²
                        + mean over pairs of two classes of cos(f_φ(a), f_φ(b))²])

then W, b are those of `logistic` on z = f_φ(x) / ‖f_φ(x)‖.

Where we differ: every step sees every pair, and both kinds weigh the same, where the authors' code
draws as many pairs of both kinds; so the same support gives the same bits. What may move is what
the network trains: on static embeddings of tokens their weights and a projection, in place of a
transformer. The features have length 1, and C is chosen. A support with one example of each class
has pairs of the second kind alone.

η = `lr`, C = `c`; `lr`, `steps` and `c` that are not given are picked on folds of the support.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Annotated, Self

from annotated_types import Ge, Gt, Le
from torch import Tensor
from torch.nn import functional as F

from metacli.algorithms.meta.inner import movable, rule_path
from metacli.algorithms.meta.maml_adam import Adam
from metacli.algorithms.transfer.logistic import Logistic
from metacli.algorithms.transfer.transfer import Transfer, choices, filled, network_of
from metacli.nn.problem import Problem
from metacli.trees import detach
from metacli.types import NO_STATE, Batch, Params, State

BETA1, BETA2, EPS = 0.9, 0.999, 1e-8
GRID = {"lr": (1e-3, 3e-3), "steps": (20, 60), "c": (10.0, 100.0)}


@dataclass(frozen=True, kw_only=True)
class SetFit(Transfer):
    lr: Annotated[float, Gt(0)] | None = None
    steps: Annotated[int, Ge(0), Le(10_000)] | None = None
    c: Annotated[float, Gt(0)] | None = None

    kinds = ("classification",)

    def usual(self) -> Self:
        return filled(self, {"lr": 1e-3, "steps": 20, "c": 100.0})

    def explore(
        self, problem: Problem, params: Params, support: Batch, state: State, x: Tensor
    ) -> list[tuple[Self, Tensor]]:
        """Those that differ in `steps` are stops of one run, and each has a head for every C."""
        runs: dict[float | None, list[Self]] = {}
        for one in choices(self, GRID):
            runs.setdefault(one.lr, []).append(one)
        found = []
        for same in runs.values():
            stops = sorted({one.steps or 0 for one in same})
            for stop, tuned in zip(
                stops, same[0].runs(problem, params, support, stops), strict=True
            ):
                query = F.normalize(problem.embed(tuned, x))
                ours = [one for one in same if one.steps == stop]
                heads = fitted(problem, tuned, support, [one.c for one in ours])
                logits = [problem.read_out(head, query) for head in heads]
                found += list(zip(ours, logits, strict=True))
        return found

    def adapt(
        self, problem: Problem, params: Params, support: Batch, state: State = NO_STATE
    ) -> Params:
        one = self.usual()
        (tuned,) = one.runs(problem, params, support, (one.steps or 0,))
        (head,) = fitted(problem, tuned, support, [one.c])
        return {**tuned, **head}

    def predict(self, problem: Problem, adapted: Params, x: Tensor) -> Tensor:
        return problem.read_out(adapted, F.normalize(problem.embed(adapted, x)))

    def runs(
        self, problem: Problem, params: Params, support: Batch, stops: Sequence[int]
    ) -> list[Params]:
        """The network after each number of steps (ascending), with the statistics that its
        predictions use."""
        assert self.lr is not None
        theta = detach(network_of(problem, params))
        loss = on_pairs(problem, theta, support)
        rule = Adam(self.lr, BETA1, BETA2, EPS)
        path = rule_path(loss, movable(problem, theta), rule, steps=max(stops), first_order=True)
        moved = ({**theta, **detach(path[stop])} for stop in stops)
        return [problem.freeze_statistics(tuned, support) for tuned in moved]


def on_pairs(problem: Problem, theta: Params, support: Batch) -> Callable[[Params], Tensor]:
    """The loss over all pairs of a support, as a function of what moves."""
    keep = slice(None) if support.mask is None else support.mask
    y = support.y[keep]
    same = (y[:, None] == y).triu(1)
    other = (y[:, None] != y).triu(1)
    together = problem.statistics == "support"

    def loss(phi: Params) -> Tensor:
        z = F.normalize(problem.embed({**theta, **phi}, support.x, together=together)[keep])
        cosine = z @ z.T
        near = ((cosine - 1).square() * same).sum() / same.sum().clamp(min=1)
        far = (cosine.square() * other).sum() / other.sum().clamp(min=1)
        return near + far

    return loss


def fitted(
    problem: Problem, tuned: Params, support: Batch, cs: Sequence[float | None]
) -> list[Params]:
    """The head of each C on the features of a network."""
    features = problem.embed(tuned, support.x)
    heads = Logistic().heads(problem, features, support, [replace(Logistic(), c=one) for one in cs])
    return [head for _, head in heads]
