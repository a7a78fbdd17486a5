"""How good the answers to one classification task are, whatever the share of its classes.

Letters: M rows, N classes.
"""

from __future__ import annotations

import numpy as np

MEASURES = ("accuracy", "balanced_accuracy", "auc", "delta_auprc")


def class_measures(scores: np.ndarray, y: np.ndarray, *, positive: bool) -> dict[str, float]:
    """Accuracy, balanced accuracy, ROC AUC, and where class 1 is the positive one the area under
    the precision-recall curve minus the positive rate, which guessing has.

    Args:
        scores: [M, N] logits or probabilities; larger is more likely. y: int [M].
        positive: whether there are two classes, of which class 1 is what is looked for.
    Returns:
        NaN where a class that is needed has no row.
    """
    guess = scores.argmax(1)
    present = np.unique(y)
    recalls = [float((guess[y == label] == label).mean()) for label in present]
    found = {
        "accuracy": float((guess == y).mean()),
        "balanced_accuracy": float(np.mean(recalls)),
        "auc": auc_of_classes(scores, y),
    }
    if positive:
        margin, hit = scores[:, 1] - scores[:, 0], y == 1
        found["delta_auprc"] = average_precision(margin, hit) - float(hit.mean())
    return found


def auc_of_classes(scores: np.ndarray, y: np.ndarray) -> float:
    """ROC AUC; of more than two classes the mean of each against the others."""
    if scores.shape[1] == 2:
        return roc_auc(scores[:, 1] - scores[:, 0], y == 1)
    logs = scores - scores.max(1, keepdims=True)
    chances = np.exp(logs) / np.exp(logs).sum(1, keepdims=True)
    return float(np.mean([roc_auc(chances[:, n], y == n) for n in range(scores.shape[1])]))


def roc_auc(margin: np.ndarray, hit: np.ndarray) -> float:
    """P(a positive has the larger margin than a negative), ties counted half: the statistic of Mann
    and Whitney, of ranks."""
    from scipy.stats import rankdata  # slow to import

    positives = int(hit.sum())
    negatives = len(hit) - positives
    if not positives or not negatives:
        return float("nan")
    ranks = rankdata(margin)
    below = float(ranks[hit].sum()) - positives * (positives + 1) / 2
    return below / (positives * negatives)


def average_precision(margin: np.ndarray, hit: np.ndarray) -> float:
    """Σ (R_k - R_k-1) P_k over the thresholds k, from the largest margin down; rows of one margin
    are one threshold."""
    positives = int(hit.sum())
    if not positives:
        return float("nan")
    order = np.argsort(-margin, kind="stable")
    last = np.append(np.flatnonzero(np.diff(margin[order])), len(margin) - 1)
    found = np.cumsum(hit[order])[last]
    precision, recall = found / (last + 1), found / positives
    return float((np.diff(recall, prepend=0.0) * precision).sum())
