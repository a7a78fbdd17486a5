"""What a user would do without metacli, on the same episodes: TF-IDF with a linear classifier,
ridge regression of the support, and one ridge regression of all training tasks, without the support
and with an intercept from it."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from metacli.data.few_shot.episodes import ClassEpisodes
from metacli.data.few_shot.regression import RegressionEpisodes, RegressionTasks
from metacli.data.few_shot.source import EpisodeSource
from metacli.engine.events import Progress, Reporter
from metacli.engine.models.model import FewShotModel
from metacli.engine.results.evaluate import Baseline
from metacli.engine.scoring.intervals import compared, over_episodes, paired_t
from metacli.engine.scoring.simple.texts import (
    text_score,
    tuned_words_and_characters,
    words_logistic,
)
from metacli.engine.shards.values import Arrays, Named
from metacli.engine.training.few_shot.sources import has_regression_tasks, regression_tasks_of

MOST_EPISODES = 200  # a logistic regression of many classes takes a second
PENALTIES = np.logspace(-2, 4, 13)  # of ridge regression, picked by leaving one row out
TFIDF = "tf-idf + logistic regression"
TUNED = "tf-idf of words and characters, tuned"
RIDGE = "ridge on the same rows"
POOLED = "ridge on all training tasks"
SHRUNKEN = "ridge on all training tasks + shrunken intercept"

Score = Callable[[int], float]
"""Of an episode, by its number."""


def simple_scores(
    model: FewShotModel,
    source: EpisodeSource,
    ours: np.ndarray,
    total: int,
    report: Reporter,
    known: Named,
) -> dict[str, Baseline]:
    """Mean and interval of each, and how the model compares with it, on the same episodes.

    Args:
        ours: [E] values of the model. A positive `delta` is better, also of an error.
        total: E. known: where the scores of parts are kept.
    """
    found = {
        name: values_of(name, score, source, total, known, report)
        for name, score in suited(model, source).items()
    }
    if known.partial:  # there is nothing to compare yet
        return {}
    return {name: against(values, source, ours) for name, values in found.items()}


def suited(model: FewShotModel, source: EpisodeSource) -> dict[str, Score]:
    """The simple methods for this kind of data, by name."""
    if isinstance(source, RegressionEpisodes):
        methods = {RIDGE: own_ridge(source)}
        if has_regression_tasks(model.recipe):
            learned = regression_tasks_of(model.recipe, "train")
            methods[POOLED] = pooled_ridge(source, learned)
            methods[SHRUNKEN] = shrunken_ridge(source, learned)
        return methods
    if isinstance(source, ClassEpisodes) and model.inputs.kind == "text":
        fits = {TFIDF: words_logistic, TUNED: tuned_words_and_characters}
        return {name: text_score(source, fit) for name, fit in fits.items()}
    return {}


def values_of(
    name: str, score: Score, source: EpisodeSource, total: int, known: Named, report: Reporter
) -> np.ndarray:
    """The scores of one method, on the first episodes where each takes long."""
    count = min(total, total if isinstance(source, RegressionEpisodes) else MOST_EPISODES)

    def compute(first: int, last: int) -> Arrays:
        values = np.empty(last - first)
        for index in range(first, last):
            values[index - first] = score(index)
            report(Progress(f"baseline {name}", index + 1, count, "episodes"))
        return {"inductive": values}

    return known.of(name, count, compute).get("inductive", np.empty(0))


def against(values: np.ndarray, source: EpisodeSource, ours: np.ndarray) -> Baseline:
    """One method. The interval of the difference is over episodes, and over tasks where each has
    several."""
    tasked, count = isinstance(source, RegressionEpisodes), len(values)
    differences = (-1.0 if tasked else 1.0) * (ours[:count] - values)
    if isinstance(source, RegressionEpisodes):  # episodes of one task are not independent
        tasks = np.array([source.members(index)[0] for index in range(count)])
        differences = np.array([differences[tasks == one].mean() for one in np.unique(tasks)])
    units = len(differences)
    return Baseline(
        over_episodes(values), against=compared(paired_t(differences), units), units=units
    )


def own_ridge(source: RegressionEpisodes) -> Score:
    """Ridge regression on the support, its penalty picked by leaving one row out; squared error in
    the user's units."""
    from sklearn.linear_model import RidgeCV

    def score(index: int) -> float:
        support, query = source.episode(index)
        fitted = RidgeCV(alphas=PENALTIES).fit(support.x.numpy(), support.y[:, 0].numpy())
        return squared(source, fitted.predict(query.x.numpy()), query.y[:, 0].numpy())

    return score


def pooled_ridge(source: RegressionEpisodes, learned: RegressionTasks) -> Score:
    """One ridge regression on the rows of all training tasks, which sees no support."""
    from sklearn.linear_model import RidgeCV

    fitted = RidgeCV(alphas=PENALTIES).fit(np.concatenate(learned.x), np.concatenate(learned.y))

    def score(index: int) -> float:
        query = source.episode(index).query
        return squared(source, fitted.predict(query.x.numpy()), query.y[:, 0].numpy())

    return score


def shrunken_ridge(source: RegressionEpisodes, learned: RegressionTasks) -> Score:
    """The same, moved by the support's mean residual times K / (K + σ²/τ²): the best linear
    prediction of a task's intercept (G. Robinson, "That BLUP is a good thing", Statistical Science
    6, 1991), with the variances of the training tasks' residuals."""
    from sklearn.linear_model import RidgeCV

    fitted = RidgeCV(alphas=PENALTIES).fit(np.concatenate(learned.x), np.concatenate(learned.y))
    pairs = zip(learned.x, learned.y, strict=True)
    left = [y.astype(np.float64) - fitted.predict(x) for x, y in pairs]
    within, between = variance_components(left)

    def score(index: int) -> float:
        support, query = source.episode(index)
        residuals = support.y[:, 0].numpy() - fitted.predict(support.x.numpy())
        total = len(residuals) * between + within
        moved = between * float(residuals.sum()) / total if total > 0 else 0.0
        return squared(source, fitted.predict(query.x.numpy()) + moved, query.y[:, 0].numpy())

    return score


def variance_components(values: Sequence[np.ndarray]) -> tuple[float, float]:
    """σ² inside the tasks and τ² of their means, by the moments of a one-way analysis of variance
    (S. Searle, G. Casella, C. McCulloch, "Variance Components", 1992, section 3.6).

    Args:
        values: [n_t] of each task.
    """
    sizes = np.array([len(one) for one in values], float)
    means, rows, tasks = np.array([one.mean() for one in values]), sizes.sum(), len(values)
    if tasks < 2 or rows == tasks:
        return float(np.concatenate(list(values)).var()), 0.0
    within = sum(float(((one - one.mean()) ** 2).sum()) for one in values) / (rows - tasks)
    spread = float((sizes * (means - (sizes * means).sum() / rows) ** 2).sum()) / (tasks - 1)
    usual = (rows - (sizes**2).sum() / rows) / (tasks - 1)
    return within, max(0.0, (spread - within) / usual)


def squared(source: RegressionEpisodes, found: np.ndarray, y: np.ndarray) -> float:
    """Mean squared error in the user's units."""
    return float(((found - y) ** 2).mean() * source.tasks.target.scale**2)
