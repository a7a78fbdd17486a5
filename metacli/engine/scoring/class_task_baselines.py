"""What a user would do without metacli on classification tasks, with the same examples."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch

from metacli.data.few_shot.class_tasks import ClassTasks
from metacli.engine.models.model import FewShotModel
from metacli.engine.scoring.simple_models import logistic, spread
from metacli.engine.training.few_shot.sources import class_tasks_of
from metacli.types import Batch

SUPPORT = "logistic regression on the same rows"
POOLED = "logistic regression on all training tasks"
MOST_POOLED = 4000  # rows of all training tasks, evenly spaced in each
STRENGTHS = np.logspace(-3, 1, 5)

Answer = Callable[[Batch, torch.Tensor], np.ndarray]
"""Support and rows x [M, ...] to logits or probabilities [M, N]."""


def simple_answers(model: FewShotModel, tasks: ClassTasks) -> dict[str, Answer]:
    """Simple models by name, for rows of numbers; images have none."""
    if tasks.encoder is None:
        return {}
    found: dict[str, Answer] = {SUPPORT: of_the_support}
    learned = None if tasks.shared is None else class_tasks_of(model.recipe, "train")
    if learned is not None and learned.tasks:  # none where every task of other data is asked
        found[POOLED] = of_training_tasks(learned)
    return found


def of_the_support(support: Batch, x: torch.Tensor) -> np.ndarray:
    """Logistic regression, its strength chosen on folds of the support."""
    way = int(support.y.max()) + 1
    return logistic(way, support.x.numpy(), support.y.numpy(), x.numpy())


def of_training_tasks(learned: ClassTasks) -> Answer:
    """One logistic regression of the rows of all training tasks, which sees no support."""
    from sklearn.linear_model import LogisticRegression  # slow to import
    from sklearn.model_selection import GridSearchCV

    each = max(1, MOST_POOLED // len(learned.tasks))
    x, y = [], []
    for rows, labels in zip(learned.rows, learned.y, strict=True):
        at = np.unique(np.linspace(0, len(rows) - 1, min(each, len(rows))).astype(int))
        x.append(rows.take(at))
        y.append(labels[at])
    search = GridSearchCV(
        LogisticRegression(max_iter=300), {"C": STRENGTHS}, scoring="neg_log_loss", cv=3
    )
    made = search.fit(np.concatenate(x), np.concatenate(y)).best_estimator_
    way = len(learned.shared or ())

    def answer(support: Batch, asked: torch.Tensor) -> np.ndarray:
        return spread(made.predict_proba(asked.numpy()), made.classes_, way)

    return answer
