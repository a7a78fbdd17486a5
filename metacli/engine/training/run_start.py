"""The state that a run trains from."""

from __future__ import annotations

from dataclasses import replace

import torch

from metacli.engine.training.loop import Snapshot
from metacli.engine.training.resume import require_fits
from metacli.engine.training.runs import Session, Start
from metacli.types import Params


def first_snapshot(session: Session, start: Start) -> Snapshot:
    """Fresh parameters, or the ones to resume from, on the run's device. Raises BundleError for a
    checkpoint of another network."""
    device = session.workspace.device
    if session.begin is None:
        return Snapshot(0, on_device(start.params, device), start.state, {})
    require_fits(session.begin, start)
    saved = session.begin.snapshot
    # torch keeps an optimiser's step count on the CPU, whatever the device.
    counts = {name: value for name, value in saved.optimizer.items() if name.endswith("/step")}
    optimizer = {**on_device(saved.optimizer, device), **counts}
    return replace(saved, params=on_device(saved.params, device), optimizer=optimizer)


def on_device(values: Params, device: torch.device) -> Params:
    return {name: value.to(device) for name, value in values.items()}
