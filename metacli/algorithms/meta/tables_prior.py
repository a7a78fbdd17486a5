"""Meta-training of `tables-prior` on your own tables: S. Müller, N. Hollmann, S. Pineda Arango,
J. Grabocka, F. Hutter, "Transformers Can Do Bayesian Inference", ICLR 2022,
https://arxiv.org/abs/2112.10510, equation 2, with tasks that are given in the place of a prior
that generates them; and, as in V. Fortuin, H. Strathmann, G. Rätsch, "Meta-Learning Mean Functions
for Gaussian Processes", 2019, https://arxiv.org/abs/1901.08098, a mean that is learned with it.

Idea: the network that comes with metacli was trained on generated tables, and each of your tables
is one more task: train it further to say what a row's label is, given other rows of its table.

    classes:  θ = arg min E over tasks of −log q_θ(y | x, (x_1, y_1), ..., (x_M, y_M))
    values:   θ, g, κ, κ', s_0 = arg min E of −log q_θ(r | x, (x_1, r_1), ..., (x_M, r_M))
    r_i = y_i − g(x_i),    m = Σ_i r_i / (M + κ),    s² = (Σ_i (r_i − m)² + κ' s_0²) / (M + κ')

Where we differ: Müller et al. train from nothing on a prior made for it; `start: fresh`
does that on the given tasks alone. The mean of Fortuin et al. is a network.

The network does not know columns by their names, so what a column means in all of your tasks is in
g, a linear function of the encoded columns (of the features, with another backbone than `cells`)
that begins at 0. Residuals r = y − g(x) are read in standard deviations s from m; m is drawn
towards 0 and s towards s_0. Far values count like those at six standard deviations. Of
classifications nothing is learned beside the network, even where labels mean the same in every
task. Nothing is fitted when a new task comes: adapting keeps its rows.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional as F

from metacli.algorithms.learner import Learner
from metacli.algorithms.meta.episodic import features_of, frozen_features
from metacli.algorithms.meta.inner import count_classes, outer_gradient, query_loss
from metacli.algorithms.transfer.in_context import (
    CELLS,
    NETWORK,
    PRIOR,
    SOLVED,
    InContext,
    as_cells,
    require_readable,
    weights_of,
)
from metacli.errors import UsageProblem
from metacli.nn.backbones.cells import CellsNet
from metacli.nn.losses import masked_mean, membership
from metacli.nn.problem import Problem
from metacli.nn.tables.labels import of_classes, of_scaled
from metacli.nn.tables.regression import Solved
from metacli.types import NO_STATE, Batch, Episode, Metrics, Params, State, Update

FARTHEST = 6.0  # standard deviations of a value, in the loss
SPEED = 4.0  # of the logarithms of κ, κ' and s_0 where the optimiser moves everything alike
WEIGHT, BIAS, MOMENTS = (f"{PRIOR}tables.{name}" for name in ("weight", "bias", "moments"))
RESIDUALS, CENTRE, SCALE = "support.residuals", "support.centre", "support.scale"
OF_CLASSES = InContext()


@dataclass(frozen=True, kw_only=True)
class TablesPrior(Learner):
    """Args:
    start: the weights that come with metacli, or fresh ones, the same for every seed. It is for
        `meta-train`: `init` gives fresh ones.
    """

    start: Literal["trained", "fresh"] = "trained"

    traceable = False
    takes_padding = False

    def init(self, problem: Problem, params: Params) -> tuple[Params, State]:
        """Fresh weights of the network; a run with `start: trained` puts those that come along in
        their place. g is 0, κ = κ' = s_0 = 1.

        Raises UsageProblem: a module whose number of features is not known.
        """
        if problem.kind == "regression" and not width_of(problem):
            raise UsageProblem(
                "tables-prior reads features, and their number is not known",
                hint="features=D in Problem.from_module",
            )
        like = next(iter(params.values())) if params else torch.zeros(())
        dtype = like.dtype if like.is_floating_point() else torch.float32
        fresh = {PRIOR + name: value for name, value in NETWORK.init(0, dtype).items()}
        if problem.kind == "regression":
            fresh[WEIGHT] = torch.zeros(1, width_of(problem), dtype=dtype)
            fresh[BIAS], fresh[MOMENTS] = torch.zeros(1, dtype=dtype), torch.zeros(3, dtype=dtype)
        return {name: value.to(like.device) for name, value in fresh.items()}, {}

    def direction(
        self, problem: Problem, params: Params, batch: Episode, state: State, rng: torch.Generator
    ) -> Update:
        if batch.support.mask is not None:
            raise UsageProblem(
                "tables-prior reads supports of one size, and these are padded",
                hint="tasks whose classes have one number of examples each",
            )
        classes = problem.kind == "classification"
        way = count_classes(batch.query.y, problem) if classes else 0

        def task_loss(at: Problem, every: Params, episode: Episode) -> tuple[Tensor, Metrics]:
            support, query = features_of(at, every, episode)
            cells = torch.cat([as_cells(at, support), as_cells(at, query)])[None]
            if classes:
                member = membership(episode.support.y, way, None, cells.dtype)
                logits = NETWORK.logits(weights_of(every), cells, of_classes(member[None]))[0]
                return query_loss(at, logits, episode.query)
            r, mean, scale = residuals(at, every, episode.support, support)
            said = NETWORK.mixture(weights_of(every), cells, of_scaled(((r - mean) / scale).T))
            g = mean_of(at, every, episode.query.x, query)
            z = ((episode.query.y - g - mean) / scale).clamp(-FARTHEST, FARTHEST)
            lost = scale.log() - said.log_density(z.T)[0]
            loss = masked_mean(lost, episode.query.mask)
            _, metrics = query_loss(at, said.mean.T * scale + mean + g, episode.query)
            return loss, {**metrics, "query_loss": loss}

        gradient, metrics = outer_gradient((self, way), task_loss, problem, params, batch, PRIOR)
        return Update(gradient, state, metrics, {})

    def adapt(
        self, problem: Problem, params: Params, support: Batch, state: State = NO_STATE
    ) -> Params:
        if problem.kind == "classification":
            return OF_CLASSES.adapt(problem, params, support, state)
        require_readable(support)
        frozen, features = frozen_features(problem, params, support)
        r, mean, scale = residuals(problem, params, support, features)
        keep = slice(None) if support.mask is None else support.mask
        kept = {CELLS: as_cells(problem, features[keep]), RESIDUALS: ((r - mean) / scale)[keep]}
        kept |= {CENTRE: mean, SCALE: scale}
        known = of_scaled(kept[RESIDUALS].T)
        solved = NETWORK.solved(weights_of(params), kept[CELLS][None], known)
        return {**frozen, **kept, **dict(zip(SOLVED, solved, strict=True))}

    def predict(self, problem: Problem, adapted: Params, x: Tensor) -> Tensor:
        if problem.kind == "classification":
            return OF_CLASSES.predict(problem, adapted, x)
        features = problem.embed(adapted, x)
        cells = torch.cat([adapted[CELLS], as_cells(problem, features)])[None]
        known, solved = of_scaled(adapted[RESIDUALS].T), Solved(*(adapted[one] for one in SOLVED))
        said = NETWORK.mixture(weights_of(adapted), cells, known, solved).mean.T
        g = mean_of(problem, adapted, x, features)
        return said * adapted[SCALE] + adapted[CENTRE] + g


def width_of(problem: Problem) -> int:
    """Numbers of a row that g reads: all that the columns became, or the features of a network."""
    cells = cells_in(problem)
    return problem.features if cells is None else sum(cells.widths)


def cells_in(problem: Problem) -> CellsNet | None:
    found = dict(problem.module.named_children()).get("backbone")
    return found if isinstance(found, CellsNet) else None


def mean_of(problem: Problem, params: Params, x: Tensor, features: Tensor) -> Tensor:
    """g of rows, [M, 1]. Categories are read as the numbers that they became, not as cells."""
    read = features if cells_in(problem) is None else x
    return F.linear(read, params[WEIGHT], params[BIAS])


def residuals(
    problem: Problem, params: Params, support: Batch, features: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """r [M, 1], and their m and s, both [1]. Raises UsageProblem: several values of a row."""
    if support.y.shape[-1] != 1:
        raise UsageProblem(f"tables-prior tells one value of a row, not {support.y.shape[-1]}")
    r = support.y - mean_of(problem, params, support.x, features)
    mask = torch.ones_like(r) if support.mask is None else support.mask[:, None].to(r.dtype)
    one, other, usual = (SPEED * params[MOMENTS]).exp()
    count = mask.sum(0)
    mean = (mask * r).sum(0) / (count + one)
    spread = (mask * (r - mean).square()).sum(0)
    return r, mean, ((spread + other * usual.square()) / (count + other)).sqrt()
