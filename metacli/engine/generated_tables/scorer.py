"""`evaluate` of a network that was trained on generated tables: on others, beside what the labels
of a table say without its columns."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from metacli.algorithms.meta.tables_prior import FARTHEST
from metacli.data.few_shot.pools import check_split
from metacli.data.tables_prior.generated import GeneratedTables
from metacli.engine.events import Progress
from metacli.engine.generated_tables.fitting import Group, table_losses
from metacli.engine.generated_tables.run import EACH, group_of, rows_of
from metacli.engine.models.model import FewShotModel
from metacli.engine.models.opening import Opened
from metacli.engine.results.base import Json
from metacli.engine.results.evaluate import Baseline, EpisodeEvaluation
from metacli.engine.scoring import score_file
from metacli.engine.scoring.intervals import compared, over_episodes, paired_t
from metacli.engine.scoring.request import Request
from metacli.errors import UsageProblem
from metacli.nn.tables.labels import moments

LOG_LOSS = "log_loss"
LABELS = "labels alone"


@dataclass(frozen=True)
class TablesScorer:
    """Episodes are groups of tables of one shape."""

    opened: Opened[FewShotModel]

    @property
    def metric(self) -> str:
        return LOG_LOSS

    @property
    def checked(self) -> tuple[str, ...]:
        return (LOG_LOSS,)

    def evaluate(self, request: Request) -> EpisodeEvaluation:
        """Raises UsageProblem for options that mean nothing to generated tables."""
        request.require_no_order()
        wanted, model = request.wanted, self.opened.model
        if request.data is not None or request.overrides or not wanted.only("split", "seed"):
            raise UsageProblem(
                "a network of generated tables is measured on others: --split, --seed and "
                "--episodes are taken",
                hint=f"metacli adapt {request.model} DATA measures it on a table of yours",
            )
        split, seed = wanted.split or "test", wanted.seed or 0
        check_split(split, model.recipe.data.source)
        source = GeneratedTables((split, "evaluate", seed), rows_of(model.recipe))
        facts = EpisodeEvaluation(
            LOG_LOSS,
            data=model.recipe.data.source,
            split=split,
            data_digest=source.digest,
            episodes=wanted.episodes,
            episodes_seed=seed,
            train_seed=model.recipe.seed,
        )
        if request.dry_run:
            return replace(facts, dry_run=True)
        mine, alone = self.losses(source, wanted.episodes, request)
        mean = over_episodes(mine)
        against = compared(paired_t(mine - alone), len(mine), larger_is_better=False)
        result = replace(
            facts,
            mean=mean.mean,
            ci95=mean.ci95,
            inductive=mean,
            baselines={LABELS: Baseline(over_episodes(alone), against=against)},
        )
        return self.recorded(request, result, mine)

    @torch.no_grad()
    def losses(
        self, source: GeneratedTables, count: int, request: Request
    ) -> tuple[np.ndarray, np.ndarray]:
        """The mean loss of each group, and that of `labels_alone`."""
        params = self.opened.model.params
        device = next(iter(params.values())).device
        found = []
        for number in range(count):
            group = group_of(source, number, device, EACH)
            both = (table_losses(params, group), labels_alone(group))
            found.append([float(one.mean()) for one in both])
            request.report(Progress("episodes", number + 1, count, "episodes"))
        mine, alone = np.array(found).T
        return mine, alone

    def recorded(
        self, request: Request, result: EpisodeEvaluation, values: np.ndarray
    ) -> EpisodeEvaluation:
        """With its score file."""
        opened = self.opened
        path = score_file.place_for(opened.run, opened.path, request.out)
        known = {"data": result.data, "split": result.split, "data_digest": result.data_digest}
        units = score_file.units_hash(**known, seed=result.episodes_seed, count=result.episodes)
        line: dict[str, Json] = {
            "model": str(opened.path),
            "units": units,
            "metric": LOG_LOSS,
            "mode": "inductive",
            "unit": "episode",
            **known,
            **score_file.arm_of(opened.model),
        }
        result = replace(result, scores=path)
        score_file.record(path, line, values, result)
        return result


def labels_alone(group: Group) -> Tensor:
    """−log p of the query rows by the support's labels: the shares of the classes with one more row
    of each, or a Gaussian of the values' mean and variance, [B]."""
    known, asked = group.y[:, : group.support], group.y[:, group.support :]
    if group.classes:
        rows = [torch.bincount(one.long(), minlength=group.classes) for one in known]
        shares = (torch.stack(rows) + 1) / (group.support + group.classes)
        return -shares.log().gather(1, asked.long()).mean(1)
    mean, scale = moments(known)
    z = ((asked - mean) / scale).clamp(-FARTHEST, FARTHEST)
    return (0.5 * z.square() + 0.5 * math.log(2 * math.pi)).mean(1)
