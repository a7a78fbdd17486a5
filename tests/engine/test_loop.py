"""The loop: optimisers by hand, schedules, and a stopped run that goes on with the same bits."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import reference
import torch
import toys

from metacli.algorithms.meta.maml import MAML
from metacli.engine.events import StepDone, ignore
from metacli.engine.training import checkpoint, loop
from metacli.engine.training.loop import Snapshot, rate_factor
from metacli.errors import RunFailed
from metacli.schema.blocks import Train
from metacli.types import Params, Update

pytestmark = pytest.mark.usefixtures("one_thread")
GOAL = {"w": [1.0, -2.0], "b": [0.5]}
LEARNED = frozenset({"w", "b"})


@dataclass(frozen=True)
class Bowl:
    """direction = θ − goal + noise · N(0, 1); counts its steps in its memory and in `seen`."""

    noise: float = 0.0
    spoil: Callable[[int, Update], Update] = lambda step, update: update
    batches: list[Any] = field(default_factory=list)
    draws: list[float] = field(default_factory=list)

    def direction(
        self, problem: Any, params: Params, batch: Any, state: dict, rng: torch.Generator
    ) -> Update:
        self.batches.append(batch)
        self.draws.append(
            torch.rand(1, generator=torch.Generator().set_state(rng.get_state())).item()
        )
        made = {
            name: params[name] - torch.tensor(goal, dtype=params[name].dtype)
            for name, goal in GOAL.items()
        }
        made = {
            name: value + self.noise * torch.randn(value.shape, generator=rng, dtype=value.dtype)
            for name, value in made.items()
        }
        loss = sum((value**2).sum() for value in made.values()) / 2
        update = Update(
            made, {"steps": state["steps"] + 1}, {"loss": loss}, {"seen": params["seen"] + 1}
        )
        return self.spoil(state["steps"], update)


def fresh(dtype: torch.dtype = torch.float64) -> Snapshot:
    params = {
        "w": torch.tensor([3.0, 4.0], dtype=dtype),
        "b": torch.tensor([-1.0], dtype=dtype),
        "seen": torch.zeros(1, dtype=dtype),
    }
    return Snapshot(0, params, {"steps": 0}, {})


def run(
    settings: Train, method: Any = None, begin: Snapshot | None = None, **others: Any
) -> Snapshot:
    arguments: dict[str, Any] = {
        "learned": LEARNED,
        "seed": 11,
        "every": 1000,
        "visit": lambda snapshot: None,
        "stop": lambda: False,
        "report": ignore,
        **others,
    }
    return loop.train(
        method or Bowl(), None, lambda step: step, settings, begin or fresh(), **arguments
    )


SETTINGS = {
    "adam": Train(steps=7, optimizer="adam", lr=0.1),
    "adam with decay": Train(steps=7, optimizer="adam", lr=0.1, weight_decay=0.2),
    "adamw": Train(steps=7, optimizer="adamw", lr=0.1, weight_decay=0.2, schedule="cosine"),
    "sgd": Train(steps=7, optimizer="sgd", lr=0.1, schedule="linear"),
    "momentum": Train(steps=7, optimizer="sgd", lr=0.1, momentum=0.9, weight_decay=0.05),
    "step schedule": Train(
        steps=7, optimizer="sgd", lr=0.2, schedule="step", schedule_every=2, schedule_factor=0.5
    ),
}


def by_hand(settings: Train) -> dict[str, list[float]]:
    """The bowl number by number."""
    start = {"w": [3.0, 4.0], "b": [-1.0]}
    found: dict[str, list[float]] = {}
    for name, values in start.items():
        found[name] = []
        for value, goal in zip(values, GOAL[name], strict=True):
            rule: Any = reference.Momentum(settings.momentum, settings.weight_decay)
            if settings.optimizer != "sgd":
                rule = reference.Adam(settings.weight_decay, settings.optimizer == "adamw")
            for step in range(settings.steps):
                value = rule.step(value, value - goal, settings.lr * rate_factor(settings, step))
            found[name].append(value)
    return found


@pytest.mark.parametrize("name", list(SETTINGS))
def test_every_optimiser_equals_the_hand_written_one(name: str) -> None:
    end = run(SETTINGS[name])
    for key, values in by_hand(SETTINGS[name]).items():
        assert end.params[key].tolist() == pytest.approx(values, rel=1e-12)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
@pytest.mark.parametrize("name", list(SETTINGS))
def test_a_resumed_run_has_the_bits_of_one_that_was_not_stopped(
    name: str, dtype: torch.dtype, tmp_path: Path
) -> None:
    settings = SETTINGS[name].model_copy(update={"clip": 3.0})
    method = Bowl(noise=0.3)
    whole = run(settings, method, fresh(dtype))
    left = iter([False, False, True])
    part = run(settings, method, fresh(dtype), stop=lambda: next(left))
    assert part.step == 3
    checkpoint.save(tmp_path, "step", part, {})
    saved, _ = checkpoint.newest(tmp_path, "step")
    assert saved is not None
    end = run(settings, method, saved.snapshot)
    assert (end.step, end.state) == (whole.step, whole.state) == (7, {"steps": 7})
    toys.assert_bits(end.params, whole.params)
    toys.assert_bits(end.optimizer, whole.optimizer)


@pytest.mark.parametrize("name", list(SETTINGS))
def test_the_order_of_the_parameters_changes_no_bit(name: str) -> None:
    settings = SETTINGS[name].model_copy(update={"clip": 0.7})
    for seed in range(5):
        begin = fresh(torch.float32)
        turned = Snapshot(0, dict(reversed(begin.params.items())), begin.state, {})
        one, other = (run(settings, Bowl(noise=0.3), b, seed=seed) for b in (begin, turned))
        toys.assert_bits(other.params, one.params)
        toys.assert_bits(other.optimizer, one.optimizer)


def test_a_resumed_maml_run_has_the_bits_of_one_that_was_not_stopped(tmp_path: Path) -> None:
    problem = toys.conv_problem(3, norm="batch", width=4)
    learner, settings = MAML(inner_lr=0.1, inner_steps=2), Train(steps=5, lr=0.01)

    def train(begin: Snapshot, **others: Any) -> Snapshot:
        return loop.train(
            learner,
            problem,
            lambda step: toys.pictures(2, seed=step),
            settings,
            begin,
            learned=problem.trainable,
            seed=0,
            every=1000,
            visit=lambda snapshot: None,
            report=ignore,
            **{"stop": lambda: False, **others},
        )

    begin = Snapshot(0, problem.init(0), {}, {})
    whole = train(begin)
    path = checkpoint.save(tmp_path, "step", train(begin, stop=iter([False, True]).__next__), {})
    end = train(checkpoint.read(path).snapshot)
    toys.assert_bits(end.params, whole.params)
    toys.assert_bits(end.optimizer, whole.optimizer)


def test_every_step_has_its_own_batch_and_its_own_random_numbers() -> None:
    whole, late = Bowl(), Bowl()
    run(Train(steps=4), whole)
    run(Train(steps=4), late, Snapshot(2, fresh().params, {"steps": 2}, {}))
    assert whole.batches == [0, 1, 2, 3]
    assert late.batches == [2, 3]
    assert len(set(whole.draws)) == 4
    assert late.draws == whole.draws[2:]


def test_random_numbers_differ_by_seed_and_by_step() -> None:
    pairs = [(seed, step) for seed in (0, 1, 2**32 - 1) for step in (0, 1, 2**31)]
    draws = [torch.rand(1, generator=loop.step_rng(*pair)).item() for pair in pairs]
    assert len(set(draws)) == len(pairs)
    assert torch.rand(1, generator=loop.step_rng(0, 0)).item() == draws[0]


def test_what_a_run_starts_from_is_left_as_it_was() -> None:
    begin, before = fresh(), fresh()
    run(Train(steps=3), begin=begin)
    toys.assert_bits(begin.params, before.params)
    assert begin.state == {"steps": 0}


def test_learned_parameters_move_and_replaced_ones_are_assigned() -> None:
    end = run(Train(steps=4), learned=frozenset({"w"}))
    assert end.params["seen"].tolist() == [4.0]
    assert end.params["b"].tolist() == [-1.0]
    assert end.params["w"].tolist() != [3.0, 4.0]
    assert {name.split("/")[0] for name in end.optimizer} == {"w"}


@pytest.mark.parametrize(
    ("options", "wanted"),
    [
        ({"schedule": "constant"}, {0: 1.0, 50: 1.0, 99: 1.0}),
        ({"schedule": "linear"}, {0: 1.0, 25: 0.75, 50: 0.5, 99: 0.01}),
        ({"schedule": "cosine"}, {0: 1.0, 50: 0.5, 25: (1 + math.sqrt(0.5)) / 2, 99: 2.467e-4}),
        ({"schedule": "step", "schedule_every": 40}, {0: 1.0, 39: 1.0, 40: 0.5, 79: 0.5, 80: 0.25}),
        (
            {"schedule": "step", "schedule_factor": 0.1},
            {0: 1.0, 32: 1.0, 33: 0.1, 66: 0.01, 99: 0.001},
        ),
    ],
)
def test_schedules_at_known_steps(options: dict, wanted: dict[int, float]) -> None:
    settings = Train(steps=100, **options)
    for step, factor in wanted.items():
        assert rate_factor(settings, step) == pytest.approx(factor, rel=1e-3)


@pytest.mark.parametrize("schedule", ["linear", "cosine"])
def test_a_schedule_ends_with_the_time_limit_and_never_goes_below_nothing(schedule: str) -> None:
    settings = Train(steps=100, schedule=schedule)  # type: ignore[arg-type]
    assert rate_factor(settings, 10, 0.5) == pytest.approx(0.5)
    assert rate_factor(settings, 60, 0.5) == rate_factor(settings, 60)
    assert rate_factor(settings, 10, 1.7) == pytest.approx(0.0, abs=1e-15)


def test_clip_bounds_the_norm_over_all_learned_parameters() -> None:
    settings = Train(steps=1, optimizer="sgd", lr=1.0, clip=0.5)
    end = run(settings)
    moved = torch.cat([fresh().params[name] - end.params[name] for name in ("w", "b")])
    direction = torch.tensor([2.0, 6.0, -1.5], dtype=torch.float64)  # its norm is 6.5
    torch.testing.assert_close(moved, direction * 0.5 / 6.5, rtol=1e-5, atol=0)
    loose = run(settings.model_copy(update={"clip": 6.6}))
    assert loose.params["w"].tolist() == pytest.approx([1.0, -2.0])


def spoiled(where: str, value: float) -> Callable[[int, Update], Update]:
    """At the third step one number of the direction, or the loss, is `value`."""

    def spoil(step: int, update: Update) -> Update:
        if step != 2:
            return update
        bad = torch.tensor(value, dtype=torch.float64)
        if where == "loss":
            return update._replace(metrics={"loss": bad})
        return update._replace(direction={**update.direction, "b": bad[None]})

    return spoil


@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
@pytest.mark.parametrize("where", ["loss", "direction"])
def test_what_is_not_finite_stops_before_the_optimiser_moves_anything(
    where: str, value: float
) -> None:
    kept: list[Snapshot] = []
    events: list[Any] = []

    def keep(snapshot: Snapshot) -> None:
        kept.append(snapshot)  # the tensors themselves: a later step would show in them

    with pytest.raises(RunFailed) as caught:
        run(
            Train(steps=9, lr=0.1),
            Bowl(spoil=spoiled(where, value)),
            every=1,
            visit=keep,
            report=events.append,
        )
    good = run(Train(steps=9, lr=0.1), stop=iter([False, True]).__next__)
    assert [event.step for event in events] == [1, 2]
    assert kept[-1].step == 2
    toys.assert_bits(kept[-1].params, good.params)
    toys.assert_bits(kept[-1].optimizer, good.optimizer)
    assert (caught.value.code, caught.value.where) == ("run.not_finite", "step 3")
    assert ("loss" if where == "loss" else "gradient") in caught.value.message
    assert caught.value.hint


def test_visits_come_every_so_many_steps_and_once_at_the_end() -> None:
    def visited(steps: int, every: int, **others: Any) -> list[int]:
        found: list[int] = []
        run(Train(steps=steps), every=every, visit=lambda s: found.append(s.step), **others)
        return found

    assert visited(7, 3) == [3, 6, 7]
    assert visited(6, 3) == [3, 6]
    assert visited(7, 3, stop=iter([False] * 4 + [True]).__next__) == [3, 4]
    # Asked once more after a visit, which may take minutes: no step is begun after a signal.
    assert visited(7, 3, stop=iter([False] * 3 + [True]).__next__) == [3]
    assert visited(7, 10) == [7]


def test_a_finished_run_is_not_trained_further() -> None:
    end = run(Train(steps=3))
    again = run(Train(steps=3), begin=end)
    assert again.step == 3
    toys.assert_bits(again.params, end.params)


def test_events_tell_every_step_and_its_metrics_as_plain_numbers() -> None:
    events: list[Any] = []
    run(Train(steps=2, optimizer="sgd", lr=1.0), report=events.append)
    assert events == [StepDone(1, 2, {"loss": 42.25 / 2}), StepDone(2, 2, {"loss": 0.0})]
