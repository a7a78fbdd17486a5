"""Networks for dense tasks: what they share, what they answer, and how they are trained."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch.func import functional_call

from metacli.algorithms import ALGORITHMS, names
from metacli.algorithms.multitask.meta import MetaWeighted
from metacli.algorithms.multitask.method import MultiTask
from metacli.algorithms.multitask.surgery.pcgrad import PCGrad
from metacli.algorithms.multitask.weighting.auto_lambda import AutoLambda
from metacli.algorithms.multitask.weighting.equal import Equal
from metacli.algorithms.multitask.weighting.gradnorm import GradNorm
from metacli.engine.scoring.dense_measures import (
    MEASURES,
    Pixels,
    angles,
    confusion,
    delta_p,
    dense_scores,
    mean_iou,
)
from metacli.nn.dense.layers import convolution
from metacli.nn.dense.problem import DenseProblem
from metacli.nn.dense.sharing import MTAN, SHARING, CrossStitch
from metacli.nn.dense.targets import TASKS, losses
from metacli.types import Batch, Episode

pytestmark = pytest.mark.usefixtures("one_thread")
WIDTHS, CLASSES = (8, 8, 16), 4


def problem(sharing: str) -> DenseProblem:
    return DenseProblem(sharing, WIDTHS, CLASSES)


def batch(count: int = 2, size: int = 16) -> Batch:
    draw = torch.Generator().manual_seed(0)
    x = torch.randint(0, 256, (count, 3, size, size), generator=draw, dtype=torch.uint8)
    labels = torch.randint(0, CLASSES, (count, 1, size, size), generator=draw).float()
    depth = 1 + 5 * torch.rand((count, 1, size, size), generator=draw)
    normals = torch.nn.functional.normalize(
        torch.randn((count, 3, size, size), generator=draw), dim=1
    )
    return Batch(x, torch.cat([labels, depth, normals], 1))


@pytest.mark.parametrize("name", list(SHARING))
def test_a_network_answers_for_every_pixel_whatever_stands_beside_an_image(name: str) -> None:
    made, some = problem(name), batch(3)
    params = made.init(0)
    logits, depth, normals = made.predict(params, some.x)
    assert [tuple(one.shape) for one in (logits, depth, normals)] == [
        (3, CLASSES, 16, 16),
        (3, 16, 16),
        (3, 3, 16, 16),
    ]
    assert torch.allclose(normals.norm(dim=1), torch.ones(3, 16, 16), atol=1e-5)
    alone = made.predict(params, some.x[1:2])
    assert torch.allclose(alone[0], logits[1:2], atol=1e-5)


@pytest.mark.parametrize("name", list(SHARING))
def test_the_loss_of_a_task_reaches_its_own_parameters_and_those_that_are_shared(
    name: str,
) -> None:
    made, some = problem(name), batch()
    params = {key: value.requires_grad_() for key, value in made.init(0).items()}
    found = made.losses(params, some)
    assert found.shape == (3,)
    own = [key for key in made.trainable if key not in made.shared]
    reached = []
    for loss in found:
        grads = torch.autograd.grad(
            loss, [params[key] for key in own], retain_graph=True, allow_unused=True
        )
        both = zip(own, grads, strict=True)
        reached.append({key for key, g in both if g is not None and bool(g.any())})
    for task, names_of in enumerate(reached):
        assert names_of, task
        assert not names_of & reached[(task + 1) % 3]
    for key in made.shared[:3] + made.shared[-1:]:
        for loss in found:
            (grad,) = torch.autograd.grad(loss, [params[key]], retain_graph=True)
            assert grad is not None


def test_networks_apart_share_nothing_and_the_last_shared_weight_is_a_layer() -> None:
    assert problem("apart").shared == ()
    assert problem("apart").blocks == []
    for name in ("hard", "mtan"):
        last = [one for one in problem(name).shared if one.endswith(".weight")][-1]
        assert problem(name).module.get_parameter(last).dim() == 4


@pytest.mark.parametrize(("channels", "groups"), [(4, 1), (8, 1), (16, 2)])
def test_a_norm_is_of_eight_channels_together_or_of_all_where_they_are_fewer(
    channels: int, groups: int
) -> None:
    made = convolution(3, channels).double()
    x = torch.rand(2, 3, 6, 6, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    plain = made[0](x).reshape(2, groups, -1)
    mean, var = plain.mean(-1, keepdim=True), plain.var(-1, correction=0, keepdim=True)
    normed = ((plain - mean) / (var + 1e-5).sqrt()).reshape(2, channels, 6, 6)
    torch.testing.assert_close(made(x), normed.clamp(min=0))


def test_losses_are_those_of_the_paper() -> None:
    some = batch(1, 2)
    logits = torch.zeros(1, CLASSES, 2, 2)
    depth = torch.full((1, 1, 2, 2), 0.5)
    normals = 3 * some.y[:, 2:]  # any length
    mean, scale = torch.tensor(2.0), torch.tensor(4.0)
    found = losses([logits, depth, normals], some.y, mean, scale)
    off = (2.0 + 4.0 * 0.5 - some.y[:, 1]).abs().mean() / 4.0
    assert found.shape == (3, 1)
    wanted = [np.log(CLASSES), float(off), 0.0]
    assert found[:, 0].tolist() == pytest.approx(wanted, abs=1e-6)


def test_a_cross_stitch_of_ones_on_the_diagonal_is_networks_apart() -> None:
    channels = (CLASSES, 1, 3)
    mixed, apart = CrossStitch(WIDTHS, channels, own=1.0), SHARING["apart"](WIDTHS, channels)
    renamed = {
        name.removeprefix("trunk."): value
        for name, value in mixed.state_dict().items()
        if "stitches" not in name
    }
    x = torch.rand(2, 3, 16, 16)
    for one, other in zip(mixed(x), functional_call(apart, renamed, (x,)), strict=True):
        assert torch.allclose(one, other, atol=1e-5)


def test_a_cross_stitch_mixes_the_features_of_a_stage_as_the_equation_says() -> None:
    made = CrossStitch((8,), (1, 1), own=0.9)
    x = torch.rand(1, 3, 16, 16)
    networks, stitch = made.trunk.networks, made.trunk.stitches[0]
    assert torch.allclose(stitch, torch.tensor([[0.9, 0.1], [0.1, 0.9]]))
    features = [network.stage(0, [], x) for network in networks]
    wanted = made.heads[0](0.9 * features[0] + 0.1 * features[1])
    assert torch.allclose(made(x)[0], wanted, atol=1e-6)


def test_what_a_cross_stitch_leaves_is_shared_evenly_by_the_other_tasks() -> None:
    wanted = torch.tensor([[0.9, 0.05, 0.05], [0.05, 0.9, 0.05], [0.05, 0.05, 0.9]])
    for stitch in CrossStitch((8, 8), (1, 1, 1), own=0.9).trunk.stitches:
        assert torch.allclose(stitch, wanted)


def test_a_cross_stitch_of_one_task_keeps_its_share_of_its_features() -> None:
    made = CrossStitch((8,), (1,), own=0.9)
    assert made.trunk.stitches[0].tolist() == [[pytest.approx(0.9)]]
    x = torch.rand(1, 3, 16, 16)
    wanted = made.heads[0](0.9 * made.trunk.networks[0].stage(0, [], x))
    assert torch.allclose(made(x)[0], wanted, atol=1e-6)


def test_attention_selects_from_the_shared_stage_by_a_mask_of_0_to_1() -> None:
    made = MTAN((8, 8), (1, 1))
    x = torch.rand(1, 3, 16, 16)
    first = made.trunk.stage(0, [], x)
    attention = made.attention[0]
    mask = attention.masks[0](first)
    assert ((mask > 0) & (mask < 1)).all()
    second = made.trunk.stage(1, [first], x)
    third = made.trunk.stage(2, [first, second], x)
    chosen = mask * first
    carried = torch.nn.functional.max_pool2d(attention.carries[0](chosen), 2)
    chosen = attention.masks[1](torch.cat([second, carried], 1)) * second
    carried = torch.nn.functional.interpolate(attention.carries[1](chosen), scale_factor=2)
    chosen = attention.masks[2](torch.cat([third, carried], 1)) * third
    assert torch.allclose(made(x)[0], made.heads[0](chosen), atol=1e-6)


@pytest.mark.parametrize(
    "method",
    [
        MultiTask(weighting=Equal()),
        MultiTask(weighting=GradNorm()),
        MultiTask(weighting=Equal(), surgery=PCGrad()),
    ],
    ids=["equal", "gradnorm", "pcgrad"],
)
@pytest.mark.parametrize("name", ["hard", "mtan", "cross-stitch"])
def test_a_step_moves_every_parameter_and_the_loss_falls(name: str, method: MultiTask) -> None:
    made, some = problem(name), batch()
    params = made.init(0)
    own, state = method.init(made, params)
    theta = {**params, **own}
    rng = torch.Generator().manual_seed(0)
    before = float(made.losses(theta, some).sum())
    for _ in range(8):
        update = method.direction(made, theta, some, state, rng)
        state = update.state
        assert set(update.direction) >= made.trainable
        theta = {
            k: v - 0.05 * update.direction[k] if k in update.direction else v
            for k, v in theta.items()
        }
    assert float(made.losses(theta, some).sum()) < before


def test_every_weighting_and_surgery_takes_dense_tasks() -> None:
    """All but auto-lambda, which follows validation rows of its own."""
    made, some = problem("hard"), batch(1)
    params = made.init(0)
    rng = torch.Generator().manual_seed(0)
    for name in names("multitask"):
        entry = ALGORITHMS[name]
        if name == "auto-lambda":
            continue
        if ".weighting." in f".{entry.module}.":
            options = {"weights": (1.0, 1.0, 1.0)} if name == "fixed" else {}
            method = MultiTask(weighting=entry.load()(**options))
        elif ".surgery." in f".{entry.module}.":
            surgery = entry.load()()
            weighting = ALGORITHMS[surgery.weighting].load()()
            method = MultiTask(weighting=weighting, surgery=surgery)
        else:
            continue
        own, state = method.init(made, params)
        update = method.direction(made, {**params, **own}, some, state, rng)
        assert all(bool(one.isfinite().all()) for one in update.direction.values()), name


# Measures


def test_measures_of_a_tiny_image_are_those_by_hand() -> None:
    truth = Pixels(
        np.array([[[0, 0], [1, 2]]]),
        np.array([[[1.0, 2.0], [4.0, 4.0]]]),
        np.array([[[[0, 0], [0, 0]], [[0, 0], [0, 0]], [[-1, -1], [-1, -1]]]], float),
    )
    tilt = np.radians([[0.0, 20.0], [25.0, 90.0]])
    normals = np.stack([np.sin(tilt), np.zeros((2, 2)), -np.cos(tilt)])[None]
    found = Pixels(np.array([[[0, 1], [1, 2]]]), np.array([[[1.5, 2.0], [3.0, 4.0]]]), normals)
    scores = dense_scores(truth, found, 4)
    assert scores["segmentation"]["pixel_accuracy"] == 0.75
    assert scores["segmentation"]["miou"] == pytest.approx((1 / 2 + 1 / 2 + 1) / 3)  # 3 is nowhere
    assert scores["depth"] == pytest.approx({"abs_error": 1.5 / 4, "rel_error": (0.5 + 0.25) / 4})
    wanted = {
        "mean_angle": 135 / 4,
        "median_angle": 22.5,
        "within_11": 0.25,
        "within_22": 0.5,
        "within_30": 0.75,
    }
    assert scores["normals"] == pytest.approx(wanted)


def test_a_class_that_is_answered_and_nowhere_true_counts_as_missed() -> None:
    counts = confusion(np.array([0, 0]), np.array([0, 1]), 3)
    assert mean_iou(counts) == 0.25


def test_angles_of_nearly_equal_vectors_are_no_nan() -> None:
    one = np.array([0.6, 0.8, 0.0], np.float32)[None, :, None, None]
    assert angles(one, one * np.float32(1.0000001)).item() == pytest.approx(0.0, abs=0.1)


def test_delta_p_is_the_mean_relative_change_with_the_sign_of_better() -> None:
    alone = {task: dict.fromkeys(measures, 2.0) for task, measures in MEASURES.items()}
    better = {
        task: {name: 2.2 if higher else 1.8 for name, higher in measures.items()}
        for task, measures in MEASURES.items()
    }
    assert tuple(MEASURES) == TASKS
    assert delta_p(alone, alone) == 0.0
    assert delta_p(better, alone) == pytest.approx(0.1)
    one = {**alone, "depth": {"abs_error": 3.0, "rel_error": 2.0}}
    assert delta_p(one, alone) == pytest.approx(-(0.5 + 0) / 2 / 3)


def test_an_exact_answer_has_the_best_of_every_measure() -> None:
    some = batch(2, 8)
    truth = Pixels(some.y[:, 0].numpy(), some.y[:, 1].numpy(), some.y[:, 2:].numpy())
    scores = dense_scores(truth, replace(truth), CLASSES)
    assert scores["segmentation"] == {"miou": 1.0, "pixel_accuracy": 1.0}
    assert scores["depth"] == {"abs_error": 0.0, "rel_error": 0.0}
    assert scores["normals"]["mean_angle"] == pytest.approx(0.0, abs=0.05)


def test_the_slopes_of_auto_lambda_are_those_of_the_loss_after_one_step() -> None:
    made, method = problem("hard"), MetaWeighted(weighting=AutoLambda(inner_lr=0.05))
    params = {key: value.double() for key, value in made.init(0).items()}
    own, _ = method.init(made, params)
    params |= own
    some, other = (Batch(one.x, one.y.double()) for one in (batch(2), replace_images(batch(3))))
    found = method.step_slopes(made, params, Episode(some, other))
    theta = {name: params[name] for name in made.trainable}

    def after(weights: torch.Tensor) -> float:
        moved = {name: value.clone().requires_grad_() for name, value in theta.items()}
        total = (weights * made.losses({**params, **moved}, some)).sum()
        slopes = torch.autograd.grad(total, list(moved.values()))
        pairs = zip(moved.items(), slopes, strict=True)
        stepped = {name: (value - 0.05 * slope).detach() for (name, value), slope in pairs}
        return float(made.losses({**params, **stepped}, other).mean())

    weights, h = params["weighting.weights"], 1e-5
    for task in range(3):
        step = h * torch.eye(3, dtype=torch.float64)[task]
        slow = (after(weights + step) - after(weights - step)) / (2 * h)
        assert float(found[task]) == pytest.approx(slow, rel=1e-4, abs=1e-9)


def replace_images(some: Batch) -> Batch:
    """Others: upside down."""
    return Batch(some.x.flip(-2), some.y.flip(-2))
