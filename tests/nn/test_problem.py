"""Losses by hand, statistics that are frozen, and nothing that a forward pass changes."""

from __future__ import annotations

import dataclasses

import pytest
import reference
import torch
import toys
from torch import nn

from metacli.nn import losses
from metacli.nn.layers.inputs import PixelInput, channels_last
from metacli.nn.layers.norms import BatchStatNorm
from metacli.nn.problem import Problem, make_module
from metacli.types import Batch

pytestmark = pytest.mark.usefixtures("one_thread")


def test_class_mean_averages_each_class_before_the_classes() -> None:
    y = torch.tensor([0, 0, 0, 2])  # class 1 is absent, class 2 has one example
    values = torch.tensor([1.0, 2.0, 3.0, 10.0])
    assert losses.class_mean(values, Batch(values, y), 3).item() == pytest.approx(6.0)
    mask = torch.tensor([True, True, False, True])
    assert losses.class_mean(values, Batch(values, y, mask), 3).item() == pytest.approx(5.75)


def test_class_mean_of_balanced_classes_is_the_plain_mean() -> None:
    values = torch.rand(12, generator=toys.rng(), dtype=torch.float64)
    y = torch.arange(3).repeat(4)
    found = losses.class_mean(values, Batch(values, y), 3)
    torch.testing.assert_close(found, values.mean(), rtol=1e-14, atol=0)


def test_membership_is_one_hot_with_masked_rows_empty() -> None:
    mask = torch.tensor([True, False, True])
    found = losses.membership(torch.tensor([1, 0, 0]), 2, mask, torch.float32)
    assert found.tolist() == [[0.0, 1.0], [0.0, 0.0], [1.0, 0.0]]


def test_masked_mean_leaves_out_what_is_masked_even_where_it_is_not_finite() -> None:
    values = torch.tensor([1.0, float("nan"), 4.0])
    assert losses.masked_mean(values, torch.tensor([True, False, True])).item() == 2.5
    assert losses.masked_mean(values[:1], None).item() == 1.0


def test_squared_error_is_the_mean_over_outputs_of_each_example() -> None:
    found = losses.squared_error(torch.tensor([[1.0, 2.0], [0.0, 0.0]]), torch.zeros(2, 2))
    assert found.tolist() == [2.5, 0.0]


def test_the_metric_of_a_regression_is_in_the_users_unit_squared() -> None:
    problem = dataclasses.replace(toys.bare_problem("regression", 2, 1), unit=3.0)
    found = problem.metric(torch.tensor([[1.0], [0.0]]), torch.tensor([[3.0], [0.5]]))
    assert found.tolist() == [36.0, 2.25]  # 9 times 4 and 1/4
    loss = problem.loss(torch.tensor([[1.0]]), Batch(torch.zeros(1, 2), torch.tensor([[3.0]])))
    assert loss.item() == 4.0  # in the unit that the network sees


def test_hits_are_ones_where_the_largest_logit_is_the_label() -> None:
    logits = torch.tensor([[2.0, 1.0], [0.0, 3.0]])
    assert losses.hits(logits, torch.tensor([0, 0])).tolist() == [1.0, 0.0]


def test_loss_of_each_kind_equals_the_reference() -> None:
    found = toys.bare_problem("classification", 4, 4)
    logits = torch.randn(9, 4, generator=toys.rng(), dtype=torch.float64)
    y = torch.tensor([0, 0, 0, 0, 1, 1, 3, 3, 3])
    wanted = reference.class_averaged(logits, y)
    torch.testing.assert_close(found.loss(logits, Batch(logits, y)), wanted, rtol=1e-13, atol=0)
    values = torch.randn(9, 1, generator=toys.rng(1), dtype=torch.float64)
    regression = toys.bare_problem("regression", 4, 1).loss(values, Batch(values, values + 2))
    assert regression.item() == pytest.approx(4.0)


def test_init_is_a_function_of_its_seed_and_leaves_the_global_stream_alone() -> None:
    made = toys.conv_problem(5)
    torch.manual_seed(3)
    wanted = torch.rand(4)
    torch.manual_seed(3)
    first = made.init(7)
    assert torch.equal(torch.rand(4), wanted)
    toys.assert_bits(made.init(7), first)
    toys.assert_bits(toys.conv_problem(5).init(7), first)
    other = made.init(8)
    assert not torch.equal(other["head.weight"], first["head.weight"])
    assert not torch.equal(other["backbone.0.conv.weight"], first["backbone.0.conv.weight"])


def test_a_layer_that_holds_weights_of_a_file_begins_with_them() -> None:
    class Held(torch.nn.Linear):
        def load_weights(self) -> None:
            torch.nn.init.constant_(self.weight, 3.0)

    module = make_module(
        torch.nn.Identity(), torch.nn.Sequential(Held(2, 2), torch.nn.Linear(2, 2))
    )
    found = Problem(module, 2, "classification", None).init(0)
    assert found["backbone.0.weight"].tolist() == [[3.0, 3.0], [3.0, 3.0]]
    assert float(found["backbone.1.weight"].abs().max()) < 1.0  # drawn


def test_one_task_at_a_time_is_normalised_as_by_torch_to_the_bit() -> None:
    x = torch.randn(6, 3, 5, 5, generator=toys.rng())
    module = make_module(torch.nn.Identity(), BatchStatNorm(3))
    made = Problem(module, 75, "classification", None, statistics="support", chunk=1)
    found = made.embed(made.init(0), x, together=True)
    assert torch.equal(found, torch.nn.BatchNorm2d(3)(channels_last(x)))


def test_trainable_names_are_the_parameters_and_never_the_buffers() -> None:
    made = toys.conv_problem(None, norm="batch")
    params = made.init(0)
    buffers = {f"backbone.{i}.norm.{what}" for i in range(4) for what in ("mean", "var")}
    assert set(params) - made.trainable == buffers | {"input.scale", "input.offset"}
    assert toys.conv_problem(3, norm="batch").trainable - made.trainable == {
        "head.weight",
        "head.bias",
    }


def test_pixels_are_scaled_and_ink_is_high() -> None:
    made = toys.conv_problem(None)
    params = made.init(0, torch.float64)
    x = torch.tensor([0, 51, 255], dtype=torch.uint8)[:, None, None, None]
    seen = x * params["input.scale"] + params["input.offset"]
    # scale is made in float32, as it is trained with
    torch.testing.assert_close(
        seen.flatten(), torch.tensor([1.0, 0.8, 0.0], dtype=torch.float64), rtol=0, atol=1e-7
    )


def test_statistics_frozen_from_a_support_are_those_of_every_layer_by_hand() -> None:
    made = toys.conv_problem(None, norm="batch", downsample="stride", features="mean")
    params, support = toys.shaken(made), toys.task(toys.pictures(1)).support
    frozen = made.freeze_statistics(params, support)
    x = support.x * params["input.scale"] + params["input.offset"]
    for layer in range(4):
        own = f"backbone.{layer}"
        x = reference.convolution(x, params[f"{own}.conv.weight"], None, 2)
        channels = x.transpose(0, 1).flatten(1)
        mean, var = channels.mean(1), channels.var(1, correction=0)
        torch.testing.assert_close(frozen[f"{own}.norm.mean"], mean, rtol=0, atol=1e-12)
        torch.testing.assert_close(frozen[f"{own}.norm.var"], var, rtol=0, atol=1e-12)
        x = reference.ConvNet("batch").normalised(
            x,
            {"norm.weight": params[f"{own}.norm.weight"], "norm.bias": params[f"{own}.norm.bias"]},
        )
        x = reference.positive_part(x)
    same = [name for name in params if not name.endswith(("norm.mean", "norm.var"))]
    toys.assert_bits({n: frozen[n] for n in same}, {n: params[n] for n in same})


def test_support_normalised_by_its_frozen_statistics_is_the_support_normalised_together() -> None:
    made = toys.conv_problem(3, norm="batch")
    params, support = toys.shaken(made), toys.task(toys.pictures(1)).support
    frozen = made.freeze_statistics(params, support)
    alone = torch.cat([made.predict(frozen, support.x[i : i + 1]) for i in range(6)])
    together = made.predict(params, support.x, together=True)
    torch.testing.assert_close(alone, together, rtol=0, atol=1e-10)


@pytest.mark.parametrize("norm", ["group", "layer", "none", "running"])
def test_nothing_is_frozen_where_the_support_gives_no_statistics(norm: str) -> None:
    made = toys.conv_problem(3, norm=norm)
    params, support = toys.shaken(made), toys.task(toys.pictures(1)).support
    toys.assert_bits(made.freeze_statistics(params, support), params)


def test_embed_uses_the_stored_statistics_unless_together() -> None:
    made = toys.conv_problem(None, norm="running")
    params, x = toys.shaken(made), toys.task(toys.pictures(1)).support.x
    for name in params:
        if name.endswith("norm.var"):
            params[name] = params[name] + 0.5
        if name.endswith("norm.mean"):
            params[name] = params[name] - 0.1
    stored = reference.ConvNet("running", frozen=True)(params, x)
    torch.testing.assert_close(made.embed(params, x), stored, rtol=0, atol=1e-10)
    batch = reference.ConvNet("running")(params, x)
    torch.testing.assert_close(made.embed(params, x, together=True), batch, rtol=0, atol=1e-10)


def test_a_forward_pass_changes_neither_module() -> None:
    made = toys.conv_problem(3, norm="batch")
    params, x = toys.shaken(made), toys.task(toys.pictures(1)).support.x
    modules = (made.module, made.training_module)
    before = [toys.copied(dict(module.state_dict())) for module in modules]
    made.predict(params, x)
    made.predict(params, x, together=True)
    made.batch_statistics(params, x)
    for module, state in zip(modules, before, strict=True):
        toys.assert_bits(dict(module.state_dict()), state)
        hooks = [hook for layer in module.modules() for hook in layer._forward_pre_hooks]
        assert hooks == []
    assert (made.module.training, made.training_module.training) == (False, True)


def test_what_theta_does_not_hold_follows_the_examples_to_their_device() -> None:
    """As with sets of tasks, whose θ holds neither the scale of pixels nor a pretrained encoder."""
    module = make_module(PixelInput(1, invert=False), nn.Flatten())
    problem = Problem(module, 4, "classification", None)
    x = torch.full((3, 1, 2, 2), 255.0, device="meta")
    assert problem.embed({}, x).device.type == "meta"
    assert problem.embed({}, torch.full((3, 1, 2, 2), 255.0)).tolist() == [[1.0] * 4] * 3
