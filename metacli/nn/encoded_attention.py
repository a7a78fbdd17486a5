"""Attention over all labelled examples of a set, on the features of an encoder: the network of
`mtnp` where tasks are classifications, alone or beside regressions.

A token is one labelled example. What it knows of its class is only which other tokens are of the
same one: attention adds a learned number there. So any number of classes is accepted, and answers
do not depend on how classes are numbered. Classes are answered by
their means, over the tokens of the task and, where labels are the same in every task, over those of
the other tasks that are seen: means of the features before attention and after it, whose cosines
with the query are added with learned scales. So the network begins as a nearest class mean.

A token of the task itself weighs 1, one of the n of a class in other tasks 1 / (1 + ρ n). That is
the posterior mean of the task's own class mean μ_t ~ N(μ, τ²) of examples with variance σ², where
the other tasks' mean of it stands for μ and has the variance τ² + σ² / n: together they weigh
σ² / (τ² + σ² / n), and ρ = τ² / σ² is learned. So many examples of its own outweigh any number of
others (D. V. Lindley, A. F. M. Smith, "Bayes Estimates for the Linear Model", JRSS B 34, 1972).

Shape letters: B sets, T tasks, M support examples, Q queries, S = M tokens of all tasks, N classes,
D features, C width.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from metacli.nn.problem import Problem
from metacli.nn.set_answers import SetAnswers, bar_absent
from metacli.nn.set_attention import Encoded, SetAttention, norm
from metacli.trees import pick
from metacli.types import Batch, Params, SetEpisode

SCALE, RAW, BETWEEN, CLASS_NORM = "class.scale", "class.raw", "class.between", "class.norm"
START_SCALE, START_RAW, START_BETWEEN = 1.0, 10.0, 1.7


@dataclass(frozen=True)
class EncodedAttention:
    """An encoder, attention and class means.

    Args:
        encoder: its features are what attention reads in the place of x.
        attention: of so many inputs as the encoder has features, with `kin`.
        shared_labels: class n is the same in every task of a set.
    """

    encoder: Problem
    attention: SetAttention
    shared_labels: bool

    def init(self, seed: int, dtype: torch.dtype = torch.float32) -> Params:
        """Fresh θ. Queries begin with the projection of the labelled examples."""
        encoder = pick(self.encoder.init(seed, dtype), self.encoder.trainable)
        attention = self.attention.init(seed, dtype)
        projection = attention["token.weight"][:, : self.attention.coordinates]
        wide = self.attention.width
        return {
            **encoder,
            **attention,
            "query.weight": projection.clone(),
            SCALE: torch.tensor(math.log(START_SCALE), dtype=dtype),
            RAW: torch.tensor(math.log(START_RAW), dtype=dtype),
            BETWEEN: torch.tensor(math.log(START_BETWEEN), dtype=dtype),
            f"{CLASS_NORM}.weight": torch.ones(wide, dtype=dtype),
            f"{CLASS_NORM}.bias": torch.zeros(wide, dtype=dtype),
        }

    def forward(self, params: Params, episodes: SetEpisode, sees: Tensor) -> SetAnswers:
        """Every query of every task.

        Args:
            sees: bool [B, T, T], whether task t may look at the labels of task s; an equivalence.
        """
        support, query, roles, ways = episodes
        assert ways is not None
        encoded = self.encode(params, support, roles, ways, sees)
        weight, shown = self.weights(params, encoded, ways, sees)
        x = self.features(params, query.x)
        return self.read(params, encoded, x, roles, sees, weight, shown)

    def read(
        self,
        params: Params,
        encoded: Encoded,
        x: Tensor,
        roles: Tensor,
        sees: Tensor,
        weight: Tensor,
        shown: Tensor,
    ) -> SetAnswers:
        """Every query, of its features x [B, T, Q, D], from labels that are encoded.

        Args:
            weight, shown: of the classes, as `weights` gives them.
        """
        looked = self.attention.looked(params, encoded, x, roles, sees)
        out = norm(params, "out.norm", looked)
        mean, raw = F.linear(out, params["out.weight"], params["out.bias"]).unbind(-1)
        after = encoded.values[:, 1:]
        refined = cosines(norm(params, CLASS_NORM, looked), norm(params, CLASS_NORM, after), weight)
        before = encoded.tokens.features[..., : self.attention.coordinates]
        plain = cosines(x, before, weight)
        logits = params[SCALE].exp() * refined + params[RAW].exp() * plain
        logits = bar_absent(logits, shown)
        return SetAnswers(logits, mean, (1e-3 + F.softplus(raw)).square())

    def features(self, params: Params, x: Tensor) -> Tensor:
        """[B, T, M, ...] to [B, T, M, D], each row of mean 0 and variance 1."""
        found = self.encoder.embed(params, x.flatten(0, 2), together=True)
        result: Tensor = F.layer_norm(found, found.shape[-1:]).unflatten(0, x.shape[:3])
        return result

    def encode(
        self, params: Params, support: Batch, roles: Tensor, ways: Tensor, sees: Tensor
    ) -> Encoded:
        """The tokens of a set after self-attention, the null token first."""
        classified = (ways > 0)[..., None]
        values = torch.where(classified, 0, support.y).to(params[SCALE].dtype)
        x = self.features(params, support.x)
        tokens = self.attention.observed(
            Batch(x, values, support.mask), self.classes_of(support, ways)
        )
        return self.attention.self_attend(params, tokens, roles, sees)

    def classes_of(self, support: Batch, ways: Tensor) -> Tensor:
        """int64 [B, T, M]: equal where two labels are of the same class; -1 of a regression."""
        numbers = support.y.nan_to_num().long()
        if not self.shared_labels:
            most = max(1, int(ways.max()))
            tasks = torch.arange(ways.shape[1], device=ways.device)[:, None]
            numbers = numbers + most * tasks
        return torch.where((ways > 0)[..., None], numbers, -1)

    def weights(
        self,
        params: Params,
        encoded: Encoded,
        ways: Tensor,
        sees: Tensor,
        most: int | None = None,
    ) -> tuple[Tensor, Tensor]:
        """How much each token counts in the mean of a class, [B, T, N, S], and which classes have
        one, [B, T, N].

        Args:
            most: N, where a graph may not look at `ways` for it.
        """
        member = self.members(
            encoded, ways, sees, max(1, int(ways.max())) if most is None else most
        )
        tasks = torch.arange(ways.shape[1], device=ways.device)[:, None]
        itself = (encoded.tokens.tasks[:, None] == tasks)[:, :, None]  # [B, T, 1, S]
        others = (member & ~itself).sum(-1, keepdim=True)
        share = 1 / (1 + params[BETWEEN].exp() * others)
        weight = torch.where(itself, 1.0, share) * member
        return weight / weight.sum(-1, keepdim=True).clamp(min=1e-30), member.any(-1)

    def members(self, encoded: Encoded, ways: Tensor, sees: Tensor, most: int) -> Tensor:
        """bool [B, T, N, S]: whether a token is an example of class n of task t, which it sees."""
        tokens = encoded.tokens
        assert tokens.kin is not None
        kin = tokens.kin if self.shared_labels else tokens.kin - most * tokens.tasks
        numbers = torch.arange(most, device=ways.device)
        of_class = kin[:, None] == numbers[:, None]  # [B, N, S]
        of_class = of_class & (tokens.valid & (tokens.kin >= 0))[:, None]
        tasks = torch.arange(ways.shape[1], device=ways.device)[:, None]
        if self.shared_labels:
            seen = sees.gather(2, tokens.tasks[:, None].expand(-1, ways.shape[1], -1))
        else:
            seen = tokens.tasks[:, None] == tasks
        has = numbers < ways[..., None]  # [B, T, N]
        return of_class[:, None] & seen[:, :, None] & has[..., None]


def cosines(asked: Tensor, values: Tensor, weight: Tensor) -> Tensor:
    """The cosine of each query [B, T, Q, C] and the class means [B, T, N, C] of tokens [B, S, C]:
    [B, T, Q, N]."""
    means = F.normalize(weight @ values[:, None], dim=-1)
    return F.normalize(asked, dim=-1) @ means.transpose(-1, -2)
