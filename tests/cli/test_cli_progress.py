"""Progress lines, with a clock that the test moves."""

from __future__ import annotations

from dataclasses import dataclass, field

from metacli.cli.progress import Bars, Plain, Silent, fitted, sentence
from metacli.engine.events import (
    CheckpointSaved,
    EvaluationDone,
    Note,
    Notice,
    Progress,
    RunFinished,
    RunStarted,
    StepDone,
)


@dataclass
class Clock:
    now: float = 0.0

    def __call__(self) -> float:
        return self.now


@dataclass
class Screen:
    text: str = ""
    clock: Clock = field(default_factory=Clock)

    def write(self, text: str) -> None:
        self.text += text

    @property
    def lines(self) -> list[str]:
        return self.text.splitlines()

    def plain(self, verbose: bool = False) -> Plain:
        return Plain(verbose, self.write, self.clock)


def test_one_step_is_one_step() -> None:
    screen = Screen()
    screen.plain()(RunStarted("/r", "schools", 1))
    assert screen.lines == ["training  schools, 1 step, in /r"]


def test_training_prints_a_line_every_tenth_with_rate_and_time_left() -> None:
    screen = Screen()
    view = screen.plain()
    view(RunStarted("/r", "glyphs", 200))
    for step in range(1, 201):
        screen.clock.now = step / 4
        view(StepDone(step, 200, {"query_loss": 0.5}))
    lines = screen.lines[1:]
    assert len(lines) == 10
    assert lines[0] == "training 20/200 steps (10 %), 4/s, 45 s left, query_loss 0.5"
    assert lines[-1] == "training 200/200 steps (100 %), 4/s, query_loss 0.5"


def test_slow_training_prints_a_line_every_thirty_seconds() -> None:
    screen = Screen()
    view = screen.plain()
    view(RunStarted("/r", "glyphs", 100_000))
    for step in range(1, 101):
        screen.clock.now = float(step)
        view(StepDone(step, 100_000, {}))
    assert [line.split()[1] for line in screen.lines[1:]] == [
        *("30/100000", "60/100000", "90/100000")
    ]


def test_a_resumed_run_counts_its_rate_from_where_it_began() -> None:
    screen = Screen()
    view = screen.plain()
    view(RunStarted("/r", "glyphs", 200, first_step=100))
    for step in range(101, 121):
        screen.clock.now = (step - 100) / 2
        view(StepDone(step, 200, {}))
    assert screen.lines[0] == "training  glyphs, 200 steps from step 100, in /r"
    assert screen.lines[1] == "training 120/200 steps (60 %), 2/s, 40 s left"


def test_the_time_left_forgets_a_slow_start() -> None:
    screen = Screen()
    view = screen.plain()
    view(RunStarted("/r", "glyphs", 1000))
    for step in range(1, 201):  # 60 s for the first step, then 10 a second
        screen.clock.now = 60 + step / 10
        view(StepDone(step, 1000, {}))
    for step in range(201, 501):
        screen.clock.now = 60 + step / 10
        view(StepDone(step, 1000, {}))
    assert screen.lines[-1] == "training 401/1000 steps (40 %), 10/s, 1 min 0 s left"


def test_work_that_is_over_at_once_prints_nothing() -> None:
    screen = Screen()
    view = screen.plain()
    for done in range(6):
        screen.clock.now = done / 10
        view(Progress("reading pictures", done, 5, "files"))
    assert screen.text == ""


def test_other_work_of_unknown_size_prints_every_thirty_seconds() -> None:
    screen = Screen()
    view = screen.plain()
    for done in range(71):
        screen.clock.now = float(done)
        view(Progress("listing", done, None, "files"))
    assert screen.lines == ["listing 30 files, 1/s", "listing 60 files, 1/s"]


def test_the_same_work_again_starts_from_zero() -> None:
    screen = Screen()
    view = screen.plain()
    for start in (0.0, 100.0):
        for done in range(11):
            screen.clock.now = start + done
            view(Progress("evaluating", done, 10, "episodes"))
    assert len(screen.lines) == 16
    assert screen.lines[8] == "evaluating 3/10 episodes (30 %), 1/s, 7 s left"


def test_validation_is_one_line_that_names_the_split_and_the_interval() -> None:
    metrics = {"accuracy": {"mean": 0.9123, "ci95": 0.004, "n": 600}}
    assert sentence(EvaluationDone(200, "val", metrics, best=True), verbose=False) == (
        "step 200: validation accuracy 91.23 % ± 0.40 (n 600), best so far"
    )


def test_checkpoints_are_reported_under_v_only() -> None:
    event = CheckpointSaved(7, "/r/state/step-7")
    assert sentence(event, verbose=False) is None
    assert sentence(event, verbose=True) == "step 7: saved /r/state/step-7"


def test_the_end_of_a_run_is_a_line_under_verbose_alone() -> None:
    """The result, or the one line about what stopped it, says it to everybody."""
    assert sentence(RunFinished("/r", "interrupted", 9), verbose=False) is None
    assert sentence(RunFinished("/r", "interrupted", 9), verbose=True) == (
        "interrupted after 9 steps: /r"
    )


def test_a_bar_shows_only_the_metrics_that_fit() -> None:
    metrics = {"loss": 0.5, "accuracy": 0.25}
    assert fitted("5/9 steps", metrics, 40) == "5/9 steps, loss 0.5, accuracy 0.25"
    assert fitted("5/9 steps", metrics, 30) == "5/9 steps, loss 0.5"
    assert fitted("5/9 steps", metrics, 5) == "5/9 steps"


def test_quiet_shows_warnings_and_nothing_else() -> None:
    screen = Screen()
    view = Silent(screen.write)
    view(StepDone(1, 1, {}))
    view(Note("pool is data: training protonet", "recipe.chosen"))
    view(Notice("odd\x1b[31m"))
    assert screen.text == "warning: odd\\x1b[31m\n"


def test_what_was_chosen_is_a_note_and_no_warning() -> None:
    screen = Screen()
    screen.plain()(Note("pool is data: training protonet", "recipe.chosen"))
    assert screen.lines == ["note: pool is data: training protonet"]


def test_one_bar_counts_the_same_things_whatever_each_is_called() -> None:
    bars = Bars(clock=Clock())
    bars(Progress("adapting", 3, 60, "tasks"))
    for done, name in enumerate(("ridge", "trees", "ridge")):
        bars(Progress(f"trying {name}", done % 2, 2, "sources"))
    seen = [one.description for one in bars.bars.tasks if one.visible]
    bars.close()
    assert seen == ["adapting", "trying ridge"]
