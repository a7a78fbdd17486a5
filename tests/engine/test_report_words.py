"""What a report says first: the score, what guessing reaches, and which is better."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image as Pillow

from metacli.engine.reporting import images, plots
from metacli.engine.reporting.headline import of_episodes, of_examples, of_held_out, of_tasks
from metacli.engine.reporting.on_multi_task import affinity, difference_plot
from metacli.engine.spelling import date, verdict_words

EPISODES = {"metric": "accuracy", "mean": 0.9, "ci95": 0.01, "way": 5, "shot": 1, "chance": 0.2}
HELD_OUT = {"metric": "accuracy", "value": 0.2167, "low": 0.13, "high": 0.34, "chance": 0.2}


@pytest.mark.parametrize(
    ("mean", "words"),
    [
        (0.9, "clearly better than guessing, which reaches 20 %"),
        (0.205, "no better than guessing, which reaches 20 %"),
        (0.1, "worse than guessing, which reaches 20 %"),
    ],
)
def test_an_accuracy_is_compared_with_guessing(mean: float, words: str) -> None:
    assert words in of_episodes({**EPISODES, "mean": mean})


@pytest.mark.parametrize(
    ("mean", "words"),
    [(0.3, "clearly better"), (3.0, "no clear difference"), (9.0, "makes it worse")],
)
def test_an_error_is_compared_with_an_untrained_network(mean: float, words: str) -> None:
    line = {"metric": "mse", "mean": mean, "ci95": 0.1, "shot": 5}
    found = of_episodes({**line, "baselines": {"untrained": {"mean": 3.1, "ci95": 0.1}}})
    assert words in found
    assert "MSE" in found


def test_an_adapted_model_that_guesses_says_so_with_its_interval() -> None:
    transfer = {"baseline": {"name": "majority class"}, "verdict": "no_difference"}
    found = of_held_out(HELD_OUT, {**transfer, "detectable": 0.21})
    assert found.startswith("Accuracy 21.7 % on held-out examples (95 % interval 13 to 34 %).")
    assert "no better than guessing, which reaches 20 %" in found
    assert "no clear difference (smaller than 21.0 points could not be detected)" in found
    assert "It is better than majority class." in of_held_out(
        HELD_OUT, {**transfer, "verdict": "helped"}
    )


def test_labelled_examples_use_the_interval_that_is_not_symmetric() -> None:
    line = {"metric": "accuracy", "mean": 1.0, "ci95": 0.07, "low": 0.87, "high": 1.0}
    found = of_examples({**line, "query": 25, "chance": 0.5})
    assert "Accuracy 100 % on 25 labelled examples (95 % interval 87 to 100 %)." in found
    assert "clearly better than guessing" in found


@pytest.mark.parametrize(
    ("verdict", "words"),
    [
        ("helped", "learning together is better"),
        ("hurt", "learning together is worse"),
        ("no_difference", "no clear difference (smaller than 0.05 could not be detected)"),
    ],
)
def test_many_tasks_are_compared_with_each_alone(verdict: str, words: str) -> None:
    alone = {"mean": 0.3, "ci95": 0.02, "verdict": verdict, "detectable": 0.05}
    line = {"metric": "explained_variance", "mean": 0.4, "ci95": 0.02, "split": "test"}
    found = of_tasks({**line, "tasks": [{}, {}], "baselines": {"single-task": alone}})
    assert found.startswith("Explained variance 0.4 ± 0.02 on the test rows of 2 tasks.")
    assert words in found


def test_verdicts_and_dates_are_words_for_people() -> None:
    assert verdict_words("no_difference", "accuracy", 0.021).endswith(
        "(smaller than 2.1 points could not be detected)"
    )
    assert [verdict_words(one) for one in ("helped", "hurt", "too_few_to_say")] == [
        *("better", "worse", "too few to say")
    ]
    assert date("2026-11-28T13:01:04+00:00") == "28 November 2026, 13:01 UTC"
    assert date("2026-11-28T15:01:04+02:00") == "28 November 2026, 13:01 UTC"
    assert date("yesterday") == "yesterday"


@pytest.mark.parametrize(
    ("shape", "width"), [((1, 28, 28), 84), ((3, 64, 64), 64), ((3, 600, 800), 96), ((1, 8, 8), 64)]
)
def test_images_are_large_enough_to_be_seen(shape: tuple[int, ...], width: int) -> None:
    x = np.zeros(shape, np.uint8)
    assert images.shown(x, "an image").width == width
    two = images.strip([x, x], "two")
    assert two.width >= 2 * width


def test_a_plot_of_many_tasks_names_them_and_its_better_side() -> None:
    rows = [
        {"name": name, "metric": "mse", "delta": d, "delta_ci95": [d - 1, d + 1], "verdict": v}
        for name, d, v in (("school $x$ 1", -2.0, "helped"), ("school-2", 2.0, "hurt"))
    ]
    plot = difference_plot(rows, "mse")
    assert plot is not None
    assert "left is better" in plot.svg
    assert "school $x$ 1" in plot.svg  # text, not a formula
    assert plot.says.startswith("1 of 2 tasks are better together")
    upside = difference_plot([{**row, "metric": "auc"} for row in rows], "auc")
    assert upside is not None
    assert "right is better" in upside.svg


def test_a_pair_of_tasks_is_listed_once_where_the_measure_has_no_direction() -> None:
    names = [f"task {i}" for i in range(14)]
    matrix = np.eye(14)
    matrix[3, 7] = matrix[7, 3] = 0.9
    (section,) = affinity({"tasks": names, "matrix": matrix.tolist()})
    _, plot, table = section.blocks
    assert [row for row in table.rows if row[2] == "0.9"] == [("task 3", "task 7", "0.9")]
    assert "task 13" in plot.svg
    assert "relatedness" in plot.svg
    matrix[7, 3] = -0.9
    (section,) = affinity({"tasks": names, "matrix": matrix.tolist()})
    assert section.blocks[2].header[1] == "may learn from"


def test_red_is_never_related_in_one_plot_and_unrelated_in_the_next(tmp_path: Path) -> None:
    from metacli.engine.reporting import multi_task_plots

    assert multi_task_plots.SIGNED is plots.SIGNED
    import matplotlib as mpl

    low, high = (mpl.colormaps[plots.SIGNED](end)[:3] for end in (0.0, 1.0))
    assert low[0] > low[2]  # red below 0
    assert high[2] > high[0]  # blue above
    assert plots.VERDICT_COLOURS == {"helped": "one", "hurt": "bad"}


def test_no_share_is_drawn_below_nothing_or_above_everything() -> None:
    points = [(0.0, 0.1, 0.5), (1.0, 0.9, 0.5)]
    svg = plots.curves("c", [("accuracy", "one", points)], "step", "accuracy", percent=True)
    svg += plots.steps("s", points, "step", "accuracy", percent=True)
    assert "−20 %" not in svg
    assert "-20 %" not in svg
    assert "120 %" not in svg


def test_a_strip_is_one_image_of_the_stored_size() -> None:
    x = np.full((3, 200, 100), 7, np.uint8)
    assert images.stored_size(x) == (48, 96)
    assert isinstance(images.as_image(x), Pillow.Image)
