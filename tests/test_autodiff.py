"""Gradients against calculus, and chunks of tasks against a loop."""

from __future__ import annotations

import dataclasses
import threading

import pytest
import torch
import toys

from metacli import autodiff
from metacli.algorithms.meta.maml import MAML
from metacli.algorithms.meta.reptile import Reptile
from metacli.types import Batch, Episode, Metrics, Params

pytestmark = pytest.mark.usefixtures("one_thread")


def numbers(*values: float) -> torch.Tensor:
    return torch.tensor(values, dtype=torch.float64)


def test_grad_of_a_cube_and_the_grad_of_that() -> None:
    theta = {"w": numbers(2.0), "v": numbers(3.0)}

    def cube(params: Params) -> torch.Tensor:
        return (params["w"] ** 3 * params["v"]).sum()

    first = autodiff.grad(cube, theta)
    assert (first["w"].item(), first["v"].item()) == (36.0, 8.0)  # 3 w² v, w³
    second = autodiff.grad(lambda p: autodiff.grad(cube, p)["w"].sum(), theta)
    assert (second["w"].item(), second["v"].item()) == (36.0, 12.0)  # 6 w v, 3 w²


def test_grad_is_the_same_inside_no_grad() -> None:
    with torch.no_grad():
        found = autodiff.grad(lambda p: (p["w"] ** 2).sum(), {"w": numbers(3.0)})
    assert found["w"].item() == 6.0


def test_grad_within_a_gradient_that_is_recorded() -> None:
    w, slope = numbers(2.0).requires_grad_(), numbers(5.0).requires_grad_()
    first = autodiff.grad(lambda p: (slope * p["w"] ** 3).sum(), {"w": 1 * w, "idle": 1 * w})
    assert (first["w"].item(), first["idle"].item()) == (60.0, 0.0)  # 3 s w²
    of_w = autodiff.grad(lambda p: (p["w"] * p["v"]).sum(), {"w": 1 * w, "v": 3 * w})
    assert (of_w["w"].item(), of_w["v"].item()) == (6.0, 2.0)  # v and w, though v is made of w
    by_w, by_slope = torch.autograd.grad(first["w"].sum(), [w, slope])
    assert (by_w.item(), by_slope.item()) == (60.0, 12.0)  # 6 s w, 3 w²


@pytest.mark.parametrize("within", [False, True])
def test_a_constant_gradient_is_not_recorded(within: bool) -> None:
    slope = numbers(5.0).requires_grad_()

    def cubed(value: torch.Tensor) -> torch.Tensor:
        params = {"w": value * slope, "idle": value}
        found = autodiff.constant_grad(lambda p: (p["w"] ** 3).sum(), params)
        return found["w"] + found["idle"]  # 0

    found = torch.vmap(cubed)(numbers(1.0, 2.0)[:, None]) if within else cubed(numbers(1.0, 2.0))
    assert found.flatten().tolist() == [75.0, 300.0]  # 3 (5 x)²
    assert not found.requires_grad


def test_what_a_task_sees_of_threads() -> None:
    def seen(size: int) -> set[str]:
        where = set()

        def loss(theta: Params, episode: Episode) -> tuple[torch.Tensor, Metrics]:
            where.add(threading.current_thread().name.partition("_")[0])
            return theta["w"].sum() * episode.query.x.sum(), {}

        x = torch.ones(4, 1, size)
        batch = Batch(x, x)
        autodiff.mean_gradient(loss, {"w": torch.ones(1)}, Episode(batch, batch), 1)
        return where

    torch.set_num_threads(2)
    assert seen(autodiff.SMALL // 2 - 1) == {"MainThread"}
    assert seen(autodiff.SMALL // 2) == {"tasks"}


def lines(tasks: int, *, masked: bool = False) -> Episode:
    """x = task number + 1, y = 10 times it."""
    x = torch.arange(1, tasks + 1, dtype=torch.float64)[:, None].repeat(1, 2)
    batch = Batch(x, 10 * x, torch.ones_like(x, dtype=torch.bool) if masked else None)
    return Episode(batch, batch)


@pytest.mark.parametrize("masked", [False, True])
def test_meta_batches_are_cut_by_task_and_a_missing_mask_stays_missing(masked: bool) -> None:
    episodes = lines(5, masked=masked)
    assert autodiff.num_tasks(episodes) == 5
    cut = autodiff.slice_tasks(episodes, 1, 3)
    assert cut.support.x[:, 0].tolist() == cut.query.x[:, 0].tolist() == [2.0, 3.0]
    one = autodiff.one_task(episodes, 4)
    assert one.query.y.tolist() == [50.0, 50.0]
    assert (cut.support.mask is None, one.query.mask is None) == (not masked, not masked)
    assert autodiff.map_axes(episodes).support == Batch(0, 0, 0 if masked else None)


def test_a_task_by_itself_drops_the_rows_that_do_not_count() -> None:
    padded = Batch(
        torch.arange(6.0).reshape(1, 3, 2),
        torch.tensor([[0, 1, 0]]),
        torch.tensor([[True, False, True]]),
    )
    one = autodiff.unpadded(autodiff.one_task(Episode(padded, padded), 0))
    assert one.support.x.tolist() == [[0.0, 1.0], [4.0, 5.0]]
    assert one.query.y.tolist() == [0, 0]


@pytest.mark.parametrize(("chunk", "calls"), [(1, 5), (2, 3), (4, 2), (5, 1), (9, 1)])
def test_over_tasks_gives_every_task_once_and_in_order(chunk: int, calls: int) -> None:
    parts = autodiff.over_tasks(lambda e: e.support.x.sum() + e.query.y.sum(), lines(5), chunk)
    assert len(parts) == calls
    flat = torch.cat([part.reshape(-1) for part in parts])
    assert flat.tolist() == [22.0, 44.0, 66.0, 88.0, 110.0]


def squared(theta: Params, episode: Episode) -> tuple[torch.Tensor, Metrics]:
    loss = ((theta["w"] * episode.query.x - episode.query.y) ** 2).mean()
    return loss, {"loss": loss, "first": episode.query.x[0]}


@pytest.mark.parametrize("chunk", [1, 2, 3, 7])
def test_mean_gradient_is_the_gradient_of_the_mean_also_with_a_last_smaller_chunk(
    chunk: int,
) -> None:
    theta = {"w": numbers(4.0), "unused": numbers(1.0, 2.0)}
    found, metrics = autodiff.mean_gradient(squared, theta, lines(3), chunk)
    # L_i = x_i² (w − 10)², x = 1, 2, 3: mean gradient 2 (4 − 10) · 14/3, mean loss 36 · 14/3.
    assert found["w"].item() == pytest.approx(-56.0, rel=1e-14)
    assert found["unused"].tolist() == [0.0, 0.0]
    assert metrics["loss"].item() == pytest.approx(168.0, rel=1e-14)
    assert metrics["first"].item() == pytest.approx(2.0, rel=1e-14)
    assert not any(v.requires_grad for v in (*found.values(), *metrics.values(), *theta.values()))


@pytest.mark.parametrize("chunk", [1, 2, 4])
def test_mean_direction_is_the_mean_over_tasks(chunk: int) -> None:
    def steps(episode: Episode) -> tuple[Params, Metrics]:
        return {"w": episode.support.x}, {"loss": episode.query.y.sum()}

    found, metrics = autodiff.mean_direction(steps, lines(4), chunk)
    assert found["w"].tolist() == [2.5, 2.5]
    assert metrics["loss"].item() == 50.0


def test_metrics_keep_the_dtype_of_the_task() -> None:
    _, metrics = autodiff.mean_gradient(squared, {"w": numbers(4.0)}, lines(3), 1)
    assert {value.dtype for value in metrics.values()} == {torch.float64}


def test_episode_helpers_keep_uint8_images() -> None:
    episodes = toys.pictures(2)
    assert autodiff.one_task(episodes, 1).support.x.dtype == torch.uint8
    assert torch.equal(autodiff.one_task(episodes, 1).support.x, episodes.support.x[1])


@pytest.mark.parametrize("chunk", [1, 2])
@pytest.mark.parametrize("algorithm", [MAML(inner_lr=0.1, inner_steps=2), Reptile(inner_steps=2)])
def test_two_threads_over_tasks_give_the_bits_of_one(
    algorithm: MAML | Reptile, chunk: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(autodiff, "SMALL", 0)
    problem = dataclasses.replace(toys.conv_problem(3, norm="batch"), chunk=chunk)
    params, episodes = toys.shaken(problem, dtype=torch.float32), toys.pictures(5)

    def found(threads: int) -> Params:
        torch.set_num_threads(threads)
        update = algorithm.direction(problem, params, episodes, {}, toys.rng(0))
        return {**update.direction, **update.metrics}

    one, two = found(1), found(2)
    assert torch.get_num_threads() == 2
    for name, value in one.items():
        assert torch.equal(two[name], value), name
    assert all(torch.equal(two[name], value) for name, value in found(2).items())


def test_what_a_task_raises_on_a_thread_is_raised() -> None:
    def loss(theta: Params, episode: Episode) -> tuple[torch.Tensor, Metrics]:
        raise ValueError(f"task {int(episode.query.y[0])}")

    torch.set_num_threads(2)
    with pytest.raises(ValueError, match="task"):
        autodiff.mean_gradient(loss, {"w": numbers(1.0)}, lines(3), 1)
