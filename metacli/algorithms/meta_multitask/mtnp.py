"""MTNP: in-context learning of a set of tasks. D. Kim, S. Cho, W. Lee, S. Hong, "Multi-Task Neural
Processes", ICLR 2022, https://arxiv.org/abs/2110.14953, with the transformer of T. Nguyen, A.
Grover, "Transformer Neural Processes", ICML 2022, https://arxiv.org/abs/2207.04179, in place of
latent variables, and the loss of M. Seitzer et al., "On the Pitfalls of Heteroscedastic Uncertainty
Estimation", ICLR 2022, https://arxiv.org/abs/2203.09168, equation 6.

Idea: every observed label of every task is a token; attention over all of them, within a task and
across tasks, gives the distribution of any label of the set. Adaptation is one forward pass: any
number of tasks and points, and a missing label is simply absent.

    (μ, σ²)_tq = f_θ(x_tq, r_t; {(x_sm, y_sm, r_s) : s seen by t})
    L = mean of ⌊σ^(2β)⌋ (½ log σ² + (y − μ)² / 2σ²),  ⌊·⌋ a constant

Where we differ: no latent variables; a share `alone` of the training sets has every task see itself
alone, so that one network answers jointly and separately; attention adds a learned number where two
labels are of the same task, so tasks need no names. Answers are those of the exponential moving
average of θ over training, with the rate min(`average`, (1 + k) / (10 + k)) at step k.

Classifications: x is what the recipe's backbone makes of an example, a token knows which other
tokens are of its class (a learned number in the attention, no label token, so that classes have no
order), and classes are answered by their means before and after attention, with scaled cosines, as
in H.-J. Ye et al., "Few-Shot Learning via Embedding Adaptation with Set-to-Set Functions", CVPR
2020, https://arxiv.org/abs/1812.03664; L is then the cross-entropy. Where labels are the same in
every task, an example of the task itself weighs 1 in the mean of its class, one of the n of other
tasks 1 / (1 + ρ n): ρ, the variance between tasks over that within, is learned, and more examples
of its own count more. Sets may hold both kinds of tasks.

β = `beta`; r = the roles of the tasks; `sees` = which tasks see each other, an equivalence.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated

import torch
from annotated_types import Ge, Gt, Le, Lt
from torch import Tensor

from metacli.algorithms.meta_multitask.class_sets import accuracies
from metacli.algorithms.meta_multitask.protocol import alone, together
from metacli.autodiff import gradient
from metacli.nn.encoded_attention import EncodedAttention
from metacli.nn.problem import Problem
from metacli.nn.set_answers import SetAnswers, class_hits, class_losses
from metacli.nn.set_attention import Gaussian, SetAttention
from metacli.nn.set_problem import SetProblem, mean_of_sets
from metacli.trees import pick, select
from metacli.types import Batch, Params, SetEpisode, State, Update

AVERAGE = "average."


@dataclass(frozen=True, kw_only=True)
class MTNP:
    width: Annotated[int, Gt(0), Le(8192)] = 64
    heads: Annotated[int, Gt(0), Le(512)] = 4
    blocks: Annotated[int, Ge(0), Le(256)] = 4
    reads: Annotated[int, Gt(0), Le(256)] = 2
    frequencies: Annotated[int, Ge(0), Le(256)] = 4
    period: Annotated[float, Gt(0)] = 20.0
    alone: Annotated[float, Ge(0), Le(1)] = 1 / 3
    beta: Annotated[float, Ge(0), Le(1)] = 0.5
    average: Annotated[float, Ge(0), Lt(1)] = 0.999

    def network(self, inputs: int, roles: int) -> SetAttention:
        return SetAttention(
            inputs,
            roles,
            self.width,
            self.heads,
            self.blocks,
            self.reads,
            self.frequencies,
            self.period,
        )

    def encoded(
        self, encoder: Problem, roles: int, way: int | None, *, shared_labels: bool
    ) -> EncodedAttention:
        attention = SetAttention(
            encoder.features,
            roles,
            self.width,
            self.heads,
            self.blocks,
            self.reads,
            frequencies=0,
            kin=True,
        )
        return EncodedAttention(encoder, attention, shared_labels)

    def init(self, problem: SetProblem, params: Params) -> tuple[Params, State]:
        return {AVERAGE + name: value.clone() for name, value in params.items()}, {"step": 0}

    def direction(
        self,
        problem: SetProblem,
        params: Params,
        batch: SetEpisode,
        state: State,
        rng: torch.Generator,
    ) -> Update:
        sees = self.masked(batch.roles, rng)
        theta = pick(params, problem.trainable)

        def loss(moved: Params) -> tuple[Tensor, Tensor]:
            if batch.ways is not None:
                return self.class_loss(problem, moved, batch, sees)
            found = self.of(problem).forward(moved, batch, sees)
            value = beta_loss(found, batch.query, self.beta)
            return value, torch.stack([value, problem.error(found.mean, batch.query).mean()])

        direction, rest = gradient(loss, theta)
        score = {"query_mse": rest[1]} if batch.ways is None else accuracies(batch, rest[1])
        metrics = {"query_loss": rest[0], **score}
        return Update(direction, {"step": state["step"] + 1}, metrics, self.averaged(params, state))

    def answer(
        self, problem: SetProblem, params: Params, episodes: SetEpisode, sees: Tensor
    ) -> Gaussian:
        return self.of(problem).forward(average_of(params), episodes, sees)

    def respond(
        self, problem: SetProblem, params: Params, episodes: SetEpisode, sees: Tensor
    ) -> SetAnswers:
        """As `answer`, for a network of classes."""
        return self.of_classes(problem).forward(average_of(params), episodes, sees)

    def class_loss(
        self, problem: SetProblem, params: Params, batch: SetEpisode, sees: Tensor
    ) -> tuple[Tensor, Tensor]:
        """L, and L with the accuracy over the queries of tasks that have classes, [2]."""
        found = self.of_classes(problem).forward(params, batch, sees)
        query, ways = batch.query, batch.ways
        assert ways is not None
        regression = (ways == 0)[..., None].expand_as(query.y)
        y = torch.where(regression, query.y, 0)
        each = class_losses(found, query, ways)
        each = each + torch.where(
            regression, beta_losses(found.mean, found.variance, y, self.beta), 0
        )
        counted = ~regression if query.mask is None else ~regression & query.mask
        value = mean_of_sets(each, query.mask).mean()
        return value, torch.stack([value, mean_of_sets(class_hits(found, query), counted).mean()])

    def of_classes(self, problem: SetProblem) -> EncodedAttention:
        assert isinstance(problem.network, EncodedAttention)
        return problem.network

    def variants(self) -> tuple[Mapping[str, float], ...]:
        """There is nothing to choose in a forward pass."""
        return ({},)

    def varied(self, settings: Mapping[str, float]) -> MTNP:
        assert not settings
        return self

    def of(self, problem: SetProblem) -> SetAttention:
        assert isinstance(problem.network, SetAttention)
        return problem.network

    def masked(self, roles: Tensor, rng: torch.Generator) -> Tensor:
        """Which tasks see each other in this step: all, or for a share of the sets each itself."""
        apart = torch.rand(len(roles), generator=rng).to(roles.device) < self.alone
        return torch.where(apart[:, None, None], alone(roles), together(roles))

    def averaged(self, params: Params, state: State) -> Params:
        """The moving average after one more θ."""
        kept = min(self.average, (1 + state["step"]) / (10 + state["step"]))
        before = select(params, (AVERAGE,))
        now = [params[name.removeprefix(AVERAGE)] for name in before]
        moved = torch._foreach_lerp(list(before.values()), now, 1 - kept)
        return dict(zip(before, moved, strict=True))


def average_of(params: Params) -> Params:
    """The averaged weights under the network's names."""
    return {k.removeprefix(AVERAGE): v for k, v in select(params, (AVERAGE,)).items()}


def beta_loss(found: Gaussian, query: Batch, beta: float) -> Tensor:
    """The mean over sets of Seitzer et al.'s loss, a scalar."""
    each = beta_losses(found.mean, found.variance, query.y, beta)
    return mean_of_sets(each, query.mask).mean()


def beta_losses(mean: Tensor, variance: Tensor, y: Tensor, beta: float) -> Tensor:
    """Seitzer et al.'s loss of each query."""
    each = 0.5 * (variance.log() + (mean - y).square() / variance)
    return variance.detach() ** beta * each
