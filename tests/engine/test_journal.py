"""What a run writes down is the same however often it was interrupted."""

from __future__ import annotations

import errno
import json
from pathlib import Path

import pytest

from metacli.engine.events import EvaluationDone, Notice, StepDone
from metacli.engine.training import run_file
from metacli.engine.training.history import Window
from metacli.engine.training.journal import Journal, cut_back, ends_window
from metacli.engine.training.run_file import RunFacts
from metacli.errors import BundleError, RunFailed


def step(number: int, steps: int, loss: float | None = None) -> StepDone:
    return StepDone(number, steps, {"loss": float(number) if loss is None else loss})


def validation(number: int) -> EvaluationDone:
    return EvaluationDone(number, "val", {"accuracy": {"mean": 0.5, "ci95": 0.1, "n": 9}}, True)


def lines(run: Path) -> list[dict]:
    return [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]


def test_every_step_of_a_short_run_is_a_line(tmp_path: Path) -> None:
    log = Journal(tmp_path, steps=3, every=100)
    for number in (1, 2, 3):
        log(step(number, 3))
    assert lines(tmp_path) == [{"step": n, "train": {"loss": float(n)}} for n in (1, 2, 3)]


def test_windows_double_with_the_steps_and_hold_means(tmp_path: Path) -> None:
    log = Journal(tmp_path, steps=600, every=10_000)
    for number in range(1, 601):
        log(step(number, 600))
    found = lines(tmp_path)
    ends = [line["step"] for line in found]
    assert ends[:257] == [*range(1, 256), 256, 258]
    assert [b - a for a, b in zip(ends[-6:-1], ends[-5:], strict=True)] == [4] * 5
    assert found[256] == {"step": 258, "train": {"loss": 257.5}}
    assert found[-1]["train"]["loss"] == (597 + 598 + 599 + 600) / 4


def test_the_number_of_lines_grows_with_the_logarithm_of_the_steps() -> None:
    ends = [number for number in range(1, 60_001) if ends_window(number, 10**9)]
    assert 1000 < len(ends) < 1400


def test_windows_end_at_validations_and_do_not_depend_on_the_length_of_the_run(
    tmp_path: Path,
) -> None:
    for steps in (300, 900):
        (tmp_path / str(steps)).mkdir()
        log = Journal(tmp_path / str(steps), steps=steps, every=75)
        for number in range(1, 301):
            log(step(number, steps))
            if number % 75 == 0:
                log(validation(number))
    short, long = lines(tmp_path / "300"), lines(tmp_path / "900")
    assert short == long
    assert [line["step"] for line in short if "val" in line] == [75, 150, 225, 300]


@pytest.mark.parametrize("cut", [256, 257, 258, 259, 512, 513, 515])
def test_a_window_that_was_cut_is_taken_up_again(cut: int, tmp_path: Path) -> None:
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    for folder in (whole, parts):
        folder.mkdir()
    log = Journal(whole, 600, 10_000)
    for number in range(1, 601):
        log(step(number, 600))
    log = Journal(parts, 600, 10_000)
    for number in range(1, cut + 1):
        log(step(number, 600))
    saved = Window.model_validate_json(log.window().model_dump_json())
    again = Journal(parts, 600, 10_000, saved.sums, saved.count)
    for number in range(cut + 1, 601):
        again(step(number, 600))
    assert (whole / "metrics.jsonl").read_bytes() == (parts / "metrics.jsonl").read_bytes()


def test_numbers_that_are_not_finite_are_null(tmp_path: Path) -> None:
    Journal(tmp_path, 5, 5)(step(1, 5, float("nan")))
    Journal(tmp_path, 5, 5)(step(2, 5, float("inf")))
    assert [line["train"]["loss"] for line in lines(tmp_path)] == [None, None]


def test_notices_go_to_the_log_whatever_is_in_them(tmp_path: Path) -> None:
    Journal(tmp_path, 5, 5)(Notice("bad name \udcff.png"))
    (line,) = (tmp_path / "log.txt").read_text().splitlines()
    assert line.endswith("bad name \\udcff.png")


def test_cutting_back_drops_what_is_later_and_a_broken_last_line(tmp_path: Path) -> None:
    log = Journal(tmp_path, 20, 4)
    for number in range(1, 10):
        log(step(number, 20))
        if number % 4 == 0:
            log(validation(number))
    with (tmp_path / "metrics.jsonl").open("a") as file:
        file.write('[1]\n{"step": 10}\n{"step": 10, "tra')
    cut_back(tmp_path, 8, 4)  # step 8 is saved, its validation is to be done anew
    found = lines(tmp_path)
    assert [line["step"] for line in found if "train" in line] == list(range(1, 9))
    assert [line["step"] for line in found if "val" in line] == [4]
    cut_back(tmp_path, 0, 0)
    assert lines(tmp_path) == []


def test_a_full_disk_is_a_failed_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(self: Path, *args: object, **options: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Path, "open", full)
    with pytest.raises(RunFailed, match="no space left"):
        Journal(tmp_path, 5, 5)(step(1, 5))


def test_facts_are_changed_one_by_one_and_a_damaged_file_is_reported(tmp_path: Path) -> None:
    run_file.update(tmp_path, RunFacts(status="running", seed=3))
    run_file.update(tmp_path, RunFacts(status="finished"))
    assert run_file.read(tmp_path).as_dict() == {"status": "finished", "seed": 3}
    for text in ("{", "[1]", ""):
        (tmp_path / "run.json").write_text(text)
        with pytest.raises(BundleError):
            run_file.read(tmp_path)
