"""Normalisations by hand, and which of them let an example see the others."""

from __future__ import annotations

import pytest
import reference
import torch
import toys
from torch import Tensor, nn

from metacli.algorithms.meta.maml import MAML
from metacli.algorithms.meta.protonet import ProtoNet
from metacli.errors import DataError
from metacli.nn.layers.norms import BatchStatNorm, NormName, TaskNorm, make_norm

pytestmark = pytest.mark.usefixtures("one_thread")


def blended(x: Tensor, support: Tensor, layer: TaskNorm) -> Tensor:
    """TaskNorm-I of every example and channel, one at a time."""
    alpha = 1 / (1 + torch.exp(-(layer.scale * len(support) + layer.offset)))
    out = torch.empty_like(x)
    for m in range(len(x)):
        for c in range(x.shape[1]):
            ours, all_of = x[m, c], support[:, c]
            mean = alpha * all_of.mean() + (1 - alpha) * ours.mean()
            var = alpha * (((all_of - all_of.mean()) ** 2).mean() + (all_of.mean() - mean) ** 2)
            var += (1 - alpha) * (((ours - ours.mean()) ** 2).mean() + (ours.mean() - mean) ** 2)
            out[m, c] = (ours - mean) / torch.sqrt(var + 1e-5) * layer.weight[c] + layer.bias[c]
    return out.detach()


def shaken_task_norm(channels: int) -> TaskNorm:
    layer = TaskNorm(channels).double()
    with torch.no_grad():
        for index, value in enumerate(layer.parameters()):
            value += 0.3 * torch.randn(value.shape, generator=toys.rng(index), dtype=value.dtype)
    return layer


def random(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=toys.rng(seed), dtype=torch.float64) * 2 + 1


def test_task_norm_in_training_blends_with_the_batch_by_hand() -> None:
    layer, x = shaken_task_norm(3).train(), random(4, 3, 5, 2)
    torch.testing.assert_close(layer(x), blended(x, x, layer), rtol=0, atol=1e-10)


def test_task_norm_of_a_query_blends_with_the_stored_support_by_hand() -> None:
    layer, support, query = (
        shaken_task_norm(3).eval(),
        random(4, 3, 5, 2),
        random(6, 3, 5, 2, seed=1),
    )
    stored = layer.statistics(support)
    assert {name: value.shape for name, value in stored.items()} == {
        "mean": (3,),
        "var": (3,),
        "size": (),
    }
    layer.load_state_dict(stored, strict=False)
    torch.testing.assert_close(layer(query), blended(query, support, layer), rtol=0, atol=1e-10)


@pytest.mark.parametrize(("offset", "like"), [(40.0, "batch"), (-40.0, "instance")])
def test_the_ends_of_the_blend_are_batch_and_instance_normalisation(
    offset: float, like: str
) -> None:
    layer, x = TaskNorm(4).double().train(), random(5, 4, 3, 3)
    with torch.no_grad():
        layer.offset.fill_(offset)
    wanted = reference.over_batch(x) if like == "batch" else reference.over_groups(x, 4)
    torch.testing.assert_close(layer(x), wanted, rtol=0, atol=1e-10)


@pytest.mark.parametrize("learner", [ProtoNet(), MAML(inner_lr=0.1, inner_steps=1, head="proto")])
def test_task_norm_freezes_the_support_and_answers_row_by_row(learner: ProtoNet | MAML) -> None:
    problem = toys.conv_problem(None, norm="task")
    params, (support, query) = toys.shaken(problem), toys.task(toys.pictures(1))
    adapted = learner.adapt(problem, params, support, {})
    assert float(adapted["backbone.0.norm.size"]) == len(support.x)
    whole = learner.predict(problem, adapted, query.x)
    alone = torch.cat([learner.predict(problem, adapted, query.x[i : i + 1]) for i in range(6)])
    torch.testing.assert_close(alone, whole, rtol=0, atol=1e-10)
    padded = learner.adapt(problem, params, toys.padded(support, 3), {})
    if isinstance(learner, ProtoNet):
        toys.assert_same(padded, adapted)


def test_support_normalised_by_its_frozen_statistics_is_the_support_normalised_together() -> None:
    problem = toys.conv_problem(3, norm="task")
    params, support = toys.shaken(problem), toys.task(toys.pictures(1)).support
    frozen = problem.freeze_statistics(params, support)
    alone = torch.cat([problem.predict(frozen, support.x[i : i + 1]) for i in range(6)])
    together = problem.predict(params, support.x, together=True)
    torch.testing.assert_close(alone, together, rtol=0, atol=1e-10)


@pytest.mark.parametrize("learner", [ProtoNet(), MAML(inner_lr=0.1, inner_steps=1)])
def test_task_norm_is_differentiated_twice_the_same_in_a_loop_and_in_vmap(
    learner: ProtoNet | MAML,
) -> None:
    found = []
    for chunk in (1, 2):
        problem = toys.conv_problem(learner.head_size(3), norm="task", chunk=chunk)
        params = toys.shaken(problem)
        update = learner.direction(problem, params, toys.pictures(2), {}, toys.rng())
        found.append(update.direction)
    toys.assert_same(found[1], found[0])
    assert float(found[0]["backbone.0.norm.scale"].abs()) > 0


@pytest.mark.parametrize("channels", [1, 5, 6, 12, 20, 64, 160])
def test_groups_divide_the_channels(channels: int) -> None:
    layer = make_norm("group", channels)
    assert isinstance(layer, nn.GroupNorm)
    assert channels % layer.num_groups == 0
    assert layer.num_groups == {1: 1, 5: 5, 6: 6, 12: 6, 20: 5}.get(channels, 8)


def test_each_name_gives_its_layer() -> None:
    kinds = {name: type(make_norm(name, 8)) for name in ("batch", "running", "task", "none")}  # type: ignore[arg-type]
    wanted = {"batch": BatchStatNorm, "running": BatchStatNorm, "task": TaskNorm}
    assert kinds == {**wanted, "none": nn.Identity}


@pytest.mark.parametrize("norm", ["batch", "running", "task"])
def test_one_example_of_one_place_has_no_batch_statistics_and_says_so(norm: NormName) -> None:
    layer = make_norm(norm, 3).train()
    two = torch.rand(1, 3, 2, 1)
    assert layer(two).shape == two.shape
    for act in (layer, layer.statistics):
        with pytest.raises(DataError, match="batch statistics of one value") as caught:
            act(torch.rand(1, 3, 1, 1))
        assert "backbone.norm=group" in str(caught.value.hint)
