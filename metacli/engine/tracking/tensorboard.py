"""Scalars in TensorBoard's event files, in the run's own folder: `tensorboard --logdir runs`."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from metacli.engine.events import RunStarted

FOLDER = "tensorboard"


class TensorBoardRun:
    def __init__(self, started: RunStarted, settings: Mapping[str, str]) -> None:
        from torch.utils.tensorboard import SummaryWriter

        # What a killed run wrote after its last checkpoint is written again: hide the first time.
        again = started.first_step + 1 if started.first_step else None
        self._writer = SummaryWriter(str(Path(started.run) / FOLDER), purge_step=again)
        if not started.first_step:
            rows = "\n".join(f"| {name} | {value} |" for name, value in settings.items())
            self._writer.add_text("recipe", f"| setting | value |\n| --- | --- |\n{rows}")

    def scalars(self, values: Mapping[str, float], step: int) -> None:
        for name, value in values.items():
            self._writer.add_scalar(name, value, step)

    def close(self, status: str) -> None:
        self._writer.close()
