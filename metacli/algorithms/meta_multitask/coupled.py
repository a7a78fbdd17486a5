"""Coupled adaptation of a set of tasks: how much each task follows the gradients of the others is a
function of the supports, learned in the outer loop. Ours; the nearest are S. Yao et al.,
"Hierarchically Structured Meta-learning", ICML 2019 (https://arxiv.org/abs/1905.05301), whose
initialisation depends on an embedding of the task, and S. Liu et al., "Auto-Lambda", TMLR 2022
(https://arxiv.org/abs/2202.03091), whose weights are learned for one set.

Idea: the tasks of a set adapt copies of one trunk; related tasks take each other's steps,
unrelated ones do not. What tells them apart is learned over many sets.

    e_t = mean over the labels of task t of ψ(x, y, y², r_t),   g_t = ∇_trunk L_{S_t}(θ)
    A_ts = softmax over s of (⟨Q e_t, K e_s⟩ / √d + γ cos(g_t, g_s) + δ [t = s])
    φ_t ← φ_t − α_k Σ_s A_ts ∇L_{S_s}(φ_s)   (`inner_steps` times; a head follows its own loss)
    direction = ∇_{θ,α,ψ,Q,K,γ,δ} (1/B) Σ_i (1/T) Σ_t L_{Q_t}(φ_i,t)

Where we differ: there is no paper. A = I is separate adaptation and A = 1/T full sharing (`mmaml`),
both exactly. g_t in the cosine is a constant, so that no second derivative of it is needed.

Of classifications, ψ reads the features of the trunk instead of x, y and r, and ∇_trunk L_{S_t} is
taken under the heads that φ_0 begins with; where class n is the same in every task, heads follow
the mixture as the trunk does.

With `context: 8, adapts: [context.]` the trunk stands still, and what each task has a copy of is a
context that is read beside x, as in `mcavia`: the copies of related tasks stay close, those of
unrelated ones part.

α = `inner_lr` at first; d = `embedding`, the size of e_t, Q e_t and K e_s.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Annotated

import torch
from annotated_types import Gt
from torch import Tensor
from torch.nn import functional as F

from metacli.algorithms.meta_multitask.base import StepLearner
from metacli.algorithms.meta_multitask.class_sets import Shared
from metacli.algorithms.meta_multitask.class_steps import Sharing, begin, support_losses
from metacli.algorithms.meta_multitask.steps import known, task_losses
from metacli.autodiff import constant_grad
from metacli.nn.set_problem import SetProblem
from metacli.nn.trunk_classes import TrunkClasses
from metacli.nn.trunk_heads import TrunkHeads
from metacli.trees import detach, pick
from metacli.types import Batch, Params, SetEpisode

PREFIX = "coupling."


@dataclass(frozen=True, kw_only=True)
class Coupled(StepLearner):
    """A learned coupling of the tasks that see each other."""

    embedding: Annotated[int, Gt(0)] = 32

    def own(self, problem: SetProblem) -> Params:
        d, network = self.embedding, problem.network
        if isinstance(network, TrunkClasses):
            inputs, roles = network.encoder.features, 0
        else:
            trunk = self.of(problem)
            inputs, roles = trunk.inputs * (1 + 2 * trunk.frequencies) + 2, trunk.roles
        rng = torch.Generator().manual_seed(0)

        def draw(*shape: int) -> Tensor:
            scale: float = shape[-1] ** -0.5
            return torch.randn(shape, generator=rng) * scale

        return {
            f"{PREFIX}in.weight": draw(2 * d, inputs),
            f"{PREFIX}in.bias": torch.zeros(2 * d),
            f"{PREFIX}role": 0.5 * torch.randn(max(roles, 1), 2 * d, generator=rng),
            f"{PREFIX}mid.weight": draw(2 * d, 2 * d),
            f"{PREFIX}mid.bias": torch.zeros(2 * d),
            f"{PREFIX}out.weight": draw(d, 2 * d),
            f"{PREFIX}q.weight": draw(d, d),
            f"{PREFIX}k.weight": draw(d, d),
            f"{PREFIX}cosine": torch.ones(()),
            f"{PREFIX}self": torch.zeros(()),
        }

    def means(
        self, problem: SetProblem, params: Params, episodes: SetEpisode, sees: Tensor
    ) -> Tensor:
        phi = self.fitted(problem, params, episodes, sees)
        return self.of(problem).forward(phi, episodes.query.x)

    def fitted(
        self, problem: SetProblem, params: Params, episodes: SetEpisode, sees: Tensor
    ) -> Params:
        network = self.of(problem)
        copies = network.copies(params, episodes.roles)
        coupling = self.coupling(problem, params, copies, episodes, sees)
        copies = network.copies(params, episodes.roles, moves=frozenset(self.moved(problem)))
        return self.moving(problem, params, copies, episodes.support, coupling)

    def coupling(
        self,
        problem: SetProblem,
        params: Params,
        copies: Params,
        episodes: SetEpisode,
        sees: Tensor,
    ) -> Tensor:
        """A [B, T, T] of φ_0 `copies` and the supports; rows sum to 1, 0 where a task is not
        seen."""
        network = self.of(problem)
        e = self.embedded(network, params, episodes)
        return self.attended(params, e, self.cosines(network, copies, episodes), sees)

    def sharing(self, problem: SetProblem) -> Shared:
        """A copy of the trunk for each task of a set, mixed by A."""
        network = problem.network
        assert isinstance(network, TrunkClasses)

        def shared(params: Params, episodes: SetEpisode, sees: Tensor) -> Sharing:
            apart = separate(sees, params[f"{PREFIX}self"].dtype)
            features = network.features(pick(params, network.encoder.trainable), episodes.support.x)
            e = self.pooled(params, features, None, episodes.support)
            alike = trunk_cosines(network, params, episodes, apart)
            mixing = self.attended(params, e, alike, sees)
            return Sharing(apart.copy, mixing, sees)

        return shared

    def attended(self, params: Params, e: Tensor, alike: Tensor, sees: Tensor) -> Tensor:
        """A [..., T, T] of embeddings [..., T, d] and cosines of gradients."""
        q, k = (F.linear(e, params[f"{PREFIX}{name}.weight"]) for name in ("q", "k"))
        scores = q @ k.transpose(-1, -2) / math.sqrt(self.embedding)
        itself = torch.eye(sees.shape[-1], dtype=e.dtype, device=e.device)
        scores = scores + params[f"{PREFIX}cosine"] * alike + params[f"{PREFIX}self"] * itself
        return torch.softmax(scores.masked_fill(~sees, -math.inf), -1)

    def embedded(self, network: TrunkHeads, params: Params, episodes: SetEpisode) -> Tensor:
        """e [B, T, d], the mean over each task's labels."""
        support, roles = episodes.support, episodes.roles
        y = known(support)[..., None]
        seen = torch.cat([network.waves(support.x), y, y.square()], -1)  # [B, T, M, .]
        named = (roles >= 0)[..., None] if network.roles else torch.zeros_like(roles)[..., None]
        table = params[f"{PREFIX}role"]
        role = table[roles.clamp(min=0) if network.roles else 0 * roles] * named
        return self.pooled(params, seen, role, support)

    def pooled(self, params: Params, seen: Tensor, role: Tensor | None, support: Batch) -> Tensor:
        """The mean over each task's labels of what ψ makes of its rows [..., M, .]."""
        h = F.linear(seen, params[f"{PREFIX}in.weight"], params[f"{PREFIX}in.bias"])
        h = F.silu(h if role is None else h + role[..., None, :])
        h = F.silu(F.linear(h, params[f"{PREFIX}mid.weight"], params[f"{PREFIX}mid.bias"]))
        if support.mask is None:
            pooled = h.mean(-2)
        else:
            counted = support.mask[..., None].to(h.dtype)
            pooled = (h * counted).sum(-2) / counted.sum(-2).clamp(min=1)
        return F.linear(pooled, params[f"{PREFIX}out.weight"])

    def cosines(self, network: TrunkHeads, copies: Params, episodes: SetEpisode) -> Tensor:
        """cos(g_t, g_s) [B, T, T] of the gradients of the trunk at φ_0."""
        trunk = {name: value for name, value in copies.items() if name.startswith("trunk.")}
        loss = lambda t: task_losses(network, {**copies, **t}, episodes.support).sum()  # noqa: E731
        parts = [part.flatten(2) for part in constant_grad(loss, trunk).values()]
        g = F.normalize(torch.cat(parts, -1), dim=-1)
        return g @ g.transpose(-1, -2)


def separate(sees: Tensor, dtype: torch.dtype) -> Sharing:
    """A copy of the trunk for each task, by itself."""
    tasks = torch.arange(len(sees), device=sees.device)
    return Sharing(tasks, torch.eye(len(sees), dtype=dtype, device=sees.device), sees)


def trunk_cosines(
    network: TrunkClasses, params: Params, episodes: SetEpisode, apart: Sharing
) -> Tensor:
    """cos(g_t, g_s) [T, T] of one set, constants."""
    start = detach(begin(network, detach(params), episodes, apart))
    trunk = {name: start[name] for name in network.encoder.trainable}
    loss = lambda moved: support_losses(network, {**start, **moved}, episodes, apart).sum()  # noqa: E731
    parts = [part.reshape(len(part), -1) for part in constant_grad(loss, trunk).values()]
    g = F.normalize(torch.cat(parts, -1), dim=-1)
    return g @ g.transpose(-1, -2)
