"""ProtoNet: the equations by hand, and the properties of section 2 of the paper."""

from __future__ import annotations

import pytest
import reference
import torch
import toys

from metacli.algorithms.meta.maml import MAML
from metacli.algorithms.meta.protonet import PROTOTYPES, ProtoNet
from metacli.types import Batch, Episode, Params

pytestmark = pytest.mark.usefixtures("one_thread")


def test_prototypes_and_logits_of_three_points_on_a_line() -> None:
    problem = toys.bare_problem("classification", 1, None)
    x = torch.tensor([[0.0], [2.0], [5.0]], dtype=torch.float64)
    adapted = ProtoNet().adapt(problem, {}, Batch(x, torch.tensor([0, 0, 1])), {})
    assert adapted[PROTOTYPES].tolist() == [[1.0], [5.0]]
    query = torch.tensor([[3.0], [4.0]], dtype=torch.float64)
    assert ProtoNet().predict(problem, adapted, query).tolist() == [[-4.0, -4.0], [-9.0, -1.0]]


def test_cosine_sees_the_angle_and_not_the_length() -> None:
    problem = toys.bare_problem("classification", 2, None)
    learner = ProtoNet(distance="cosine", scale=3.0)
    x = torch.tensor([[4.0, 0.0], [0.0, 0.5]], dtype=torch.float64)
    adapted = learner.adapt(problem, {}, Batch(x, torch.tensor([0, 1])), {})
    found = learner.predict(problem, adapted, torch.tensor([[30.0, 40.0]], dtype=torch.float64))
    torch.testing.assert_close(found, torch.tensor([[1.8, 2.4]], dtype=torch.float64))


@pytest.mark.parametrize("chunk", [1, 2])
@pytest.mark.parametrize("distance", ["euclidean", "cosine"])
@pytest.mark.parametrize("norm", ["batch", "group", "layer", "running"])
def test_conv4_direction_equals_the_hand_written_one(norm: str, distance: str, chunk: int) -> None:
    learner = ProtoNet(distance=distance, scale=4.0)  # type: ignore[arg-type]
    problem = toys.conv_problem(None, norm=norm, chunk=chunk)
    params, episodes, network = toys.shaken(problem), toys.pictures(2), reference.ConvNet(norm)

    def task_loss(theta: Params, index: int) -> torch.Tensor:
        support, query = toys.task(episodes, index)
        if norm == "running":  # one joint batch, as in the authors' code
            both = network(theta, torch.cat([support.x, query.x]))
            seen, asked = both[: len(support.y)], both[len(support.y) :]
        else:
            seen, asked = network(theta, support.x), network(theta, query.x)
        means = reference.class_means(seen, support.y)
        return reference.class_averaged(
            reference.nearest_mean(asked, means, distance, 4.0), query.y
        )

    wanted, mean = reference.meta_gradient(task_loss, params, problem.trainable, 2)
    update = learner.direction(problem, params, episodes, {}, toys.rng())
    toys.assert_same(update.direction, wanted)
    assert max(float(g.abs().max()) for g in wanted.values()) > 1e-3
    torch.testing.assert_close(update.metrics["query_loss"], mean, rtol=1e-12, atol=0)


def test_running_statistics_move_a_tenth_of_the_way_to_those_of_the_meta_batch() -> None:
    problem = toys.conv_problem(None, norm="running")
    params, episodes = toys.shaken(problem), toys.pictures(2)
    replace = ProtoNet().direction(problem, params, episodes, {}, toys.rng()).replace
    assert set(replace) == {
        f"backbone.{i}.norm.{what}" for i in range(4) for what in ("mean", "var")
    }
    x = torch.cat([episodes.support.x.flatten(0, 1), episodes.query.x.flatten(0, 1)])
    x = x * params["input.scale"] + params["input.offset"]
    first = reference.convolution(x, params["backbone.0.conv.weight"], None, 1)
    mean, var = first.mean((0, 2, 3)), first.var((0, 2, 3), correction=0)
    torch.testing.assert_close(replace["backbone.0.norm.mean"], 0.1 * mean, rtol=0, atol=1e-12)
    torch.testing.assert_close(replace["backbone.0.norm.var"], 0.9 + 0.1 * var, rtol=0, atol=1e-12)


@pytest.mark.parametrize("norm", ["batch", "group"])
def test_protonet_is_invariant_to_support_order(norm: str) -> None:
    problem = toys.conv_problem(None, norm=norm)
    params, (support, query) = toys.shaken(problem), toys.task(toys.pictures(1))
    order = torch.tensor([4, 1, 5, 0, 2, 3])
    found = [
        ProtoNet().predict(problem, ProtoNet().adapt(problem, params, batch, {}), query.x)
        for batch in (support, Batch(support.x[order], support.y[order]))
    ]
    torch.testing.assert_close(found[0], found[1], rtol=0, atol=1e-10)


def test_renaming_the_classes_renames_the_answers() -> None:
    problem = toys.conv_problem(None)
    params, (support, query) = toys.shaken(problem), toys.task(toys.pictures(1))
    new = torch.tensor([1, 2, 0])
    plain = ProtoNet().predict(problem, ProtoNet().adapt(problem, params, support, {}), query.x)
    adapted = ProtoNet().adapt(problem, params, Batch(support.x, new[support.y]), {})
    renamed = ProtoNet().predict(problem, adapted, query.x)
    torch.testing.assert_close(renamed[:, new], plain, rtol=0, atol=1e-12)


def test_euclidean_protonet_is_a_linear_classifier() -> None:
    # Section 2.4: −‖f − c‖² = −‖f‖² + 2 c·f − ‖c‖², and the first term is the same for every class.
    problem = toys.conv_problem(None)
    params, (support, query) = toys.shaken(problem), toys.task(toys.pictures(1))
    adapted = ProtoNet().adapt(problem, params, support, {})
    features, means = problem.embed(adapted, query.x), adapted[PROTOTYPES]
    linear = features @ (2 * means).T - (means**2).sum(1)
    found = ProtoNet().predict(problem, adapted, query.x)
    torch.testing.assert_close(
        found, linear - (features**2).sum(1, keepdim=True), rtol=0, atol=1e-10
    )


def test_one_shot_is_the_nearest_neighbour() -> None:
    # Section 2.1: with one example per class the prototype is that example's features.
    problem = toys.conv_problem(None)
    params, (support, query) = toys.shaken(problem), toys.task(toys.pictures(1, way=5, shot=1))
    adapted = ProtoNet().adapt(problem, params, support, {})
    near = torch.cdist(problem.embed(params, query.x), problem.embed(params, support.x)).argmin(1)
    assert ProtoNet().predict(problem, adapted, query.x).argmax(1).tolist() == near.tolist()


@pytest.mark.parametrize("distance", ["euclidean", "cosine"])
def test_a_class_with_its_examples_doubled_keeps_its_prototype(distance: str) -> None:
    learner = ProtoNet(distance=distance)  # type: ignore[arg-type]
    problem = toys.conv_problem(None)
    params, (support, _) = toys.shaken(problem), toys.task(toys.pictures(1))
    rows = torch.cat([torch.arange(6), torch.arange(6)[support.y == 1]])
    found = [
        learner.adapt(problem, params, batch, {})[PROTOTYPES]
        for batch in (support, Batch(support.x[rows], support.y[rows]))
    ]
    torch.testing.assert_close(found[0], found[1], rtol=0, atol=1e-12)


@pytest.mark.parametrize("chunk", [1, 2])
def test_padding_that_is_masked_out_changes_nothing(chunk: int) -> None:
    problem = toys.conv_problem(None, chunk=chunk)
    params, episodes = toys.shaken(problem), toys.pictures(2)
    wide = [toys.padded(toys.task(episodes, index).support, 4) for index in range(2)]
    support = Batch(*(torch.stack(parts) for parts in zip(*wide, strict=True)))
    plain = ProtoNet().direction(problem, params, episodes, {}, toys.rng())
    other = ProtoNet().direction(problem, params, Episode(support, episodes.query), {}, toys.rng())
    toys.assert_same(other.direction, plain.direction)
    found = [
        ProtoNet().adapt(problem, params, b, {}) for b in (toys.task(episodes).support, wide[0])
    ]
    toys.assert_same(found[1], found[0])


def test_padding_does_not_enter_the_statistics_of_a_support() -> None:
    problem = toys.conv_problem(None, norm="batch")
    params, support = toys.shaken(problem), toys.task(toys.pictures(1)).support
    found = [ProtoNet().adapt(problem, params, b, {}) for b in (support, toys.padded(support, 4))]
    toys.assert_same(found[1], found[0])


def test_protonet_and_a_head_of_class_means_are_for_classes_alone() -> None:
    assert ProtoNet().kinds == MAML(head="proto").kinds == ("classification",)
    assert (
        MAML(head="linear").kinds == MAML(head="shared").kinds == ("classification", "regression")
    )
