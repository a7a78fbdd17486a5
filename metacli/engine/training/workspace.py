"""Where a run is carried out, and how: everything that its recipe does not say."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import torch

from metacli.engine.events import Reporter
from metacli.engine.ranks.team import Team


@dataclass(frozen=True)
class TrainOptions:
    """How a training is carried out; none of it is part of the recipe.

    Args:
        out: the run folder; None: `runs/<recipe>/<UTC time>`.
        force: what metacli wrote into `out` before may be replaced.
        device: auto, cpu, cuda, cuda:N or mps.
        max_time: seconds after which training ends in good order; the learning-rate schedule ends
            with it.
        dry_run: check everything and say what would be trained.
        team: the processes that train it together.
    """

    out: str | None = None
    force: bool = False
    device: str = "auto"
    max_time: float | None = None
    dry_run: bool = False
    team: Team = field(default_factory=Team)


@dataclass(frozen=True)
class Workspace:
    """The folder and device of a run.

    Args:
        name: of the recipe. header: its comment lines.
        max_time: seconds for the training.
        resumed: the folder holds the run already; otherwise it is new, or to be replaced.
        named: the folder is the one of `-o`. force: what is in it may be replaced.
        team: the processes that train it together. leading: the folder of rank 0, for the others.
    """

    name: str
    header: str
    folder: Path
    device: torch.device
    report: Reporter
    max_time: float | None = None
    resumed: bool = False
    named: bool = False
    force: bool = False
    team: Team = field(default_factory=Team)
    leading: Path | None = None

    @property
    def shown(self) -> Path:
        """The folder that a user knows the run by."""
        return self.leading or self.folder

    @property
    def state(self) -> Path:
        """Where its checkpoints are."""
        return self.folder / "state"

    @property
    def model(self) -> Path:
        return self.folder / "model"

    @property
    def baselines(self) -> Path:
        return self.folder / "baselines"
