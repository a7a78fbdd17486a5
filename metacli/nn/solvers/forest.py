"""Random forests whose trees are tensors: grown by scikit-learn, kept and evaluated without it, as
`boosting` does.

Shape letters: M examples, D features, N outputs, T trees, P inner nodes, L leaves of a tree.
"""

from __future__ import annotations

from typing import Literal

import numpy as np
import torch
from torch import Tensor

from metacli.nn.solvers.boosting import Boosted, placed

SEED = 0


def fit_forest(
    x: Tensor,
    y: Tensor,
    kind: Literal["classification", "regression"],
    *,
    trees: int,
    depth: int,
    share: float | None,
) -> Boosted:
    """L. Breiman's random forest: [M, D] -> shares of the classes [M, N], or values [M, 1].

    Args:
        x: read as float32. y: labels of 0..N-1, each at least once; or values [M, 1].
        share: of the features that a split looks at; None: their square root.
    """
    from sklearn.ensemble import RandomForestClassifier, RandomForestRegressor

    settings = {
        "n_estimators": trees,
        "max_depth": depth,
        "max_features": "sqrt" if share is None else share,
        "random_state": SEED,
    }
    rows = x.float().cpu().numpy()
    if kind == "regression":
        fitted = RandomForestRegressor(**settings).fit(rows, y[:, 0].double().cpu().numpy())
    else:
        fitted = RandomForestClassifier(**settings).fit(rows, y.cpu().numpy())
    grown = [one.tree_ for one in fitted.estimators_]
    deepest = max(1, *(one.max_depth for one in grown))
    parts = [placed(one, deepest) for one in grown]
    values = [tree.value[leaves, 0] for tree, (_, _, leaves) in zip(grown, parts, strict=True)]
    value = np.stack(values).transpose(0, 2, 1) / trees  # [T, N, L]
    outputs = value.shape[1]
    feature, threshold = (
        np.repeat(np.array([one[at] for one in parts], np.float32)[:, None], outputs, axis=1)
        for at in range(2)
    )
    made = (feature, threshold, value, np.zeros(outputs))
    return Boosted(*(torch.from_numpy(one.astype(np.float32)).to(x.device) for one in made))
