"""Weightings and surgeries: hand-computed values, the property each paper claims, and torchjd."""

from __future__ import annotations

import math

import pytest
import torch

from metacli.algorithms.multitask.surgery.aligned import AlignedMTL
from metacli.algorithms.multitask.surgery.cagrad import CAGrad
from metacli.algorithms.multitask.surgery.fairgrad import FairGrad
from metacli.algorithms.multitask.surgery.gram import gramian
from metacli.algorithms.multitask.surgery.imtl_g import IMTLG
from metacli.algorithms.multitask.surgery.mgda import MGDA
from metacli.algorithms.multitask.surgery.nash import NashMTL
from metacli.algorithms.multitask.surgery.pcgrad import PCGrad
from metacli.algorithms.multitask.surgery.upgrad import UPGrad
from metacli.algorithms.multitask.weighting.dwa import DWA
from metacli.algorithms.multitask.weighting.equal import Equal
from metacli.algorithms.multitask.weighting.famo import FAMO
from metacli.algorithms.multitask.weighting.fixed import Fixed
from metacli.algorithms.multitask.weighting.gls import GLS
from metacli.algorithms.multitask.weighting.gradnorm import GradNorm
from metacli.algorithms.multitask.weighting.log import Log
from metacli.algorithms.multitask.weighting.rlw import RLW
from metacli.algorithms.multitask.weighting.stch import STCH
from metacli.algorithms.multitask.weighting.uncertainty import Uncertainty
from metacli.errors import RecipeError

LOSSES = torch.tensor([1.0, 4.0], dtype=torch.float64)
name_of = lambda one: type(one).__name__  # noqa: E731


def rng(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def rows(seed: int, tasks: int = 4, size: int = 6) -> torch.Tensor:
    return torch.randn(tasks, size, generator=rng(seed), dtype=torch.float64)


def of(weighting, losses=LOSSES, norms=None, params=None, state=None, seed=0):
    own, memory = weighting.init(len(losses))
    own = {name: value.double() for name, value in own.items()}
    return weighting.objective(losses, norms, params or own, state or memory, rng(seed))


def slopes(weighting, losses=LOSSES, **more) -> list[float]:
    """How much each loss counts: the gradient of the objective."""
    leaf = losses.clone().requires_grad_()
    return torch.autograd.grad(of(weighting, leaf, **more)[0], leaf)[0].tolist()


# Weightings


def test_equal_weights_are_the_mean():
    assert of(Equal())[0] == 2.5


def test_fixed_weights_multiply_the_losses_and_must_be_one_for_each_task():
    assert of(Fixed(weights=(2.0, 0.5)))[0] == 2.0
    with pytest.raises(RecipeError, match="2 numbers for 3 tasks"):
        Fixed(weights=(1.0, 1.0)).init(3)


def test_log_weights_are_blind_to_the_scale_of_a_loss():
    assert of(Log())[0] == pytest.approx(math.log(4) / 2)
    scaled = slopes(Log(), LOSSES * torch.tensor([1.0, 1000.0]))
    assert scaled[1] * 1000 == pytest.approx(slopes(Log())[1])


def test_uncertainty_is_at_its_minimum_where_the_variance_is_the_loss():
    s = LOSSES.log().requires_grad_()
    value, _ = of(Uncertainty(), params={"log_variance": s})
    assert value.item() == pytest.approx(0.5 * (1 + math.log(4) / 2))
    assert torch.autograd.grad(value, s)[0].abs().max() < 1e-12


def test_dwa_weighs_the_loss_that_falls_more_slowly():
    weighting = DWA(window=1, temperature=2.0)
    state = {"past": [[2.0, 4.0], [1.0, 4.0]], "sums": [0.0, 0.0], "count": 0}
    _, after = of(weighting, state=state)
    a, b = math.exp(0.5 / 2), math.exp(1.0 / 2)
    wanted = [2 * a / (a + b) / 2, 2 * b / (a + b) / 2]
    assert slopes(weighting, state=state) == pytest.approx(wanted)
    assert after["past"] == [[1.0, 4.0], [1.0, 4.0]]


def test_dwa_begins_with_equal_weights_and_averages_over_its_window():
    weighting = DWA(window=2)
    _, state = of(weighting, torch.tensor([1.0, 2.0]))
    _, state = of(weighting, torch.tensor([3.0, 2.0]), state=state)
    assert state == {"past": [[2.0, 2.0]], "sums": [0.0, 0.0], "count": 0}
    assert slopes(weighting) == [0.5, 0.5]


def test_random_weights_are_equal_on_average_and_sum_to_one():
    drawn = torch.tensor([slopes(RLW(), seed=seed) for seed in range(2000)])
    torch.testing.assert_close(drawn.sum(1), torch.ones(2000), atol=1e-6, rtol=0)
    assert drawn.mean(0)[0] == pytest.approx(0.5, abs=0.02)


def test_gradnorm_raises_the_weight_of_the_task_that_trains_slowly():
    norms = torch.tensor([1.0, 1.0], dtype=torch.float64)
    state = {"weights": [1.0, 1.0], "first": [4.0, 4.0]}  # task 1 has lost 3/4, task 2 nothing
    _, after = of(GradNorm(lr=0.1), norms=norms, state=state)
    # G = (1, 1), rates (0.4, 1.6): targets below and above G; a step of 0.1 each way.
    assert after["weights"] == pytest.approx([0.9, 1.1])
    assert sum(after["weights"]) == pytest.approx(2.0)


def test_gradnorm_begins_with_every_loss_as_it_is():
    assert GradNorm().init(3)[1]["weights"] == [1.0, 1.0, 1.0]


def test_gradnorm_lowers_the_weight_of_the_larger_gradient_where_rates_are_the_same():
    norms = torch.tensor([1.0, 3.0], dtype=torch.float64)
    _, after = of(GradNorm(lr=0.1), norms=norms, state={"weights": [1.0, 1.0], "first": None})
    assert after["weights"][0] > 1 > after["weights"][1]


def test_gradnorm_is_the_equation_with_weights_and_alpha_and_sums_to_the_tasks():
    """All of it by hand, at weights that are not even: the target is the mean of w times the norms,
    times the relative rate to the power of alpha."""
    norms, w = torch.tensor([1.0, 3.0]).double(), [1.5, 0.5]
    state = {"weights": w, "first": [2.0, 4.0]}  # rates 1/2 and 1, relative 2/3 and 4/3
    for alpha in (0.0, 0.5, 3.0):
        _, after = of(GradNorm(alpha=alpha, lr=0.1), norms=norms, state=state)
        mean = (1.5 * 1.0 + 0.5 * 3.0) / 2  # 1.5, and 2 without the weights
        signs = [
            math.copysign(1, g - mean * r**alpha) if g != mean * r**alpha else 0.0
            for g, r in ((1.5, 2 / 3), (1.5, 4 / 3))
        ]
        moved = [w[t] - 0.1 * signs[t] * float(norms[t]) / 2 for t in range(2)]
        wanted = [2 * value / sum(moved) for value in moved]
        assert after["weights"] == pytest.approx(wanted), alpha
        assert sum(after["weights"]) == pytest.approx(2.0)
    uneven = {"weights": [0.2, 1.8], "first": None}
    _, after = of(GradNorm(lr=0.1), norms=norms, state=uneven)
    # G = (0.2, 5.4), target 2.8 for both: a step of +0.05 and of -0.15, and then a sum of 2.
    assert after["weights"] == pytest.approx([2 * 0.25 / 1.9, 2 * 1.65 / 1.9])


def test_gls_is_the_geometric_mean():
    assert of(GLS())[0] == pytest.approx(2.0)
    assert slopes(GLS()) == pytest.approx([2 / (2 * 1), 2 / (2 * 4)])
    scaled = slopes(GLS(), LOSSES * torch.tensor([1.0, 100.0]))
    assert scaled[0] * 1 / (scaled[1] * 400) == pytest.approx(1.0)


def test_stch_goes_from_equal_weights_of_relative_losses_to_the_worst_one():
    # Relative to means of 2 and 2 the losses are 1/2 and 2.
    state = {"sums": [4.0, 4.0], "count": 2}
    f = [math.log(0.5), math.log(2.0)]
    for mu in (0.5, 1.0, 4.0):
        chances = [math.exp(v / mu) for v in f]
        wanted = [c / sum(chances) / loss for c, loss in zip(chances, (1.0, 4.0), strict=True)]
        assert slopes(STCH(mu=mu, window=2), state=state) == pytest.approx(wanted, rel=1e-6)
        value = of(STCH(mu=mu, window=2), state=state)[0]
        assert value == pytest.approx(mu * math.log(sum(chances)), rel=1e-6)
    worst = slopes(STCH(mu=0.01, window=2), state=state)
    assert worst == pytest.approx([0.0, 0.25])
    begin, after = of(STCH(window=2), state={"sums": [1.0, 2.0], "count": 1})
    assert begin == pytest.approx(math.log(4) / 2)
    assert after == {"sums": [2.0, 6.0], "count": 2}


def test_famo_descends_the_weighted_logarithms():
    # z = (1/2, 1/2), c = 1 / (1/2 + 1/8) = 1.6; slopes c z / L.
    assert slopes(FAMO()) == pytest.approx([0.8, 0.2])
    assert sum(slopes(FAMO())) == pytest.approx(1.0)


def test_famo_moves_weight_to_the_task_that_improved_least():
    before = (LOSSES * torch.tensor([2.0, 1.0])).log().tolist()  # task 1 has halved since
    _, after = of(FAMO(lr=1.0, decay=0.0), state={"logits": [0.0, 0.0], "before": before})
    # J_softmax gain = z (gain - z·gain) = (1/2)(± log(2)/2).
    assert after["logits"] == pytest.approx([-math.log(2) / 4, math.log(2) / 4])


# Surgeries


def test_pcgrad_by_hand():
    g = torch.tensor([[1.0, 0.0], [-1.0, 1.0]], dtype=torch.float64)
    # g1 - (-1/2) g2 = (1/2, 1/2); g2 - (-1) g1 = (0, 1).
    assert PCGrad().combine(g, rng()).tolist() == [0.5, 1.5]


def test_pcgrad_never_projects_a_gradient_on_itself():
    """The error of another library: with j = i allowed, a gradient that was changed is projected
    on its old self."""
    g = torch.tensor([[1.0, 0.0], [-4.0, 1.0], [-4.0, -1.0]], dtype=torch.float64)
    for seed in range(6):
        order = [torch.randperm(3, generator=draw) for draw in [rng(seed)] for _ in range(3)]
        total = torch.zeros(2, dtype=torch.float64)
        for i in range(3):
            mine = g[i].clone()
            for j in (j for j in order[i].tolist() if j != i):
                if mine @ g[j] < 0:
                    mine = mine - (mine @ g[j]) / (g[j] @ g[j]) * g[j]
            total += mine
        torch.testing.assert_close(PCGrad().combine(g, rng(seed)), total)


def test_pcgrad_leaves_gradients_alone_that_do_not_conflict():
    g = rows(0).abs()
    torch.testing.assert_close(PCGrad().combine(g, rng()), g.sum(0))


def test_mgda_is_the_shortest_vector_of_the_hull():
    g = torch.tensor([[2.0, 0.0], [0.0, 1.0]], dtype=torch.float64)
    # The foot of the origin on the line from (2, 0) to (0, 1).
    assert MGDA().combine(g, rng()).tolist() == pytest.approx([0.4, 0.8])
    one_side = torch.tensor([[1.0, 0.0], [3.0, 1.0]], dtype=torch.float64)
    assert MGDA().weights(one_side).tolist() == pytest.approx([1.0, 0.0])


@pytest.mark.parametrize("seed", range(5))
def test_mgda_satisfies_the_conditions_of_its_minimum(seed):
    g = rows(seed)
    d = MGDA().combine(g, rng())
    assert (g @ d).min() >= d @ d - 1e-9  # no task's loss rises


@pytest.mark.parametrize("seed", range(5))
def test_cagrad_stays_in_its_ball_and_beats_every_other_point_of_it_for_the_worst_task(seed):
    g = rows(seed)
    mean = g.mean(0)
    d = CAGrad(c=0.5).combine(g, rng())
    radius = 0.5 * mean.norm()
    assert (d - mean).norm() <= radius * (1 + 1e-6)
    other = torch.randn(3000, 6, generator=rng(seed), dtype=torch.float64)
    other = mean + radius * other / other.norm(dim=1, keepdim=True)
    assert (g @ d).min() >= (other @ g.T).min(1).values.max() - 1e-6


def test_cagrad_of_radius_zero_is_the_mean_gradient():
    g = rows(1)
    torch.testing.assert_close(CAGrad(c=0.0).combine(g, rng()), g.mean(0))


@pytest.mark.parametrize("size", [1e-9, 1e9])
def test_gradients_of_any_size_have_a_gramian_of_size_one(size):
    g = rows(0)
    gram = gramian(size * g)
    torch.testing.assert_close(gram, g @ g.T / g.square().sum(1).mean())
    assert gramian(0 * g).tolist() == [[0.0] * 4] * 4


@pytest.mark.parametrize("seed", range(3))
def test_imtl_g_projects_equally_on_every_unit_gradient(seed):
    g = rows(seed)
    shares = (g / g.norm(dim=1, keepdim=True)) @ IMTLG().combine(g, rng())
    torch.testing.assert_close(shares, shares[:1].expand(4), atol=1e-9, rtol=0)


def test_imtl_g_divides_by_a_sum_of_weights_below_zero_too():
    g = torch.randn(3, 3, generator=rng(56), dtype=torch.float64)
    gram = g @ g.T
    assert (torch.linalg.pinv(gram) @ gram.diagonal().sqrt()).sum() < 0
    found = IMTLG().combine(g, rng())
    shares = (g / g.norm(dim=1, keepdim=True)) @ found
    torch.testing.assert_close(shares, shares[:1].expand(3), atol=1e-9, rtol=0)
    assert found.norm() > 0


def test_imtl_g_by_hand():
    g = torch.tensor([[2.0, 0.0], [0.0, 1.0]], dtype=torch.float64)
    # w ∝ (2/4, 1/1), so (1/3, 2/3).
    assert IMTLG().combine(g, rng()).tolist() == pytest.approx([2 / 3, 2 / 3])


def test_aligned_mtl_makes_orthogonal_gradients_as_long_as_the_shortest():
    g = torch.tensor([[3.0, 0.0], [0.0, 1.0]], dtype=torch.float64)
    assert AlignedMTL().combine(g, rng()).tolist() == pytest.approx([0.5, 0.5])


@pytest.mark.parametrize("seed", range(5))
def test_upgrad_conflicts_with_no_task_and_keeps_gradients_that_do_not_conflict(seed):
    g = rows(seed, size=3)
    assert (g @ UPGrad().combine(g, rng())).min() >= -1e-8
    torch.testing.assert_close(UPGrad().combine(g.abs(), rng()), g.abs().mean(0))


def test_upgrad_by_hand():
    g = torch.tensor([[1.0, 0.0], [-1.0, 1.0]], dtype=torch.float64)
    # Projections on the dual cone: (1/2, 1/2) and (0, 1).
    assert UPGrad().combine(g, rng()).tolist() == pytest.approx([0.25, 0.75])


@pytest.mark.parametrize("seed", range(5))
def test_nash_solves_the_equation_of_the_bargain_and_helps_every_task(seed):
    g = rows(seed)
    a = NashMTL().weights(g)
    torch.testing.assert_close(g @ g.T @ a, 1 / a, atol=1e-6, rtol=1e-6)
    assert (a > 0).all()
    d = NashMTL(max_norm=2.0).combine(g, rng())
    assert d.norm() == pytest.approx(2.0)
    assert (g @ d).min() > 0
    other = torch.randn(3000, 6, generator=rng(seed), dtype=torch.float64)
    other = 2.0 * other / other.norm(dim=1, keepdim=True)
    gains = (other @ g.T).clamp(min=1e-12).log().sum(1)
    assert (g @ d).log().sum() >= gains.max()


@pytest.mark.parametrize("alpha", [0.5, 1.0, 2.0, 5.0])
@pytest.mark.parametrize("seed", range(3))
def test_fairgrad_solves_its_equation_and_helps_every_task(alpha, seed):
    g = rows(seed)
    w = FairGrad(alpha=alpha).weights(g)
    torch.testing.assert_close((g @ g.T @ w) ** alpha, 1 / w, rtol=1e-5, atol=1e-8)
    assert (w > 0).all()
    assert (g @ FairGrad(alpha=alpha).combine(g, rng())).min() > 0


@pytest.mark.parametrize("alpha", [0.5, 1.0, 2.0, 5.0])
def test_fairgrad_is_there_in_a_few_steps_of_newton(alpha, monkeypatch):
    steps, solve = [], torch.linalg.solve
    monkeypatch.setattr(torch.linalg, "solve", lambda *given: steps.append(1) or solve(*given))
    FairGrad(alpha=alpha).weights(rows(0))
    assert 1 < len(steps) < 30


def test_fairgrad_by_hand_and_fairer_for_larger_alpha():
    g = torch.tensor([[2.0, 0.0], [0.0, 1.0]], dtype=torch.float64)
    # (|g|² w)^2 = 1/w: w = |g|^(-4/3), so that g·d = |g|^(2/3).
    found = FairGrad(alpha=2.0).combine(g, rng())
    assert found.tolist() == pytest.approx([2.0 ** (-1 / 3), 1.0])
    random = rows(7)
    gains = [random @ FairGrad(alpha=alpha).combine(random, rng()) for alpha in (0.5, 2.0, 8.0)]
    shares = [float(gain.min() / gain.max()) for gain in gains]
    assert shares == sorted(shares)
    torch.testing.assert_close(FairGrad(alpha=1.0).weights(random), NashMTL().weights(random))


def test_nash_by_hand_and_blind_to_the_scale_of_a_loss():
    g = torch.tensor([[2.0, 0.0], [0.0, 1.0]], dtype=torch.float64)
    # a_t = 1 / ||g_t|| where gradients are orthogonal: (1, 1), scaled to length 1.
    assert NashMTL().combine(g, rng()).tolist() == pytest.approx([0.5**0.5] * 2)
    random = rows(7)
    scaled = random * torch.tensor([[1.0], [1e3], [1e-3], [5.0]], dtype=torch.float64)
    torch.testing.assert_close(NashMTL().combine(scaled, rng()), NashMTL().combine(random, rng()))


@pytest.mark.parametrize("seed", range(3))
def test_surgeries_agree_with_torchjd(seed):
    torchjd = pytest.importorskip("torchjd.aggregation")
    g = rows(seed)
    pairs = [
        (MGDA(), torchjd.MGDA(epsilon=1e-12, max_iters=2000), 5e-3),
        (IMTLG(), torchjd.IMTLG(), 1e-7),
        (AlignedMTL(), torchjd.AlignedMTL(), 1e-7),
        (UPGrad(), torchjd.UPGrad(), 1e-3),
    ]
    for ours, theirs, tolerance in pairs:
        torch.testing.assert_close(ours.combine(g, rng()), theirs(g), atol=tolerance, rtol=0)
    # For two tasks there is one order; for more, each library draws its own.
    torch.testing.assert_close(PCGrad().combine(g[:2], rng()), torchjd.PCGrad()(g[:2]))
    # Fairness of degree 1 is the bargain.
    fair = torchjd.FairGradWeighting(alpha=1.0)(g @ g.T)
    torch.testing.assert_close(NashMTL().weights(g), fair, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("seed", range(3))
def test_weightings_give_the_direction_of_torchjds(seed):
    torchjd = pytest.importorskip("torchjd.aggregation")
    g, losses = rows(seed, tasks=2), LOSSES
    given = (0.5, 3.0)
    pairs = [
        (Equal(), torchjd.Mean()(g)),
        (Fixed(weights=given), torchjd.Constant(torch.tensor(given).double())(g) / 2),
    ]
    for ours, theirs in pairs:
        weights = torch.tensor(slopes(ours, losses), dtype=torch.float64)
        torch.testing.assert_close(weights @ g, theirs)
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        theirs = torchjd.Random()(g.float())
    weights = torch.tensor(slopes(RLW(), losses.float(), seed=seed))
    torch.testing.assert_close(weights @ g.float(), theirs)


@pytest.mark.parametrize("weighting", [Log(), GLS()], ids=name_of)
def test_a_loss_of_zero_has_a_finite_logarithm(weighting):
    value = of(weighting, torch.tensor([0.0, 1.0], dtype=torch.float64))[0]
    assert math.isfinite(float(value))
    of_zero = math.log(weighting.eps)
    wanted = of_zero / 2 if isinstance(weighting, Log) else math.exp(of_zero / 2)
    assert float(value) == pytest.approx(wanted, rel=1e-6)
