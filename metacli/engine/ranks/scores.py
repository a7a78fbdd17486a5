"""Scores of episodes that are divided over the ranks of a team."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from metacli.engine.ranks.team import Team
from metacli.engine.shards.values import Arrays, Compute, Values


@dataclass(frozen=True)
class TeamValues(Values):
    """Each rank computes its share of the episodes, and all of them have the whole afterwards."""

    team: Team

    divides = True

    def of(self, name: str, total: int, compute: Compute, unit: int = 1) -> Arrays:
        """Raises StepDropped, PeerLost where another rank has stopped."""
        team = self.team
        if -(-total // unit) < team.size:  # not one for each
            return compute(0, total)
        first, last = team.share(total, unit)
        mine = compute(first, last)
        found = {}
        for key in sorted(mine):  # the same on every rank
            rows = mine[key].reshape(-1, mine[key].shape[-1])
            whole = [team.joined(row, total, unit) for row in rows]
            found[key] = np.stack(whole).reshape(*mine[key].shape[:-1], total)
        return found
