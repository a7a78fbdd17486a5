"""MAML and first-order MAML: closed forms, a hand-written reference, and what the papers claim."""

from __future__ import annotations

import dataclasses
import itertools

import pytest
import reference
import torch
import toys

from metacli.algorithms.meta.maml import MAML
from metacli.algorithms.meta.protonet import ProtoNet
from metacli.nn.problem import Problem
from metacli.types import Batch, Episode, Params

pytestmark = pytest.mark.usefixtures("one_thread")
HEADS = {"linear": 3, "proto": None, "shared": 1}


def quadratics(goals: list[float]) -> tuple[Problem, Episode]:
    """Tasks of loss ½ (w − b)²: one example x = 1/√2 with y = b/√2, and a bias that stays 0."""
    root = 2**-0.5
    x = torch.full((len(goals), 1, 1), root, dtype=torch.float64)
    batch = Batch(x, root * torch.tensor(goals, dtype=torch.float64)[:, None, None])
    return toys.bare_problem("regression", 1, 1), Episode(batch, batch)


def at(weight: float) -> Params:
    return {
        "head.weight": torch.tensor([[weight]], dtype=torch.float64),
        "head.bias": torch.zeros(1, dtype=torch.float64),
    }


def only_weight(**fields: object) -> MAML:
    return MAML(adapts=("head.weight",), **fields)  # type: ignore[arg-type]


@pytest.mark.parametrize("steps", [0, 1, 2, 7])
@pytest.mark.parametrize("rate", [0.1, 0.5, 1.0, 1.7])
def test_meta_gradients_on_a_quadratic_are_the_closed_forms(steps: int, rate: float) -> None:
    # φ − b = (1−α)^K (θ−b); second order: (1−α)^K (φ−b), first order: φ−b.
    theta, goals = 1.3, [-0.4, 2.0, 0.9]
    problem, episodes = quadratics(goals)
    shrink = (1 - rate) ** steps
    gaps = [shrink * (theta - goal) for goal in goals]
    for first_order, factor in ((False, shrink), (True, 1.0)):
        learner = only_weight(inner_lr=rate, inner_steps=steps, first_order=first_order)
        update = learner.direction(problem, at(theta), episodes, {}, toys.rng())
        wanted = factor * sum(gaps) / 3
        assert update.direction["head.weight"].item() == pytest.approx(wanted, rel=1e-12, abs=1e-15)
        loss = sum(gap**2 / 2 for gap in gaps) / 3
        assert update.metrics["query_loss"].item() == pytest.approx(loss, rel=1e-12, abs=1e-15)


def test_path_on_a_quadratic_shrinks_the_gap_by_the_same_factor_each_step() -> None:
    problem, episodes = quadratics([2.0])
    learner = only_weight(inner_lr=0.25, inner_steps=6)
    path = learner.path(problem, at(-1.0), toys.task(episodes).support, {})
    gaps = [phi["head.weight"].item() - 2.0 for phi in path]
    assert gaps == pytest.approx([-3 * 0.75**step for step in range(7)], rel=1e-12)


def assert_equals_reference(
    learner: MAML,
    problem: Problem,
    network: object,
    episodes: Episode,
    loss: object,
    chunks: tuple[int, ...] = (1,),
) -> None:
    """Direction and loss against the hand-written inner loop, for each chunk of tasks."""
    params = toys.shaken(problem)
    slow = reference.MAML(
        network=network,  # type: ignore[arg-type]
        loss=loss,  # type: ignore[arg-type]
        lr=learner.inner_lr,
        steps=learner.inner_steps,
        first_order=learner.first_order,
        head=learner.head,
        adapts=learner.adapts,
    )

    def task_loss(theta: Params, index: int) -> torch.Tensor:
        support, query = toys.task(episodes, index)
        return slow.task_loss(theta, support[:2], query[:2], problem.trainable)

    wanted, mean = reference.meta_gradient(
        task_loss, params, problem.trainable, len(episodes.query.y)
    )
    assert max(float(g.abs().max()) for g in wanted.values()) > 1e-3  # not a comparison of zeros
    for chunk in chunks:
        cut = dataclasses.replace(problem, chunk=chunk)
        update = learner.direction(cut, params, episodes, {}, toys.rng())
        toys.assert_same(update.direction, wanted)
        torch.testing.assert_close(update.metrics["query_loss"], mean, rtol=1e-12, atol=0)


@pytest.mark.parametrize("first_order", [False, True])
@pytest.mark.parametrize("steps", [1, 3])
@pytest.mark.parametrize("head", list(HEADS))
@pytest.mark.parametrize("norm", ["batch", "group", "layer"])
def test_conv4_direction_equals_the_hand_written_one(
    norm: str, head: str, steps: int, first_order: bool
) -> None:
    learner = MAML(inner_lr=0.1, inner_steps=steps, first_order=first_order, head=head)  # type: ignore[arg-type]
    problem, episodes = toys.conv_problem(HEADS[head], norm=norm), toys.pictures(2)
    network = reference.ConvNet(norm)
    assert_equals_reference(learner, problem, network, episodes, reference.class_averaged, (1, 2))


@pytest.mark.parametrize("first_order", [False, True])
def test_mlp_direction_on_regressions_equals_the_hand_written_one(first_order: bool) -> None:
    learner = MAML(inner_lr=0.05, inner_steps=4, first_order=first_order)
    problem, episodes = toys.wave_problem(), toys.waves(3)
    assert_equals_reference(
        learner, problem, reference.mlp, episodes, reference.mean_square, (1, 2, 3)
    )


@pytest.mark.parametrize("first_order", [False, True])
@pytest.mark.parametrize("adapts", [("head.",), ("backbone.3", "head."), ("backbone.",)])
def test_only_the_named_parts_move_and_the_direction_still_equals_the_reference(
    adapts: tuple[str, ...], first_order: bool
) -> None:
    learner = MAML(inner_lr=0.2, inner_steps=2, adapts=adapts, first_order=first_order)
    problem = toys.conv_problem(3, norm="none", downsample="stride", features="mean")
    episodes = toys.pictures(2)
    network = reference.ConvNet("none", "stride", "mean")
    assert_equals_reference(learner, problem, network, episodes, reference.class_averaged)
    params = toys.shaken(problem)
    phi = learner.adapt(problem, params, toys.task(episodes).support, {})
    moved = {name for name in params if not torch.equal(params[name], phi[name])}
    assert moved == {name for name in problem.trainable if name.startswith(adapts)}


@pytest.mark.parametrize("norm", ["batch", "group"])
def test_proto_maml_without_steps_predicts_as_protonet(norm: str) -> None:
    # Triantafillou et al. 2020, section 3.2: 2c·f − ‖c‖² is −‖f − c‖² but for ‖f‖² in each row.
    problem = toys.conv_problem(None, norm=norm)
    params, (support, query) = toys.shaken(problem), toys.task(toys.pictures(1))
    found = []
    for learner in (MAML(head="proto", inner_steps=0), ProtoNet()):
        phi = learner.adapt(problem, params, support, {})
        found.append(torch.softmax(learner.predict(problem, phi, query.x), 1))
    torch.testing.assert_close(found[0], found[1], rtol=0, atol=1e-10)


@pytest.mark.parametrize("head", ["proto", "shared"])
def test_renaming_the_classes_renames_the_answers(head: str) -> None:
    learner = MAML(inner_lr=0.2, inner_steps=3, head=head)  # type: ignore[arg-type]
    problem = toys.conv_problem(HEADS[head])
    params, (support, query) = toys.shaken(problem), toys.task(toys.pictures(1))
    new = torch.tensor([2, 0, 1])
    plain = learner.predict(problem, learner.adapt(problem, params, support, {}), query.x)
    renamed = Batch(support.x, new[support.y])
    other = learner.predict(problem, learner.adapt(problem, params, renamed, {}), query.x)
    torch.testing.assert_close(other[:, new], plain, rtol=0, atol=1e-10)


@pytest.mark.parametrize("norm", ["batch", "group"])
@pytest.mark.parametrize("head", list(HEADS))
def test_order_of_the_support_does_not_matter(head: str, norm: str) -> None:
    learner = MAML(inner_lr=0.2, inner_steps=3, head=head)  # type: ignore[arg-type]
    problem = toys.conv_problem(HEADS[head], norm=norm)
    params, (support, query) = toys.shaken(problem), toys.task(toys.pictures(1))
    order = torch.tensor([4, 1, 5, 0, 2, 3])
    found = [
        learner.predict(problem, learner.adapt(problem, params, batch, {}), query.x)
        for batch in (support, Batch(support.x[order], support.y[order]))
    ]
    torch.testing.assert_close(found[0], found[1], rtol=0, atol=1e-10)


@pytest.mark.parametrize("head", list(HEADS))
def test_a_class_with_its_examples_doubled_weighs_no_more(head: str) -> None:
    learner = MAML(inner_lr=0.2, inner_steps=3, head=head)  # type: ignore[arg-type]
    problem = toys.conv_problem(HEADS[head])
    params, (support, query) = toys.shaken(problem), toys.task(toys.pictures(1))
    rows = torch.cat([torch.arange(6), torch.arange(6)[support.y == 1]])
    doubled = Batch(support.x[rows], support.y[rows])
    episodes = [toys.each_tensor(lambda v: v[None], Episode(b, query)) for b in (support, doubled)]
    first, second = (
        learner.direction(problem, params, e, {}, toys.rng()).direction for e in episodes
    )
    toys.assert_same(second, first)
    phi = [learner.adapt(problem, params, batch, {}) for batch in (support, doubled)]
    toys.assert_same(phi[1], phi[0])


@pytest.mark.parametrize(("head", "chunk"), list(itertools.product(HEADS, [1, 2])))
def test_padding_that_is_masked_out_changes_nothing(head: str, chunk: int) -> None:
    learner = MAML(inner_lr=0.2, inner_steps=2, head=head)  # type: ignore[arg-type]
    problem = toys.conv_problem(HEADS[head], chunk=chunk)
    params, episodes = toys.shaken(problem), toys.pictures(2)
    wide = [toys.padded(toys.task(episodes, index).support, 4) for index in range(2)]
    support = Batch(*(torch.stack(parts) for parts in zip(*wide, strict=True)))
    plain = learner.direction(problem, params, episodes, {}, toys.rng())
    other = learner.direction(problem, params, Episode(support, episodes.query), {}, toys.rng())
    toys.assert_same(other.direction, plain.direction)
    phi = [
        learner.adapt(problem, params, batch, {})
        for batch in (toys.task(episodes).support, wide[0])
    ]
    toys.assert_same(phi[1], phi[0])


def test_first_and_second_order_adapt_alike_and_differ_in_direction() -> None:
    problem, episodes = toys.wave_problem(), toys.waves(2)
    params = toys.shaken(problem)
    second = MAML(inner_lr=0.1, inner_steps=3)
    first = dataclasses.replace(second, first_order=True)
    support = toys.task(episodes).support
    toys.assert_bits(
        first.adapt(problem, params, support, {}), second.adapt(problem, params, support, {})
    )
    one, two = (
        m.direction(problem, params, episodes, {}, toys.rng()).direction for m in (first, second)
    )
    assert max(float((one[name] - two[name]).abs().max()) for name in one) > 1e-3


def test_the_warm_up_of_proto_maml_is_protonet_and_its_end_is_maml() -> None:
    problem = toys.conv_problem(None, norm="group")
    params, episodes = toys.shaken(problem), toys.pictures(2)
    warm = MAML(head="proto", inner_lr=0.1, inner_steps=2, warm_up=1)
    _, state = warm.init(problem, params)
    first = warm.direction(problem, params, episodes, state, toys.rng())
    second = warm.direction(problem, params, episodes, first.state, toys.rng())
    cold = dataclasses.replace(warm, warm_up=0)
    toys.assert_same(
        first.direction,
        ProtoNet().direction(problem, params, episodes, {}, toys.rng()).direction,
    )
    toys.assert_bits(
        second.direction, cold.direction(problem, params, episodes, {}, toys.rng()).direction
    )
    assert second.state == {"step": 2}


def test_steps_are_counted_only_where_there_is_a_warm_up() -> None:
    problem = toys.wave_problem()
    params, episodes = toys.shaken(problem), toys.waves(2)
    assert MAML().init(problem, params) == ({}, {})
    assert MAML(warm_up=2).init(problem, params) == ({}, {"step": 0})
    assert MAML().direction(problem, params, episodes, {}, toys.rng()).state == {}
    found = MAML(warm_up=2).direction(problem, params, episodes, {"step": 1}, toys.rng())
    assert found.state == {"step": 2}
    still = MAML(inner_steps=0).direction(problem, params, episodes, {}, toys.rng())
    toys.assert_bits(found.direction, still.direction)  # the last one of the warm-up
    after = MAML(warm_up=2).direction(problem, params, episodes, {"step": 2}, toys.rng())
    toys.assert_bits(
        after.direction, MAML().direction(problem, params, episodes, {}, toys.rng()).direction
    )
