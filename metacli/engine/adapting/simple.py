"""Models that need no source: what a source has to beat on the same examples.

Shape letters: M examples, N classes.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from metacli.data.tables.joined_text import JoinedText
from metacli.data.tables.static_text import StaticText
from metacli.data.tables.text import HashedText, SentenceText
from metacli.data.tables.token_numbers import TokenNumbers
from metacli.engine.adapting.held_out import Predict
from metacli.engine.adapting.source import Source
from metacli.nn.solvers.logistic import NEWTON, fit_logistic
from metacli.types import Batch

MOST_PIXELS = 84  # to a side, of what logistic regression reads
EXACT = 1e-9  # of the gradient
NEAR = 1e-4  # of it for inputs of length 1, where there are many parameters
PENALTIES = np.logspace(-2, 4, 13)  # of ridge regression
MEAN, MAJORITY = "mean of the support", "majority class"
BLIND = (MEAN, MAJORITY)
"""Those that do not look at the inputs."""


def simple_models(source: Source, classes: int) -> dict[str, Predict]:
    """What needs no source; the first is what the source has to beat."""
    read = what_it_reads(source)
    found: dict[str, Predict]
    if source.kind == "regression":
        found = {f"ridge regression on {read}": ridge_on_raw, MEAN: mean_of_support}
    else:
        fitted, most = logistic_on_raw(classes), majority(classes)
        found = {f"logistic regression on {read}": fitted, MAJORITY: most}
    if isinstance(source.inputs.encoder, TokenNumbers):
        found = {name: on_counts(one) for name, one in found.items()}
    return found


def what_it_reads(source: Source) -> str:
    """The inputs of a source that a simple model is fitted to as well."""
    if source.inputs.kind == "image":
        return "raw pixels"
    match source.inputs.encoder:
        case HashedText():
            return "the same n-grams"
        case StaticText() | SentenceText():
            return "the same embeddings"
        case JoinedText():
            return "the same embeddings and n-grams"
        case TokenNumbers():
            return "counts of the same tokens"
        case _:
            return "the same columns"


def on_counts(predict: Predict) -> Predict:
    """The same on how often each of the support's tokens stands in a text, since the number of a
    token is a name: [M, L] -> [M, V]."""

    def counted(support: Batch, x: Tensor) -> Tensor:
        known = support.x.unique()
        known = known[known > 0]  # 0 stands after the last token
        if not len(known):
            known = known.new_tensor([1.0])  # one that no text has

        def counts(tokens: Tensor) -> Tensor:
            found = torch.zeros(len(tokens), len(known) + 1, dtype=torch.float64)
            at = torch.searchsorted(known, tokens).clamp(max=len(known) - 1)
            at[known[at] != tokens] = len(known)  # what the support has not
            return found.scatter_add_(1, at, torch.ones_like(tokens).double())[:, :-1]

        return predict(Batch(counts(support.x), support.y), counts(x))

    return counted


def logistic_on_raw(classes: int) -> Predict:
    """Logistic regression on the raw inputs; pixels are scaled to 0..1, and large images made
    smaller by means over squares."""

    def predict(support: Batch, x: Tensor) -> Tensor:
        known = raw(support.x)
        many = classes * (min(known.shape) + 1) > NEWTON
        near = NEAR * max(1.0, float(known.square().sum(1).mean().sqrt()))
        weight, bias = fit_logistic(known, support.y, classes, precision=near if many else EXACT)
        return torch.softmax(raw(x) @ weight.T + bias, 1)

    return predict


def raw(x: Tensor) -> Tensor:
    """Inputs as rows of float64, [M, D]."""
    if x.dtype != torch.uint8:
        return x.flatten(1).double()
    pixels = x.double() / 255
    side = -(-max(x.shape[-2:]) // MOST_PIXELS) if x.dim() == 4 else 1
    return (F.avg_pool2d(pixels, side) if side > 1 else pixels).flatten(1)


def majority(classes: int) -> Predict:
    """Always the class with the most support examples."""

    def predict(support: Batch, x: Tensor) -> Tensor:
        counts = torch.bincount(support.y, minlength=classes).double()
        return (counts / counts.sum()).expand(len(x), -1)

    return predict


def mean_of_support(support: Batch, x: Tensor) -> Tensor:
    """The mean of the support's targets for every row, [M, 1]."""
    return support.y.mean(0, keepdim=True).expand(len(x), -1)


def ridge_on_raw(support: Batch, x: Tensor) -> Tensor:
    """Ridge regression on the same columns, its penalty picked by leaving one row out; [M, 1]."""
    from sklearn.linear_model import RidgeCV  # takes long to import

    fitted = RidgeCV(alphas=PENALTIES).fit(support.x.cpu().numpy(), support.y[:, 0].cpu().numpy())
    return torch.from_numpy(fitted.predict(x.cpu().numpy()))[:, None]
