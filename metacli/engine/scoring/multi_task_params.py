"""Parameters of a multi-task network with the statistics of some rows, and what they predict."""

from __future__ import annotations

from dataclasses import replace
from typing import Protocol, runtime_checkable

import numpy as np
import torch
from torch import Tensor

from metacli.data.multi_task.dataset import MultiTaskRows
from metacli.engine.models.model import MultiTaskModel
from metacli.engine.scoring.multi_task_scores import MIXED
from metacli.nn.multi_task import TaskProblem
from metacli.nn.selected import ChosenProblem, Trained
from metacli.threads import computing_with
from metacli.types import Batch, Params

IMAGES = 64  # or texts, of each task in one pass


@runtime_checkable
class Refits(Protocol):
    """A sharing scheme with an exact solution, which is solved again on more rows."""

    def refit(self, batch: Batch, params: Params, binary: Tensor | None = None) -> Params: ...


def with_statistics(problem: TaskProblem, rows: MultiTaskRows, seed: int, *splits: str) -> Params:
    """Fresh θ with the statistics of these rows."""
    params, found = problem.init(seed), rows.standard(*splits)
    dtype = params["input.mean"].dtype
    return {
        **params,
        "input.mean": torch.from_numpy(found.x_mean).to(dtype),
        "input.scale": torch.from_numpy(found.x_scale).to(dtype),
        "target.mean": torch.from_numpy(found.y_mean).to(dtype),
        "target.scale": torch.from_numpy(found.y_scale).to(dtype),
    }


def final_params(problem: TaskProblem, params: Params, rows: MultiTaskRows) -> Params:
    """What is shipped: where there is an exact solution, that of training and validation rows
    together, with the penalties that were chosen on training rows; otherwise θ as it was
    validated."""
    if not isinstance(problem.sharing, Refits):
        return params
    fresh = with_statistics(problem, rows, 0, "train", "val")
    batch = problem.standardised(fresh, rows.batch("train", "val", dtype=torch.float64))
    with computing_with(1):
        return {**fresh, **problem.sharing.refit(batch, params, problem.is_binary)}


def validated(made: MultiTaskModel, rows: MultiTaskRows) -> MultiTaskModel:
    """A shipped model as it was when it had not seen the validation rows."""
    problem = made.problem()
    if not isinstance(problem, TaskProblem) or not isinstance(problem.sharing, Refits):
        return made
    fresh = with_statistics(problem, rows, 0, "train")
    batch = problem.standardised(fresh, rows.batch("train", dtype=torch.float64))
    with computing_with(1):
        again = problem.sharing.refit(batch, made.params, problem.is_binary)
    return replace(made, params={**fresh, **again})


@torch.no_grad()
def predictions(
    problem: Trained | ChosenProblem, params: Params, rows: MultiTaskRows, split: str
) -> list[np.ndarray]:
    """For each task's rows of a split, without padding, as `task_scores` wants them."""
    batch = rows.batch(split, dtype=params["input.mean"].dtype)
    x = batch.x.to(params["input.mean"].device)
    wide = problem.encoder is not None or rows.table.packed
    at_once = IMAGES if wide else x.shape[-2]
    parts = [problem.predict(params, part) for part in x.split(at_once, dim=-2)]
    found = torch.cat(parts, 1).cpu().double().numpy()  # [T, M] or [T, M, K]
    if batch.mask is not None:
        kept = [one[keep] for one, keep in zip(found, batch.mask.numpy(), strict=True)]
        return [answer(problem, task, one) for task, one in enumerate(kept)]
    return [answer(problem, task, one) for task, one in enumerate(found)]


def answer(problem: Trained | ChosenProblem, task: int, found: np.ndarray) -> np.ndarray:
    """What the network gives for one task's rows, [M] or [M, K], without the outputs that the task
    does not use."""
    mixed = problem.metric_name == MIXED
    if not problem.binary[task]:
        return found if found.ndim == 1 else found[:, 0]
    if found.ndim == 1:
        return np.stack([1 - found, found], 1) if mixed else found
    classes = problem.classes[task]
    return found[:, 1] if classes == 2 and not mixed else found[:, :classes]


def on(batch: Batch, device: torch.device) -> Batch:
    if device.type == "cpu":
        return batch
    return Batch(*(None if v is None else v.to(device) for v in batch))  # type: ignore[arg-type]
