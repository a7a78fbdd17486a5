"""Sections about regressions of sine waves: the fit before and after each step."""

from __future__ import annotations

from metacli.engine.reporting import plots
from metacli.engine.reporting.blocks import Plot, Section, Table, Text, section
from metacli.engine.reporting.measured import steps_plot
from metacli.engine.reporting.regression import EPISODES, Fit
from metacli.engine.scoring.episodes import EpisodeScores
from metacli.engine.scoring.intervals import over_episodes
from metacli.engine.spelling import number


def of_waves(shown: list[Fit], scores: EpisodeScores) -> list[Section]:
    blocks = [wave(one) for one in shown]
    note = Text(
        "Sine waves of the validation set, which the model has never seen: dots are the examples "
        "that it adapts to, faint lines are the steps between."
    )
    if scores.per_step is None or len(scores.per_step) < 2:
        return section("fits", "What adaptation does", note, *blocks)
    made = [over_episodes(values) for values in scores.per_step]
    points = [(float(step), one.mean, one.ci95) for step, one in enumerate(made)]
    plot = steps_plot("steps-val", "mse", points, f"on {EPISODES} validation waves")
    return section("fits", "What adaptation does", note, *blocks, plot)


def wave(one: Fit) -> Plot:
    last = len(one.guesses) - 1
    after = f"after {last} step{'s' if last != 1 else ''}" if last else "adapted"
    x, y = (part.numpy()[:, 0] for part in (one.episode.support.x, one.episode.support.y))
    svg = plots.fit(
        f"wave-{one.index}",
        (one.x, one.truth),
        (x, y),
        one.guesses[0],
        one.guesses[1:-1],
        one.guesses[-1],
        after,
    )
    errors = [number(float(error), 3) for error in one.errors]
    rows = tuple((str(step), error) for step, error in enumerate(errors))
    table = Table("Mean squared error on the whole wave", ("steps", "error"), rows, folded=True)
    ends = f"{errors[0]} before adaptation, {errors[-1]} {after}"
    says = f"A sine wave and its fit: mean squared error {ends}."
    return Plot(
        f"Wave {one.index + 1}: error {errors[0]} before, {errors[-1]} {after}", svg, says, table
    )
