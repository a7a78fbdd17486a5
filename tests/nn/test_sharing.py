"""Sharing schemes: exact where they have a closed form, batched where a loop would be slow."""

from __future__ import annotations

import pytest
import torch

from metacli.nn.multi_task import Encoder, RowShare, TaskProblem, row_counts, wide_heads
from metacli.nn.selected import AveragedProblem, ChosenProblem, repeated
from metacli.nn.sharing import make_sharing
from metacli.nn.sharing.coupled import Coupled, covariance
from metacli.nn.sharing.cross_stitch import CrossStitch
from metacli.nn.sharing.grouped import grouped, inside, rows_of
from metacli.nn.sharing.hard import Hard
from metacli.nn.sharing.mean_ridge import MeanRidge
from metacli.nn.sharing.mmoe import MMoE
from metacli.nn.sharing.ple import PLE
from metacli.nn.sharing.soft_l2 import Apart, SoftL2
from metacli.nn.sharing.soft_pairwise import SoftPairwise
from metacli.types import Batch

T, M, D = 3, 12, 4


def batch(seed: int = 0, dtype: torch.dtype = torch.float64) -> Batch:
    rng = torch.Generator().manual_seed(seed)
    x = torch.randn(T, M, D, generator=rng, dtype=dtype)
    y = x @ torch.randn(D, generator=rng, dtype=dtype) + torch.arange(T, dtype=dtype)[:, None]
    y = y + 0.3 * torch.randn(T, M, generator=rng, dtype=dtype)
    mask = torch.ones(T, M, dtype=torch.bool)
    mask[0, 8:] = False
    return Batch(x * mask[..., None], y * mask, mask)


def at(*penalties: float) -> dict[str, torch.Tensor]:
    """Parameters as far as a refit reads them."""
    return {"ridge.penalties": torch.tensor(penalties, dtype=torch.float64)}


def ridge_objective(w0, v, rows, slope, intercept, mean):
    """The docstring of mean_ridge, one task at a time."""
    own = torch.tensor([slope] * D + [intercept], dtype=torch.float64)
    total = mean * w0[:-1].square().sum()
    for t in range(T):
        kept = rows.mask[t]
        x = torch.cat([rows.x[t, kept], torch.ones(int(kept.sum()), 1, dtype=torch.float64)], 1)
        total = total + (rows.y[t, kept] - x @ (w0 + v[t])).square().sum()
        total = total + (own * v[t].square()).sum()
    return total


def test_the_rows_of_a_task_are_those_that_are_there_and_never_none():
    y, mask = torch.zeros(3, 4), torch.zeros(3, 4, dtype=torch.bool)
    mask[0, :3], mask[1, 1] = True, True
    assert row_counts(Batch(torch.zeros(4, 2), y, mask)).tolist() == [3, 1, 1]
    assert row_counts(Batch(torch.zeros(4, 2), y)) == 4


def test_the_rows_of_a_share_are_every_third_one_from_its_own_on():
    whole = batch()
    for rank in range(3):
        x, y, mask = RowShare(rank, 3, torch.clone).of(whole)
        assert torch.equal(x, whole.x[:, [rank, rank + 3, rank + 6, rank + 9]])
        assert torch.equal(y, whole.y[:, rank::3])
        assert torch.equal(mask, whole.mask[:, rank::3])


def test_options_of_a_scheme_have_their_type():
    assert make_sharing("mmoe", {"experts": 3}) == MMoE(experts=3)
    with pytest.raises(ValueError, match="experts"):
        make_sharing("mmoe", {"experts": "3"})


def test_mean_ridge_is_the_minimum_of_its_objective():
    rows, penalties = batch(), (2.0, 0.5, 0.7)
    scheme = MeanRidge(slope=(2.0,), intercept=(0.5,), mean=(0.7,))
    params = scheme.refit(rows, at(*penalties))
    w = torch.cat([params["heads.weight"], params["heads.bias"][:, None]], 1)
    w0 = torch.zeros(D + 1, dtype=torch.float64, requires_grad=True)
    v = torch.zeros(T, D + 1, dtype=torch.float64, requires_grad=True)
    optimizer = torch.optim.LBFGS([w0, v], max_iter=500, line_search_fn="strong_wolfe")
    optimizer.param_groups[0]["tolerance_grad"] = 1e-12
    optimizer.param_groups[0]["tolerance_change"] = 1e-16

    def closure():
        optimizer.zero_grad()
        value = ridge_objective(w0, v, rows, *penalties)
        value.backward()
        return value

    optimizer.step(closure)
    torch.testing.assert_close(w, (w0 + v).detach(), atol=1e-6, rtol=0)


def test_mean_ridge_without_sharing_is_ridge_for_each_task():
    rows = batch()
    scheme = MeanRidge(share=False)
    params = scheme.refit(rows, at(3.0, 1e-9, 1.0))
    x, y = rows.x[1], rows.y[1]
    centred = x - x.mean(0)
    w = torch.linalg.solve(
        centred.T @ centred + 3.0 * torch.eye(D, dtype=torch.float64), centred.T @ (y - y.mean())
    )
    torch.testing.assert_close(params["heads.weight"][1], w, atol=1e-6, rtol=0)


def test_a_large_penalty_makes_all_tasks_alike_and_a_small_one_leaves_them_apart():
    rows = batch()
    alike = MeanRidge().refit(rows, at(1e9, 1e9, 1.0))["heads.weight"]
    apart = MeanRidge().refit(rows, at(1e-6, 1e-6, 1.0))["heads.weight"]
    assert (alike - alike.mean(0)).abs().max() < 1e-6
    alone = MeanRidge(share=False).refit(rows, at(1e-6, 1e-6, 1.0))["heads.weight"]
    torch.testing.assert_close(apart, alone, atol=1e-4, rtol=0)


def test_the_inner_folds_choose_the_penalty_that_a_loop_over_them_chooses():
    rows = batch()
    scheme = MeanRidge(slope=(0.1, 10.0, 1000.0), intercept=(0.01, 1.0), mean=(1.0,), folds=3)
    params, scores = scheme.solve(rows, torch.Generator().manual_seed(1))
    fold = torch.randperm(M, generator=torch.Generator().manual_seed(1)) % 3
    errors = []
    for choice in scheme.choices():
        total = 0.0
        for k in range(3):
            inside = rows.mask & (fold != k)
            part = Batch(rows.x * inside[..., None], rows.y * inside, inside)
            fitted = scheme.refit(part, at(*choice))
            error = (scheme.forward(fitted, rows.x) - rows.y).square()
            total += float(error[rows.mask & (fold == k)].sum())
        errors.append(total / int(rows.mask.sum()))
    torch.testing.assert_close(scores, torch.tensor(errors, dtype=torch.float64))
    assert params["ridge.penalties"].tolist() == list(
        list(scheme.choices())[errors.index(min(errors))]
    )


@pytest.mark.parametrize(
    "scheme",
    [Hard(), SoftL2(strength=0.5), Apart(), SoftPairwise(), CrossStitch(), MMoE(experts=2)],
    ids=lambda s: type(s).__name__,
)
def test_rows_shared_by_all_tasks_give_what_a_copy_for_each_gives(scheme):
    problem = TaskProblem(scheme, (D, 5), (False,) * T)
    params = problem.init(0)
    x = torch.randn(M, D, generator=torch.Generator().manual_seed(0))
    together = problem.predict(params, x)
    assert together.shape == (T, M)
    torch.testing.assert_close(together, problem.predict(params, x.expand(T, M, D)))


def test_tasks_apart_are_networks_that_never_meet():
    problem = TaskProblem(Apart(), (D, 5), (False,) * T)
    params = {name: value.requires_grad_() for name, value in problem.init(0).items()}
    rows = batch(dtype=torch.float32)
    problem.losses(params, rows)[1].backward()
    grad = params["trunk.0.weight"].grad
    assert grad[1].abs().sum() > 0
    assert grad[[0, 2]].abs().sum() == 0
    assert problem.penalty(params) == 0


def test_the_pull_to_the_mean_is_the_mean_squared_distance_times_its_strength():
    scheme = SoftL2(strength=0.5)
    params = {"heads.weight": torch.tensor([[1.0], [3.0]]), "heads.bias": torch.tensor([0.0, 2.0])}
    assert scheme.penalty(params) == pytest.approx(0.5 * (1 + 1 + 1 + 1) / 2)


def test_losses_are_masked_means_in_units_of_the_target_and_cross_entropies():
    problem = TaskProblem(Hard(), (1,), (False, True))
    params = problem.init(0)
    params |= {
        "heads.weight": torch.zeros(2, 1),
        "heads.bias": torch.tensor([1.0, 0.0]),
        "target.mean": torch.tensor([10.0, 0.0]),
        "target.scale": torch.tensor([2.0, 1.0]),
    }
    y = torch.tensor([[10.0, 14.0, 99.0], [1.0, 0.0, 1.0]])
    mask = torch.tensor([[True, True, False], [True, True, True]])
    losses = problem.losses(params, Batch(torch.zeros(2, 3, 1), y, mask))
    # Standardised: prediction 1, targets 0 and 2; a logit of 0 costs log 2.
    assert losses.tolist() == pytest.approx([1.0, 0.6931472], abs=1e-6)
    predicted = problem.predict(params, torch.zeros(2, 3, 1))
    assert predicted[:, 0].tolist() == pytest.approx([12.0, 0.5])


def test_inputs_are_standardised_before_the_network():
    problem = TaskProblem(Hard(), (1,), (False,))
    params = problem.init(0) | {
        "input.mean": torch.tensor([5.0]),
        "input.scale": torch.tensor([2.0]),
    }
    params |= {"heads.weight": torch.ones(1, 1), "heads.bias": torch.zeros(1)}
    assert problem.predict(params, torch.tensor([[[9.0]]])).item() == 2.0


def mixed_problem(scheme) -> TaskProblem:
    """A regression, a task of two classes and one of three."""
    return TaskProblem(scheme, (D, 5), (False, True, True), classes=(0, 2, 3))


@pytest.mark.parametrize(
    "scheme",
    [
        Hard(),
        SoftL2(strength=0.5),
        Apart(),
        CrossStitch(),
        MMoE(),
        PLE(),
        grouped(Hard(), ((0, 2), (1,))),
    ],
    ids=lambda s: type(s).__name__,
)
def test_tasks_of_several_classes_have_the_loss_of_each_head_by_itself(scheme):
    problem = mixed_problem(scheme)
    params = {name: value.double() for name, value in problem.init(0).items()}
    rng = torch.Generator().manual_seed(1)
    x = torch.randn(T, M, D, generator=rng, dtype=torch.float64)
    y = torch.stack([torch.randn(M, generator=rng), torch.arange(M) % 2, torch.arange(M) % 3])
    out = problem.forward(params, x)
    assert out.shape == (T, M, 3)
    wanted = [
        (out[0, :, 0] - y[0]).square().mean(),
        torch.nn.functional.cross_entropy(out[1, :, :2], y[1].long()),
        torch.nn.functional.cross_entropy(out[2], y[2].long()),
    ]
    losses = problem.losses(params, Batch(x, y.double()))
    torch.testing.assert_close(losses, torch.stack(wanted))
    found = problem.predict(params, x)
    torch.testing.assert_close(found[1, :, :2], torch.softmax(out[1, :, :2], -1))
    assert found[0, :, 0].tolist() == out[0, :, 0].tolist()
    assert found[1, :, 2].abs().sum() == found[0, :, 1:].abs().sum() == 0


def test_gradients_of_mixed_tasks_are_finite():
    problem = mixed_problem(Hard())
    params = {name: value.requires_grad_() for name, value in problem.init(0).items()}
    y = torch.tensor([[3.0, 4.0], [1.0, 0.0], [2.0, 1.0]])
    mask = torch.tensor([[True, False], [True, True], [False, True]])
    problem.losses(params, Batch(torch.ones(T, 2, D), y, mask)).sum().backward()
    learned = [params[name].grad for name in sorted(problem.trainable)]
    assert all(torch.isfinite(grad).all() for grad in learned)
    assert params["heads.weight"].grad[1, 2].abs().sum() == 0  # a class that the task lacks


@pytest.mark.parametrize("alike", [False, True])
def test_heads_of_several_outputs_begin_evenly_around_zero(alike):
    narrow = {"heads.weight": torch.zeros(2, 400), "heads.bias": torch.zeros(2)}
    rng = torch.Generator().manual_seed(0)
    found = wide_heads(narrow, 30, rng, alike=alike)
    assert {name: one.shape for name, one in found.items()} == {
        "heads.weight": (2, 30, 400),
        "heads.bias": (2, 30),
    }
    weight = found["heads.weight"]  # uniform between -1/20 and 1/20
    assert weight.aminmax() == (pytest.approx(-0.05, rel=1e-2), pytest.approx(0.05, rel=1e-2))
    assert float(weight.mean()) == pytest.approx(0.0, abs=1e-3)
    assert float(weight.std()) == pytest.approx(0.05 / 3**0.5, rel=0.02)
    assert torch.equal(weight[0], weight[1]) is alike


def pictures(scheme) -> TaskProblem:
    module = torch.nn.Sequential(torch.nn.Conv2d(1, 4, 3), torch.nn.Flatten())
    encoder = Encoder(module, (1, 4, 4))
    return TaskProblem(scheme, (16,), (True, True), classes=(3, 2), encoder=encoder, columns=16)


def test_a_trunk_for_images_reads_each_row_as_a_image():
    problem = pictures(Hard())
    params = problem.init(0)
    assert problem.shared == ("trunk.encoder.0.weight", "trunk.encoder.0.bias")
    x = torch.randn(2, 3, 16, generator=torch.Generator().manual_seed(0))
    weight, bias = params["trunk.encoder.0.weight"], params["trunk.encoder.0.bias"]
    seen = torch.nn.functional.conv2d(x[1].reshape(3, 1, 4, 4), weight, bias).flatten(1)
    wanted = seen @ params["heads.weight"][1].T + params["heads.bias"][1]
    torch.testing.assert_close(problem.forward(params, x)[1], wanted)


def test_an_encoder_one_of_whose_weights_has_two_names_is_read():
    module = torch.nn.Sequential(torch.nn.Linear(3, 3), torch.nn.Tanh(), torch.nn.Linear(3, 3))
    module[2].weight = module[0].weight
    encoder, x = Encoder(module, (3,)), torch.randn(5, 3)
    params = encoder.init(0, 2, each=False)
    own = {name.removeprefix("trunk.encoder."): value for name, value in params.items()}
    wanted = torch.tanh(x @ own["0.weight"].T + own["0.bias"]) @ own["0.weight"].T + own["2.bias"]
    torch.testing.assert_close(encoder.forward(params, x, each=False), wanted)
    each = encoder.forward(encoder.init(0, 2, each=True), x, each=True)
    torch.testing.assert_close(each, wanted.expand(2, 5, 3))


def test_images_apart_are_read_by_networks_that_never_meet():
    problem = pictures(Apart())
    params = {name: value.requires_grad_() for name, value in problem.init(0).items()}
    y = torch.tensor([[0.0, 2.0], [1.0, 0.0]])
    problem.losses(params, Batch(torch.randn(2, 2, 16), y))[0].backward()
    grad = params["trunk.encoder.0.weight"].grad
    assert grad[0].abs().sum() > 0
    assert grad[1].abs().sum() == 0
    shared = pictures(Hard()).init(0)["trunk.encoder.0.weight"]
    torch.testing.assert_close(params["trunk.encoder.0.weight"][1].detach(), shared)


def test_cross_stitch_is_a_network_for_each_task_whose_activations_are_mixed():
    """Against a loop over tasks and layers, in float64."""
    scheme = CrossStitch(own=0.7)
    params = scheme.init((D, 5, 6), T, torch.Generator().manual_seed(0))
    params = {name: value.double() for name, value in params.items()}
    for name in [name for name in params if name.endswith("stitch")]:  # what is learned is uneven
        params[name] = params[name] + 0.3 * torch.arange(T * T).view(T, T).double() / (T * T)
    rows = batch().x
    for t in range(T):
        h = [rows[t]] * T
        for number in range(2):
            part = {k: params[f"trunk.{number}.{k}"] for k in ("weight", "bias", "stitch")}
            h = [torch.relu(h[s] @ part["weight"][s] + part["bias"][s]) for s in range(T)]
            h = [sum(part["stitch"][a, b] * h[b] for b in range(T)) for a in range(T)]
        wanted = h[t] @ params["heads.weight"][t] + params["heads.bias"][t]
        torch.testing.assert_close(scheme.forward(params, rows)[t], wanted)


def test_cross_stitch_that_keeps_to_itself_is_the_tasks_apart():
    scheme = CrossStitch(own=1.0)
    params = scheme.init((D, 5), T, torch.Generator().manual_seed(0))
    alone = {name: value for name, value in params.items() if not name.endswith("stitch")}
    x = batch(dtype=torch.float32).x
    torch.testing.assert_close(scheme.forward(params, x), Apart().forward(alone, x))


def test_mixture_of_experts_weighs_the_trunks_by_each_tasks_gate():
    scheme, rng = MMoE(experts=2), torch.Generator().manual_seed(0)
    params = scheme.init((D, 5), T, rng)
    params["gates.bias"] = torch.randn(T, 2, generator=rng)  # which begin at zeros
    x = batch(dtype=torch.float32).x
    for t in range(T):
        gate = torch.softmax(x[t] @ params["gates.weight"][t] + params["gates.bias"][t], -1)
        mixed = sum(
            gate[:, e : e + 1]
            * torch.relu(x[t] @ params["trunk.0.weight"][e] + params["trunk.0.bias"][e])
            for e in range(2)
        )
        wanted = mixed @ params["heads.weight"][t] + params["heads.bias"][t]
        torch.testing.assert_close(scheme.forward(params, x)[t], wanted)


def test_a_single_expert_is_hard_sharing():
    scheme = MMoE(experts=1)
    params = scheme.init((D, 5), T, torch.Generator().manual_seed(0))
    hard = {k: v[0] if k.startswith("trunk.") else v for k, v in params.items()}
    x = batch(dtype=torch.float32).x
    torch.testing.assert_close(scheme.forward(params, x), Hard().forward(hard, x))


def test_progressive_extraction_is_a_loop_over_layers_tasks_and_experts():
    scheme = PLE(own=2, experts=3)
    params = scheme.init((D, 5, 6), T, torch.Generator().manual_seed(0))
    params = {name: value.double() for name, value in params.items()}
    rows = batch().x
    for t in range(T):
        common, paths = rows[t], [rows[t]] * T
        for k in range(2):
            weight, bias = params[f"trunk.{k}.weight"], params[f"trunk.{k}.bias"]
            shared = [torch.relu(common @ weight[e] + bias[e]) for e in range(3)]
            weight, bias = params[f"own.{k}.weight"], params[f"own.{k}.bias"]
            own = [
                [torch.relu(paths[s] @ weight[s, e] + bias[s, e]) for e in range(2)]
                for s in range(T)
            ]
            mixed = []
            for s in range(T):
                gate = paths[s] @ params[f"gates.{k}.weight"][s] + params[f"gates.{k}.bias"][s]
                chances = torch.softmax(gate, -1)
                parts = own[s] + shared
                mixed.append(sum(chances[:, e : e + 1] * parts[e] for e in range(5)))
            if k == 0:
                chances = torch.softmax(common @ params["trunk.0.gate"], -1)
                parts = [one for of_task in own for one in of_task] + shared
                common = sum(chances[:, e : e + 1] * parts[e] for e in range(2 * T + 3))
            paths = mixed
        wanted = paths[t] @ params["heads.weight"][t] + params["heads.bias"][t]
        torch.testing.assert_close(scheme.forward(params, rows)[t], wanted)
    together = scheme.forward(params, rows[0])
    apart = scheme.forward(params, rows[:1].expand(T, -1, -1))
    torch.testing.assert_close(together, apart)


def test_tasks_keep_experts_that_no_other_task_moves():
    scheme = PLE()
    params = scheme.init((D, 5), T, torch.Generator().manual_seed(0))
    params = {name: value.requires_grad_() for name, value in params.items()}
    scheme.forward(params, batch(dtype=torch.float32).x)[1].sum().backward()
    own = params["own.0.weight"].grad.abs().sum((1, 2, 3))
    assert own[1] > 0
    assert own[0] == own[2] == 0
    assert params["trunk.0.weight"].grad.abs().sum() > 0


def test_even_coupling_is_the_pull_to_the_mean():
    even = tuple((1 / T,) * T for _ in range(T))
    params = SoftL2().init((D, 5), T, torch.Generator().manual_seed(0))
    params = {name: value + torch.randn_like(value) for name, value in params.items()}
    paired = SoftPairwise(strength=0.5, coupling=even).penalty(params)
    torch.testing.assert_close(paired, SoftL2(strength=0.5).penalty(params))


def test_tasks_that_are_not_coupled_do_not_pull():
    c = ((0.0, 1.0, 0.0), (1.0, 0.0, 0.0), (0.0, 0.0, 0.0))
    params = {
        "heads.weight": torch.tensor([[1.0], [3.0], [9.0]], requires_grad=True),
        "heads.bias": torch.zeros(3, requires_grad=True),
    }
    value = SoftPairwise(strength=3.0, coupling=c).penalty(params)
    assert value.item() == pytest.approx(3.0 / 3 * 4.0)
    value.backward()
    assert params["heads.weight"].grad.tolist() == [[-4.0], [4.0], [0.0]]


def test_the_learned_coupling_is_the_best_covariance_of_trace_one():
    """Its value is tr(Θᵀ Ω⁻¹ Θ) at Ω = (ΘΘᵀ)^½ / tr, and no other Ω gives less."""
    rng = torch.Generator().manual_seed(0)
    theta = torch.randn(T, 6, generator=rng, dtype=torch.float64)
    params = {"heads.weight": theta[:, :5], "heads.bias": theta[:, 5]}
    scheme = SoftPairwise(strength=float(T))
    omega = scheme.covariance(params)
    assert omega.trace() == pytest.approx(1.0)
    at = lambda o: float((theta.T @ torch.linalg.solve(o, theta)).trace())  # noqa: E731
    assert at(omega) == pytest.approx(float(scheme.penalty(params)), rel=1e-4)
    for _ in range(50):
        half = torch.randn(T, T, generator=rng, dtype=torch.float64)
        other = half @ half.T
        assert at(other / other.trace()) >= at(omega) - 1e-9


def test_relatives_of_opposite_sign_cost_no_more_than_relatives_of_one_sign():
    w = torch.randn(1, 6, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    bias = torch.zeros(2, dtype=torch.float64)
    same, flipped = torch.cat([w, w]), torch.cat([w, -w])
    learned = SoftPairwise()
    costs = [learned.penalty({"heads.weight": one, "heads.bias": bias}) for one in (same, flipped)]
    torch.testing.assert_close(costs[0], costs[1])


def test_groups_are_networks_of_their_own():
    """What a group predicts is what the scheme predicts for its tasks alone."""
    scheme = grouped(Hard(), ((0, 2), (1,)))
    problem = TaskProblem(scheme, (D, 5), (False,) * T)
    params = problem.init(0)
    rows = batch(dtype=torch.float32)
    out = problem.forward(params, problem.inputs(params, rows.x))
    for number, group in enumerate(((0, 2), (1,))):
        alone = TaskProblem(Hard(), (D, 5), (False,) * len(group))
        own = {**alone.init(0), **inside(params, f"group.{number}.")}
        torch.testing.assert_close(out[list(group)], alone.predict(own, rows.x[list(group)]))
    assert problem.shared == ()
    names = [names for _, names in problem.blocks]
    assert names == [
        ("group.0.trunk.0.weight", "group.0.trunk.0.bias"),
        ("group.1.trunk.0.weight", "group.1.trunk.0.bias"),
    ]
    begun = inside(params, "group.1.")
    lonely = Apart().init((D, 5), 1, torch.Generator().manual_seed(0))
    assert all(torch.equal(begun[k].flatten(), lonely[k].flatten()) for k in begun)


def test_groups_are_pulled_to_their_own_means_and_weigh_as_many_as_their_tasks():
    scheme = grouped(SoftL2(strength=0.5), ((0, 2), (1, 3, 4)))
    pair, three = torch.tensor([1.0, 5.0]).double(), torch.tensor([0.0, 3.0, 6.0]).double()
    params = {
        "group.0.heads.weight": pair[:, None],
        "group.0.heads.bias": torch.zeros(2).double(),
        "group.1.heads.weight": three[:, None],
        "group.1.heads.bias": torch.zeros(3).double(),
    }
    # Squared distances from the means 3 and 3, summed: 4 + 4 of the pair, 9 + 0 + 9 of the three.
    assert scheme.penalty(params).item() == pytest.approx(0.5 * (8 + 18) / 5)


def test_groups_of_a_solved_scheme_are_solved_by_themselves():
    rows = batch()
    scheme = grouped(MeanRidge(), ((0, 1), (2,)))
    fixed = {f"group.{n}.ridge.penalties": at(2.0, 0.5, 0.7)["ridge.penalties"] for n in (0, 1)}
    found = scheme.refit(rows, fixed)
    for number, group in enumerate(((0, 1), (2,))):
        own = MeanRidge().refit(rows_of(rows, group), at(2.0, 0.5, 0.7))
        torch.testing.assert_close(found[f"group.{number}.heads.weight"], own["heads.weight"])


def test_a_guarded_model_answers_with_the_network_that_was_chosen():
    make = lambda scheme: TaskProblem(scheme, (D, 5), (False,) * T)  # noqa: E731
    together, alone = make(Hard()), make(Apart())
    chosen = ChosenProblem(together, alone, (True, False, True))
    params = chosen.init(0)
    x = batch(dtype=torch.float32).x
    first, second = (problem.predict(problem.init(0), x) for problem in (together, alone))
    wanted = torch.stack([first[0], second[1], first[2]])
    torch.testing.assert_close(chosen.predict(params, x), wanted)
    assert (chosen.num_tasks, chosen.kind) == (T, "regression")


def test_a_network_that_was_trained_twice_answers_with_the_mean_of_both():
    one = TaskProblem(Hard(), (D, 5), (False, True, False))
    averaged = repeated(one, 2)
    assert isinstance(averaged, AveragedProblem)
    each = [one.init(0), one.init(7)]
    params = averaged.joined(each)
    assert {name: v.shape for name, v in params.items()} == {
        name: v.shape for name, v in averaged.init(3).items()
    }
    x = batch(dtype=torch.float32).x
    first, second = (one.predict(part, x) for part in each)
    torch.testing.assert_close(averaged.predict(params, x), (first + second) / 2)
    assert not torch.allclose(first, second)
    assert averaged.first == one
    assert averaged.kind == one.kind
    assert averaged.first_params(params).keys() == each[0].keys()
    assert all(torch.equal(averaged.first_params(params)[name], v) for name, v in each[0].items())


def test_what_is_solved_or_trained_once_is_itself():
    solved, trained = (TaskProblem(one, (D, 5), (False,) * T) for one in (MeanRidge(), Hard()))
    assert repeated(solved, 2) == solved
    assert repeated(trained, 1) == trained


def test_a_guarded_model_of_networks_that_were_trained_twice_holds_the_four():
    one, alone = (TaskProblem(scheme, (D, 5), (False,) * T) for scheme in (Hard(), Apart()))
    chosen = ChosenProblem(repeated(one, 2), repeated(alone, 2), (False, True, True))
    params = chosen.init(0)
    x = batch(dtype=torch.float32).x
    shared, own = (
        torch.stack([problem.predict(problem.init(seed), x) for seed in (0, 1)]).mean(0)
        for problem in (one, alone)
    )
    wanted = torch.stack([own[0], shared[1], shared[2]])
    torch.testing.assert_close(chosen.predict(params, x), wanted)
    assert chosen.first == one
    begun = chosen.first_params(params)
    assert all(torch.equal(begun[name], v) for name, v in one.init(0).items())


def coupled_rows() -> tuple[Batch, torch.Tensor]:
    rows = batch()
    y = rows.y.clone()
    y[1] = (y[1] > y[1].mean()).double()
    return Batch(rows.x, y, rows.mask), torch.tensor([False, True, False])


def coupled_objective(w, omega, rows, binary, strength):
    """The docstring of coupled, one task at a time."""
    total = 0.5 * strength / T * (w[:, :-1].T @ torch.linalg.solve(omega, w[:, :-1])).trace()
    total = total + 0.5 * 0.1 * w[:, -1].square().sum()
    for t in range(T):
        kept = rows.mask[t]
        out = rows.x[t, kept] @ w[t, :-1] + w[t, -1]
        y = rows.y[t, kept]
        if binary[t]:
            loss = torch.nn.functional.binary_cross_entropy_with_logits(out, y, reduction="sum")
        else:
            loss = 0.5 * (out - y).square().sum()
        total = total + loss
    return total


def test_coupled_regressions_are_at_the_minimum_over_weights_and_covariance():
    rows, binary = coupled_rows()
    w, omega = Coupled(rounds=200).fit(rows, 3.0, binary)
    assert omega.trace() == pytest.approx(1.0)
    leaf = w.clone().requires_grad_()
    coupled_objective(leaf, omega, rows, binary, 3.0).backward()
    assert leaf.grad.abs().max() < 1e-3
    value = coupled_objective(w, omega, rows, binary, 3.0)
    rng = torch.Generator().manual_seed(0)
    for _ in range(30):
        half = torch.randn(T, T, generator=rng, dtype=torch.float64)
        other = omega + 0.3 * half @ half.T / T
        other_w = w + 0.05 * torch.randn(w.shape, generator=rng, dtype=torch.float64)
        assert coupled_objective(other_w, other / other.trace(), rows, binary, 3.0) > value - 1e-3


def test_weights_of_any_size_have_a_covariance():
    """(ΘΘᵀ)^½ / tr of more tasks than columns, by the roots of ΘᵀΘ; rounding leaves eigenvalues
    below zero."""
    theta = torch.randn(7, 2, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    values, vectors = torch.linalg.eigh(theta.T @ theta)
    wanted = theta @ (vectors / values.sqrt()) @ vectors.T @ theta.T
    wanted = wanted / wanted.trace()
    for size in (1e3, 1e8):
        torch.testing.assert_close(covariance(size * theta), wanted, atol=1e-5, rtol=0)


def test_coupled_tasks_of_one_size_need_no_mask():
    rows, binary = coupled_rows()
    whole = Batch(rows.x[:, :5], rows.y[:, :5], torch.ones(T, 5, dtype=torch.bool))
    bare = Batch(whole.x, whole.y, None)
    for one, other in zip(
        Coupled(rounds=2).fit(whole, 3.0, binary),
        Coupled(rounds=2).fit(bare, 3.0, binary),
        strict=True,
    ):
        torch.testing.assert_close(one, other)


def test_coupled_without_sharing_is_a_model_for_each_task():
    rows, binary = coupled_rows()
    w, _ = Coupled(share=False).fit(rows, 3.0, binary)
    one = Batch(rows.x[1:2], rows.y[1:2], rows.mask[1:2])
    alone, _ = Coupled(share=False).fit(one, 3.0, binary[1:2])
    torch.testing.assert_close(w[1:2], alone, atol=1e-8, rtol=1e-6)
    x = torch.cat([rows.x[2], torch.ones(M, 1, dtype=torch.float64)], 1)
    penalty = torch.diag(torch.tensor([3.0] * D + [0.1], dtype=torch.float64))
    ridge = torch.linalg.solve(x.T @ x + penalty, x.T @ rows.y[2])
    torch.testing.assert_close(w[2], ridge, atol=1e-8, rtol=1e-6)


def test_the_learned_covariance_of_opposite_tasks_is_negative():
    w = torch.tensor([[1.0, 2.0], [-1.0, -2.0], [2.0, -1.0]], dtype=torch.float64)
    omega = covariance(w)
    assert omega[0, 1] < -0.1
    assert omega[0, 2].abs() < 1e-3


def test_the_strength_is_the_one_that_held_out_rows_choose():
    rows, binary = coupled_rows()
    scheme = Coupled(strength=(0.5, 50.0), rounds=3)
    params, scores = scheme.solve(rows, torch.Generator().manual_seed(0), binary)
    assert params["coupled.penalties"].item() == scheme.strength[int(scores.argmin())]
    again = scheme.refit(rows, params, binary)
    torch.testing.assert_close(again["heads.weight"], params["heads.weight"])


def test_coupled_inner_folds_are_those_of_a_loop_that_leaves_each_out():
    rows, binary = coupled_rows()
    scheme = Coupled(strength=(0.5, 5.0, 50.0), rounds=3)
    _, scores = scheme.solve(rows, torch.Generator().manual_seed(0), binary)
    fold = torch.rand(rows.mask.shape, generator=torch.Generator().manual_seed(0)).argsort(1) % 3
    wanted = []
    for strength in scheme.strength:
        total = 0.0
        for k in range(3):
            kept = rows.mask & (fold != k)
            w, _ = scheme.fit(Batch(rows.x, rows.y, kept), strength, binary)
            out = (rows.x @ w[:, :-1, None]).squeeze(-1) + w[:, -1:]
            for t, m in (rows.mask & (fold == k)).nonzero().tolist():
                z, y = out[t, m], rows.y[t, m]
                crossed = torch.nn.functional.softplus(z) - y * z
                total += float(crossed if binary[t] else 0.5 * (z - y) ** 2)
        wanted.append(total / int(rows.mask.sum()))
    torch.testing.assert_close(scores, torch.tensor(wanted, dtype=torch.float64))


def test_a_ridge_around_the_mean_begins_at_zeros_for_each_task():
    made = MeanRidge().init((3,), 5, torch.Generator())
    assert {name: tuple(one.shape) for name, one in made.items()} == {
        "heads.weight": (5, 3),
        "heads.bias": (5,),
        "ridge.penalties": (3,),
    }
    assert not any(bool(one.any()) for one in made.values())
