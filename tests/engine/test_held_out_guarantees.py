"""What an interval, a limit or a p-value promises, each on numbers small enough to check by hand:
tests that a single wrong sign, count or choice of rows does not pass."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
from scipy import stats
from sklearn.linear_model import Ridge, RidgeCV

from metacli.data.multi_task.dataset import MultiTaskData, MultiTaskRows, all_of
from metacli.engine.adapting import calibration
from metacli.engine.adapting.held_out import COVERAGE, HeldOut, residual_bound
from metacli.engine.compare import compare as compare_runs
from metacli.engine.scoring import multi_task_evaluate, score_file
from metacli.engine.scoring.multi_task_baselines import outside_predictions
from metacli.engine.scoring.multi_task_evaluate import judged
from metacli.engine.scoring.multi_task_scores import Score, compare, score
from metacli.engine.scoring.simple_models import ALPHAS


def off(errors: np.ndarray, times: int = 1) -> HeldOut:
    """Predictions of 0 where the truth is `errors`."""
    rows = None if times == 1 else np.tile(np.arange(len(errors)), times)
    y = np.tile(errors, times)
    return HeldOut(np.zeros((len(y), 1)), y, (len(y),), 1.0, times, rows)


@pytest.mark.parametrize(("examples", "place"), [(9, 9), (10, 10), (20, 19), (29, 27), (30, 28)])
@pytest.mark.parametrize("times", [1, 3])
def test_a_conformal_bound_counts_the_example_that_is_to_come(
    examples: int, place: int, times: int
) -> None:
    """The k-th smallest of n errors with k = ⌈(n + 1) · 90 %⌉."""
    assert place == math.ceil((examples + 1) * COVERAGE)
    errors = np.random.default_rng(0).permutation(np.arange(1.0, examples + 1))
    assert residual_bound(off(errors, times)).residual == place


def test_a_conformal_bound_covers_new_examples_as_often_as_it_says() -> None:
    rng = np.random.default_rng(1)
    draws = rng.exponential(size=(4000, 11))
    covered = [one[10] <= residual_bound(off(one[:10])).residual for one in draws]
    assert np.mean(covered) == pytest.approx(10 / 11, abs=0.015)  # k / (n + 1), at least 90 %


def test_a_limit_is_lowered_into_a_gap_but_never_raised() -> None:
    y = np.array([0, 1] * 10)
    own = np.where(np.eye(2)[y] == 1, 5.0, np.nan)

    def limit(of_the_other: float) -> float:
        logits = np.where(np.isnan(own), of_the_other, own)
        return calibration.limit_of(calibration.Answered(logits, y, (20,)))

    assert limit(1.0) == pytest.approx(3.0)  # the middle of the gap from 1 to 5
    # Examples whose other class is far above: most are mistaken, and known ones reach 9.
    assert limit(9.0) == pytest.approx(9.0)
    logits = np.where(np.isnan(own), 4.0, own)
    logits[:4] = [[0.0, 8.0], [8.0, 0.0], [0.0, 8.0], [8.0, 0.0]]  # a fifth is mistaken by far
    found = calibration.limit_of(calibration.Answered(logits, y, (20,)))
    assert found == pytest.approx(5.0)  # not the middle of 5 and 8


@pytest.mark.parametrize("sizes", [(7,), (4, 9), (3, 5, 6)])
def test_degrees_of_freedom_are_rows_less_one_for_each_independent_group(
    sizes: tuple[int, ...],
) -> None:
    rng = np.random.default_rng(2)
    parts = tuple(rng.normal(size=n) for n in sizes)
    made = Score(0.3, parts)
    error = math.sqrt(sum(part.var(ddof=1) / len(part) for part in parts))
    freedom = sum(sizes) - len(sizes)
    assert made.half_width() == pytest.approx(stats.t.ppf(0.975, freedom) * error)
    found = compare(made, Score(0.0, tuple(np.zeros(n) for n in sizes)))
    assert found.freedom == freedom
    assert found.high - found.low == pytest.approx(2 * made.half_width())
    assert found.p == pytest.approx(2 * stats.t.sf(0.3 / error, freedom))


def test_groups_of_one_row_have_no_interval() -> None:
    assert Score(0.5, (np.array([0.5]),)).half_width() == math.inf
    found = compare(Score(0.5, (np.ones(1), np.ones(3))), Score(0.0, (np.zeros(1), np.zeros(3))))
    assert (found.low, found.high) == (-math.inf, math.inf)


def paired_rows(p: float, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """y, and answers of two models whose squared errors differ by a paired t test of that p."""
    noise = rng.normal(size=30)
    noise = (noise - noise.mean()) / noise.std(ddof=1)
    difference = noise + stats.t.isf(p / 2, 29) / math.sqrt(30)
    base = np.abs(difference).max() + 1.0
    return np.zeros(30), np.sqrt(base + difference), np.sqrt(np.full(30, base))


def test_verdicts_over_tasks_go_by_adjusted_p_values() -> None:
    """Raw p-values 0.001, 0.03 and 0.04 beside seven of 0.5: one of them survives."""
    rng = np.random.default_rng(3)
    raw = [0.001, 0.03, 0.04, *[0.5] * 7]
    y, mine, alone = zip(*(paired_rows(p, rng) for p in raw), strict=True)
    y = tuple(one + 100 * np.arange(30) for one in y)  # targets vary, errors stay
    mine, alone = (tuple(a + b for a, b in zip(one, y, strict=True)) for one in (mine, alone))
    tasks = judged("nmse", [str(n) for n in range(10)], y, mine, alone)
    wanted = stats.false_discovery_control(raw, method="bh")
    assert [task.p_adjusted for task in tasks] == pytest.approx(wanted.tolist(), rel=1e-6)
    assert [task.verdict for task in tasks][:3] == ["hurt", "no_difference", "no_difference"]
    assert tasks[1].delta_ci95[0] > 0  # alone it would have been a verdict
    assert all(task.detectable > 0 for task in tasks)


def test_verdicts_over_pairs_go_by_adjusted_p_values(tmp_path: Path) -> None:
    """Two items differ with a raw p of 0.03; with two more comparisons that is no verdict."""
    rng = np.random.default_rng(4)
    noise = rng.normal(size=40)
    noise = (noise - noise.mean()) / noise.std(ddof=1)
    shift = stats.t.isf(0.03 / 2, 39) / math.sqrt(40)
    common = rng.normal(size=40)
    other = rng.normal(size=40)
    values = {"a": common, "b": common + noise + shift, "c": common + 5 * other}
    paths = [run(tmp_path / name, one) for name, one in values.items()]
    (alone,) = compare_runs(paths[:2]).pairs
    assert (alone.p, alone.verdict) == (pytest.approx(0.03), "helped")
    pairs = compare_runs(paths).pairs
    wanted = stats.false_discovery_control([one.p for one in pairs], method="bh")
    assert [one.p_adjusted for one in pairs] == pytest.approx(wanted.tolist())
    assert pairs[0].p == pytest.approx(0.03)
    assert pairs[0].verdict == "no_difference"
    assert pairs[0].detectable > alone.detectable


def run(folder: Path, values: np.ndarray) -> str:
    """A run folder with one evaluation."""
    (folder / "model").mkdir(parents=True)
    (folder / "run.json").write_text("{}")
    (folder / "model" / "model.json").write_text("{}")
    line = {"model": str(folder / "model"), "unit": "episode", "metric": "accuracy"}
    line |= {"units": score_file.units_hash(episodes=len(values)), "mode": "inductive"}
    score_file.record(folder / "scores.jsonl", line, values)
    return str(folder)


def table(y: list[np.ndarray], x: list[np.ndarray]) -> MultiTaskData:
    return MultiTaskData(
        name="toy",
        tasks=("a", "b"),
        metric="nmse",
        contents="0",
        x=tuple(x),
        y=tuple(y),
        kinds=all_of("regression", 2),
    )


def divided(spoil: str | None = None) -> MultiTaskRows:
    """Rows of two tasks; the targets of one split may be spoiled."""
    rng = np.random.default_rng(5)
    x = [rng.normal(size=(60, 2)) for _ in range(2)]
    y = [one @ [1.0, -2.0] + 0.3 * rng.normal(size=60) for one in x]
    parts = {
        "train": (np.arange(30),) * 2,
        "val": (np.arange(30, 40),) * 2,
        "test": (np.arange(40, 60),) * 2,
    }
    if spoil is not None:
        for one in y:
            one[parts[spoil][0]] = 1000.0
    return MultiTaskRows(table(y, x), parts)


def answers(rows: MultiTaskRows, train: tuple[str, ...], split: str) -> dict[str, list[np.ndarray]]:
    return dict(outside_predictions(rows, train, split, lambda name: None))


def test_no_baseline_is_fitted_to_the_rows_that_it_is_judged_on() -> None:
    clean = answers(divided(), ("train", "val"), "test")
    spoiled = answers(divided("test"), ("train", "val"), "test")
    assert {"per-task", "pooled", "trees-task-column", "random-slopes"} <= set(clean)
    for name, found in clean.items():
        for a, b in zip(found, spoiled[name], strict=True):
            assert a == pytest.approx(b, abs=1e-12), name
    learned = answers(divided("val"), ("train", "val"), "test")
    assert all(np.abs(learned[name][0] - clean[name][0]).max() > 1 for name in clean)


def test_the_per_task_baseline_is_ridge_regression_of_the_training_rows() -> None:
    rows = divided()
    (x, _), (y, _) = rows.numbers("train")
    asked = rows.numbers("test")[0][0]
    standard = rows.standard("train")
    scaled = [(one - standard.x_mean) / standard.x_scale for one in (x, asked)]
    centred = (y - y.mean()) / y.std()
    best = RidgeCV(alphas=ALPHAS).fit(scaled[0], centred).alpha_
    wanted = Ridge(alpha=best).fit(scaled[0], y).predict(scaled[1])
    assert answers(rows, ("train",), "test")["per-task"][0] == pytest.approx(wanted, rel=1e-6)


@pytest.mark.parametrize(
    ("split", "train"), [("test", ("train", "val")), ("val", ("train",)), ("train", ("train",))]
)
def test_evaluate_fits_baselines_to_what_the_model_was_fitted_to(
    split: str, train: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[tuple[tuple[str, ...], str]] = []

    def spy(rows: object, learned: tuple[str, ...], judged_on: str, tick: object) -> list[object]:
        asked.append((learned, judged_on))
        return []

    class Opened:
        run = None

    monkeypatch.setattr(multi_task_evaluate, "outside_predictions", spy)
    multi_task_evaluate.baselines(Opened(), divided(), split, lambda event: None)  # type: ignore[arg-type]
    assert asked == [(train, split)]


def test_the_score_of_a_baseline_is_that_of_its_answers_to_the_test_rows() -> None:
    rows = divided()
    y = rows.numbers("test")[1]
    found = answers(rows, ("train", "val"), "test")["per-task"]
    made = multi_task_evaluate.against(score("nmse", y, y), score("nmse", y, found), "nmse")
    assert made.score.mean == pytest.approx(score("nmse", y, found).value)
    assert made.against.delta == pytest.approx(-made.score.mean)
    assert made.against.verdict == "helped"


def of_texts(flipped: bool = False, rewritten: bool = False) -> MultiTaskRows:
    """Requests of two tasks; the labels of the test rows may be flipped, or the text of the last
    one be other words."""
    rng = np.random.default_rng(6)
    texts, y = [], []
    for task in range(2):
        labels = rng.integers(2, size=60).astype(float)
        words = [
            f"{('please', 'kindly')[rng.integers(2)]} {('open', 'close')[int(label)]} "
            f"number{rng.integers(9)} in room{rng.integers(5)} of task{task}"
            for label in np.where(rng.random(60) < 0.2, 1 - labels, labels)
        ]
        if flipped:
            labels[40:] = 1 - labels[40:]
        if rewritten:
            words[-1] = "open open kindly kindly number8 number8 room4 of of of"
        texts.append(tuple(words))
        y.append(labels)
    parts = {
        "train": (np.arange(30),) * 2,
        "val": (np.arange(30, 40),) * 2,
        "test": (np.arange(40, 60),) * 2,
    }
    data = MultiTaskData(
        name="toy",
        tasks=("a", "b"),
        metric="accuracy",
        contents="0",
        x=(np.zeros((60, 1)),) * 2,
        y=tuple(y),
        kinds=all_of("classification", 2),
        texts=tuple(texts),
    )
    return MultiTaskRows(data, parts)


def test_no_baseline_of_texts_reads_labels_or_words_of_the_rows_that_it_is_judged_on() -> None:
    clean = answers(of_texts(), ("train", "val"), "test")
    assert set(clean) == {"per-task", "pooled"}
    flipped = answers(of_texts(flipped=True), ("train", "val"), "test")
    other_words = answers(of_texts(rewritten=True), ("train", "val"), "test")
    for name, found in clean.items():
        for task in range(2):
            assert flipped[name][task] == pytest.approx(found[task], abs=1e-12), name
            assert other_words[name][task][:-1] == pytest.approx(found[task][:-1], abs=1e-12)
            assert abs(other_words[name][task][-1] - found[task][-1]) > 1e-3
    fewer = answers(of_texts(), ("train",), "test")
    assert np.abs(fewer["pooled"][0] - clean["pooled"][0]).max() > 1e-3
