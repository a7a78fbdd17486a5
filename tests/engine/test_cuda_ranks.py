"""Two ranks over NCCL, where there are two GPUs."""

from __future__ import annotations

import pytest
import small_runs
import torch
from small_runs import facts
from test_rank_processes import PATIENT, SETTINGS, compare, two

pytestmark = [
    pytest.mark.cuda,
    pytest.mark.skipif(torch.cuda.device_count() < 2, reason="needs two GPUs"),
    pytest.mark.usefixtures("workplace"),
]


def test_two_gpus_train_one_run() -> None:
    settings = (*SETTINGS, "train.steps=4", "evaluate.every=2")
    ranks = two("meta-train", small_runs.recipe(), *settings, "-o", "run", "--device", "cuda")
    (_, err), (_, silent) = (one.communicate(timeout=PATIENT) for one in ranks)
    assert [one.returncode for one in ranks] == [0, 0], err + silent
    assert facts("run")["device"] == "cuda"
    small_runs.trained("alone", *settings)
    compare(4)
