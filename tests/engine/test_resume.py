"""A run that was interrupted, killed or damaged ends as if nothing had happened; another run is
not gone on with."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import small_runs
import torch
from small_runs import copied, facts, lines, trained
from tiny_models import write_classes

from metacli.engine.events import Notice, RunStarted
from metacli.engine.meta_train import meta_train
from metacli.engine.training import checkpoint, run_file
from metacli.engine.training.run_file import RunFacts
from metacli.engine.training.signals import watch
from metacli.errors import BundleError, Interrupted, UsageProblem

pytestmark = pytest.mark.usefixtures("workplace", "signals_heard")
SIGNALS = {signal.SIGINT: 130, signal.SIGTERM: 143, signal.SIGHUP: 129}


def send(number: int = signal.SIGTERM) -> None:
    os.kill(os.getpid(), number)


def interrupted(step: int, *overrides: str, number: int = signal.SIGTERM) -> Interrupted:
    """The end of a run in `run` that a signal stops after a step."""
    with pytest.raises(Interrupted) as caught:
        trained("run", *overrides, report=small_runs.at_step(step, lambda: send(number)))
    return caught.value


# Signals


@pytest.mark.parametrize("number", SIGNALS)
def test_a_signal_finishes_the_step_saves_and_names_the_command_to_go_on(
    number: int, finished: Path
) -> None:
    before = signal.getsignal(number)
    error = interrupted(6, number=number)
    assert signal.getsignal(number) is before
    assert error.exit_code == SIGNALS[number]
    assert error.result["steps"] == 6
    assert error.result["status"] == facts("run")["status"] == "interrupted"
    assert error.hint == f"metacli meta-train --resume {Path('run').absolute()}"
    assert checkpoint.read(Path("run/state/step-6")).snapshot.step == 6
    assert Path(error.result["model"]).is_dir()  # of the validation at step 4
    result = meta_train(resume="run")
    assert result["status"] == facts("run")["status"] == "finished"
    small_runs.assert_same_training(finished, "run")


@pytest.mark.parametrize("step", [1, 4, 11, 12])
def test_where_a_run_is_interrupted_makes_no_difference(step: int, finished: Path) -> None:
    error = interrupted(step)
    # A validation that is due is left for later: it may take minutes.
    assert [line["step"] for line in lines("run") if "val" in line] == list(range(4, step, 4))
    assert (error.result["model"] is None) == (step <= 4)
    meta_train(resume="run")
    small_runs.assert_same_training(finished, "run")


def test_interrupting_again_and_again_makes_no_difference(finished: Path) -> None:
    interrupted(2)
    for step in (4, 5, 8):
        with pytest.raises(Interrupted):
            meta_train(resume="run", report=small_runs.at_step(step, send))
    meta_train(resume="run")
    small_runs.assert_same_training(finished, "run")


def test_a_signal_while_validating_leaves_the_validation_for_later(finished: Path) -> None:
    def report(event: Any) -> None:
        if getattr(event, "what", "") == "validating" and event.done == 2:
            send()

    with pytest.raises(Interrupted) as caught:
        trained("run", report=report)
    assert caught.value.result["steps"] == 4
    assert not list(Path("run/state").glob("best-*"))
    meta_train(resume="run")
    small_runs.assert_same_training(finished, "run")


@pytest.mark.parametrize("second", [signal.SIGINT, signal.SIGTERM])
def test_a_second_signal_of_any_kind_stops_at_once(second: int) -> None:
    class Now(Exception):
        pass

    def stop(number: int, frame: Any) -> None:
        raise Now

    before = signal.signal(second, stop)
    try:
        with watch() as received:
            send(signal.SIGHUP)
            assert received() == signal.SIGHUP
            with pytest.raises(Now):
                send(second)
    finally:
        signal.signal(second, before)


def test_a_run_under_nohup_is_not_stopped_by_a_hangup() -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with watch() as received:
            send(signal.SIGHUP)
            assert received() is None
    finally:
        signal.signal(signal.SIGHUP, before)


# Longer than planned


def test_raised_steps_give_the_weights_and_metrics_of_a_run_of_that_length(finished: Path) -> None:
    trained("run", "train.steps=8")
    result = meta_train(resume="run", overrides=["train.steps=12"])
    assert result["steps"] == 12
    small_runs.assert_same_training(finished, "run")
    assert facts("run")["settings"]["train"]["steps"] == 12
    meta_train("run", out="again", device="cpu")  # the recipe was written with the new steps
    small_runs.assert_same_training(finished, "again")


def test_a_finished_run_has_nothing_left_to_do(finished: Path) -> None:
    run = copied(finished)
    result = meta_train(resume="run")
    assert (result["status"], result["steps"]) == ("finished", 12)
    small_runs.assert_same_training(finished, run)


def test_stretching_a_schedule_is_reported() -> None:
    trained("run", "train.steps=4", "train.schedule=cosine")
    events: list = []
    meta_train(resume="run", overrides=["train.steps=8"], report=events.append)
    said = [event.message for event in events if isinstance(event, Notice)]
    assert len(said) == 1
    assert "first 4 steps followed the one that ends at step 4" in said[0]


@pytest.mark.parametrize("wrong", [["train.steps=11"], ["train.lr=1"], ["steps=20"]])
def test_resuming_changes_nothing_but_raises_steps(wrong: list[str], finished: Path) -> None:
    run = copied(finished)
    before = small_runs.tree(run)
    with pytest.raises(UsageProblem, match=r"train\.steps"):
        meta_train(resume="run", overrides=wrong)
    assert small_runs.tree(run) == before


# Damage


def test_a_damaged_newest_checkpoint_costs_steps_and_is_reported(finished: Path) -> None:
    run = copied(finished)
    small_runs.damage(run / "state" / "step-12" / "optimizer.safetensors")
    events: list = []
    meta_train(resume="run", report=events.append)
    notices = [event for event in events if isinstance(event, Notice)]
    assert [event.code for event in notices] == ["run.checkpoint_damaged"]
    assert "step-12" in notices[0].message
    assert "from step 8" in notices[0].message
    assert next(event for event in events if isinstance(event, RunStarted)).first_step == 8
    small_runs.assert_same_training(finished, run)


def test_damaged_checkpoints_do_not_push_out_the_ones_written_next(finished: Path) -> None:
    run = copied(finished)
    state = run / "state"
    for step in (20, 24):
        (state / f"step-{step}").mkdir()
    small_runs.damage(state / "step-12" / "params.safetensors")
    with pytest.raises(Interrupted):
        meta_train(resume="run", report=small_runs.at_step(9, send))
    assert sorted(path.name for path in state.glob("step-*")) == ["step-8", "step-9"]
    meta_train(resume="run")
    small_runs.assert_same_training(finished, run)


def test_a_damaged_best_state_is_replaced_by_the_one_before(finished: Path) -> None:
    run = copied(finished)
    best = sorted((run / "state").glob("best-*"))
    for path in best:
        small_runs.damage(path / "params.safetensors")
    small_runs.damage(run / "state" / "step-12" / "params.safetensors")
    events: list = []
    meta_train(resume="run", report=events.append)
    codes = {event.code for event in events if isinstance(event, Notice)}
    assert "run.checkpoint_damaged" in codes
    assert (run / "model" / "model.json").is_file()
    assert facts(run)["status"] == "finished"


def test_with_every_checkpoint_damaged_all_are_listed(finished: Path) -> None:
    run = copied(finished)
    for path in (run / "state").glob("step-*"):
        small_runs.damage(path / "params.safetensors")
    with pytest.raises(BundleError, match=r"step-12.*step-8") as caught:
        meta_train(resume="run")
    assert caught.value.exit_code == 3


def test_what_a_crash_left_behind_is_cleared(finished: Path) -> None:
    run = copied(finished)
    for place in (run, run / "state"):
        (place / ".metacli-tmp-0123").mkdir()
        (place / ".metacli-tmp-0123" / "half").write_text("x")
    with (run / "metrics.jsonl").open("a") as file:
        file.write('{"step": 13, "train": {"query_l')
    meta_train(resume="run")
    assert not list(run.rglob(".metacli-*"))
    small_runs.assert_same_training(finished, run)


def test_a_run_that_was_killed_before_its_first_words_begins_again(finished: Path) -> None:
    run = Path("run")
    run.mkdir()
    (run / ".lock").touch()
    (run / "recipe.yaml").write_bytes((finished / "recipe.yaml").read_bytes())
    meta_train(resume="run", device="cpu")
    small_runs.assert_same_training(finished, run)


# Not the same run


def change(run: Path, **changes: Any) -> None:
    run_file.update(run, RunFacts(**changes))


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"versions": {"torch": "1.0"}}, r"versions\.torch was 1\.0"),
        ({"device": "mps"}, "mps"),
        ({"data_digest": "0" * 64}, "data_digest was 000"),
        ({"val_digest": "0" * 64}, "val_digest was 000"),
    ],
)
def test_a_difference_is_named(changes: dict, words: str, finished: Path) -> None:
    run = copied(finished)
    change(run, **changes)
    before = small_runs.tree(run)
    with pytest.raises(BundleError, match=words) as caught:
        meta_train(resume="run", device="cpu")
    assert (caught.value.code, caught.value.exit_code) == ("run.changed", 3)
    assert caught.value.hint == "start again: metacli meta-train run"
    assert small_runs.tree(run) == before


def test_an_edited_recipe_is_another_run(finished: Path) -> None:
    run = copied(finished)
    text = (run / "recipe.yaml").read_text()
    edited = text.replace("lr: 0.001", "lr: 0.002").replace("seed: 0", "seed: 7")
    (run / "recipe.yaml").write_text(edited)
    with pytest.raises(BundleError) as caught:
        meta_train(resume="run")
    assert "train.lr was 0.001, is 0.002" in caught.value.message
    assert "seed was 0, is 7" in caught.value.message
    (run / "recipe.yaml").write_text("# a remark\n" + text)  # comments change nothing
    assert meta_train(resume="run")["status"] == "finished"


def test_the_threads_of_the_run_are_taken_up_again(finished: Path) -> None:
    run = copied(finished)
    torch.set_num_threads(2)  # the fixture puts it back
    meta_train(resume="run", overrides=["train.steps=13"])
    assert facts(run)["threads"] == 1
    assert torch.get_num_threads() == 2  # the caller's own number is left alone


def test_changed_images_of_ones_own_are_another_run() -> None:
    write_classes(Path("pool"), {f"c{i:02}": 5 for i in range(20)})
    small = ["data.size=16", "episodes.way=2", "train.steps=1", "evaluate.every=1"]
    meta_train(small_runs.recipe(), small, data="pool", out="run", device="cpu")
    next(Path("pool/c00").iterdir()).unlink()
    with pytest.raises(BundleError, match="data_digest was"):
        meta_train(resume="run", overrides=["train.steps=2"])


def test_what_is_not_a_run_is_reported(finished: Path) -> None:
    for path in (finished / "model", Path.cwd()):
        with pytest.raises(BundleError, match="not a run"):
            meta_train(resume=str(path))
    run = copied(finished)
    (run / "run.json").write_text('{"status": ')
    with pytest.raises(BundleError, match=r"run\.json"):
        meta_train(resume="run")


# Killed


def command(*words: str) -> list[str]:
    return [sys.executable, "-m", "metacli", "meta-train", *words, "--device", "cpu", "--json"]


def start(*words: str) -> subprocess.Popen:
    pipe = subprocess.PIPE
    environment = small_runs.environment()
    return subprocess.Popen(command(*words), stdout=pipe, stderr=pipe, env=environment)


def test_a_terminated_process_answers_143_and_its_run_goes_on(finished: Path) -> None:
    long = "train.steps=1000000"
    with start(small_runs.recipe(), long, "-o", "run") as process:
        wait_for(lambda: list(Path("run/state").glob("step-*")))
        process.send_signal(signal.SIGTERM)
        out, _ = process.communicate(timeout=60)
    assert process.returncode == 143
    document = json.loads(out)
    assert document["exit"] == 143
    steps = document["result"]["steps"]
    assert (Path("run/state") / f"step-{steps}").is_dir()
    known = [line for line in lines("run") if line["step"] <= 12]
    assert known[:5] == lines(finished)[:5]  # what was trained is what any run trains


def wait_for(seen: Callable[[], object], seconds: float = 200) -> None:
    deadline = time.monotonic() + seconds
    while not seen():
        assert time.monotonic() < deadline, "it never came"
        time.sleep(0.01)


def trains(process: subprocess.Popen) -> bool:
    """Whether the process has said in run.json that it is at work, or has ended."""
    told = Path("run/run.json").exists() and facts("run").get("pid") == process.pid
    return told or process.poll() is not None


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_kills_at_random_points_lose_nothing() -> None:
    overrides = ("train.steps=400", "evaluate.every=5", "evaluate.episodes=2")
    trained("whole", *overrides)
    rng = random.Random(0)
    name = small_runs.recipe()
    for attempt in range(20):
        again = Path("run/recipe.yaml").exists()
        words = ("--resume", "run") if again else (name, *overrides, "-o", "run")
        with start(*words) as process:
            if attempt % 4 == 3:  # while it reads what is there
                wait_for(Path("run/.lock.json").exists)
            else:
                wait_for(partial(trains, process))
                time.sleep(rng.uniform(0, 1))
            process.kill()
            process.communicate()
        Path("run/.lock.json").unlink(missing_ok=True)  # only to see the next one begin
    environment = small_runs.environment()
    done = subprocess.run(command("--resume", "run"), capture_output=True, env=environment)
    assert done.returncode == 0, done.stderr
    small_runs.assert_same_training("whole", "run", step=400)


# run.json


@pytest.mark.parametrize("bit", range(8))
def test_no_changed_bit_of_run_json_goes_unnoticed(bit: int, finished: Path) -> None:
    run = copied(finished)
    whole = (run / "run.json").read_bytes()
    rng = random.Random(bit)
    for place in rng.sample(range(len(whole)), 40):
        flipped = bytearray(whole)
        flipped[place] ^= 1 << bit
        (run / "run.json").write_bytes(bytes(flipped))
        if json_or_none(bytes(flipped)) == json.loads(whole):
            continue  # a blank more, which says nothing
        with pytest.raises(BundleError) as caught:
            meta_train(resume="run", dry_run=True)
        assert caught.value.exit_code == 3


def json_or_none(data: bytes) -> Any:
    try:
        return json.loads(data)
    except ValueError:
        return None


@pytest.mark.parametrize(
    "changes",
    [
        {"threads": 0},
        {"threads": "x"},
        {"threads": 10**9},
        {"settings": []},
        {"settings": {"kind": "other"}},
        {"settings": {"kind": "meta", "train": {}}},
        {"device": 3},
        {"seconds": -1.0},
        {"something": "else"},
    ],
)
def test_a_run_json_that_no_run_writes_is_damaged(changes: dict, finished: Path) -> None:
    """Without a seal, as the first versions wrote it, the schema still holds."""
    run = copied(finished)
    found = {key: value for key, value in facts(run).items() if key != "sha256"}
    (run / "run.json").write_text(json.dumps(found))
    assert meta_train(resume="run", dry_run=True)["dry_run"] is True
    (run / "run.json").write_text(json.dumps({**found, **changes}))
    with pytest.raises(BundleError, match=next(iter(changes))) as caught:
        meta_train(resume="run", dry_run=True)
    assert (caught.value.code, caught.value.exit_code) == ("run.damaged", 3)


@pytest.mark.parametrize("left", [(".lock",), (".lock", ".lock.json", ".metacli-tmp-0123")])
def test_a_run_that_was_killed_in_its_first_write_begins_again(
    left: tuple[str, ...], finished: Path
) -> None:
    run = Path("run")
    run.mkdir()
    for name in left:
        (run / name).write_text("{")
    with pytest.raises(BundleError, match="killed before") as caught:
        meta_train(resume="run")
    assert caught.value.hint == "begin it again: metacli meta-train RECIPE -o run"
    trained("run")
    small_runs.assert_same_training(finished, run)
    assert not (run / ".metacli-tmp-0123").exists()


def test_a_folder_with_a_file_of_ones_own_is_not_begun_in() -> None:
    run = Path("run")
    run.mkdir()
    for name in (".lock", "notes.txt"):
        (run / name).write_text("mine")
    with pytest.raises(BundleError, match="not empty"):
        trained("run")
    with pytest.raises(BundleError, match="not a run"):
        meta_train(resume="run")


# Data are what they hold, wherever they lie


def write_table(folder: Path) -> None:
    folder.mkdir()
    rows = [f"{a},{b},{'xyz'[a % 3]}{b % 4}" for a in range(12) for b in range(12)]
    (folder / "support.csv").write_text("\n".join(["a,b,label", *rows]))


def write_numbers(folder: Path) -> None:
    for task in range(8):
        rows = [f"{x * 7 % 12 / 2},{x * task + x % 3}" for x in range(12)]
        (folder / f"t{task}").mkdir(parents=True)
        (folder / f"t{task}" / "support.csv").write_text("\n".join(["x,target", *rows]))


SMALL = ("train.steps=2", "evaluate.every=1", "evaluate.episodes=2", "train.meta_batch=2")
WRITERS = {
    "images": (lambda folder: write_classes(folder, {f"c{i:02}": 5 for i in range(20)}), 16),
    "table": (write_table, None),
    "numbers": (write_numbers, None),
}


@pytest.mark.parametrize("kind", WRITERS)
def test_a_renamed_folder_holds_the_same_data(kind: str) -> None:
    write, size = WRITERS[kind]
    write(Path("before"))
    words = (*SMALL, *([f"data.size={size}"] if size else []))
    meta_train(data="before", overrides=words, out="run", device="cpu")
    Path("before").rename("after")
    meta_train(data="after", overrides=words, out="again", device="cpu")
    first, second = facts("run"), facts("again")
    for key in ("data_digest", "val_digest"):
        assert first[key] == second[key]
    assert small_runs.weights("run/model").keys() == small_runs.weights("again/model").keys()
    for name, value in small_runs.weights("run/model").items():
        assert torch.equal(value, small_runs.weights("again/model")[name])
    assert lines("run") == lines("again")
    source = f"data.source={Path('after').absolute()}"
    more = meta_train(resume="run", overrides=["train.steps=3", source], device="cpu")
    assert (more["status"], more["steps"]) == ("finished", 3)


def test_other_data_of_ones_own_are_another_run() -> None:
    for name, seed in (("before", 0), ("after", 1)):
        write_classes(Path(name), {f"c{i:02}": 5 for i in range(20)}, seed=seed)
    words = (*SMALL, "data.size=16")
    meta_train(data="before", overrides=words, out="run", device="cpu")
    with pytest.raises(BundleError, match="data_digest was"):
        meta_train(resume="run", overrides=[f"data.source={Path('after').absolute()}"])
