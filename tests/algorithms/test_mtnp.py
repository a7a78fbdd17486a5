"""MTNP against loops in float64, and what its architecture promises."""

from __future__ import annotations

from dataclasses import replace

import pytest
import reference_sets
import torch
from torch import Tensor

from metacli.algorithms.meta_multitask.mtnp import AVERAGE, MTNP, average_of, beta_loss
from metacli.algorithms.meta_multitask.protocol import alone, together
from metacli.data.sets.functions import Functions
from metacli.nn.set_attention import Gaussian, SetAttention
from metacli.nn.set_problem import SetProblem
from metacli.types import Batch, Params, SetEpisode

pytestmark = pytest.mark.usefixtures("one_thread")
SMALL = MTNP(width=8, heads=2, blocks=2, reads=2, frequencies=2)


def as_double(episodes: SetEpisode) -> SetEpisode:
    halves = (Batch(b.x.double(), b.y.double(), b.mask) for b in episodes[:2])
    return SetEpisode(*halves, episodes.roles)


def sets(variant: str = "independent", count: int = 2, points: int = 4) -> SetEpisode:
    source = Functions(variant, points, 3, seed=("test", 1), meta_batch=count)
    return as_double(source.meta_batch_at(0))


def start(learner: MTNP = SMALL, roles: int = 8) -> tuple[SetProblem, Params]:
    """A problem and parameters none of which is at a special value."""
    problem = SetProblem(learner.network(1, roles))
    rng = torch.Generator().manual_seed(3)
    params = {
        name: value + 0.3 * torch.randn(value.shape, generator=rng, dtype=value.dtype)
        for name, value in problem.init(0, torch.float64).items()
    }
    own, _ = learner.init(problem, params)
    return problem, {**params, **own}


def answer(params: Params, problem: SetProblem, episodes: SetEpisode, sees: Tensor) -> Gaussian:
    return SMALL.answer(problem, params, episodes, sees)


@pytest.mark.parametrize("seeing", [together, alone])
def test_it_equals_loops_over_labels_heads_and_queries(seeing: object) -> None:
    problem, params = start()
    episodes = sets()
    sees = seeing(episodes.roles)  # type: ignore[operator]
    found = answer(params, problem, episodes, sees)
    support, query, roles, _ = episodes
    assert support.mask is not None
    for at in range(2):
        labels = [
            (support.x[at, t, m], float(support.y[at, t, m]), t)
            for t in range(4)
            for m in range(4)
            if support.mask[at, t, m]
        ]
        for task in range(4):
            for q in range(3):
                mean, variance = reference_sets.set_attention(
                    params,
                    labels,
                    (query.x[at, task, q], task),
                    roles[at].tolist(),
                    sees[at],
                    heads=2,
                    blocks=2,
                    reads=2,
                    frequencies=2,
                    period=20.0,
                )
                assert found.mean[at, task, q].item() == pytest.approx(mean, rel=1e-9)
                assert found.variance[at, task, q].item() == pytest.approx(variance, rel=1e-9)


def test_the_order_of_the_points_does_not_matter() -> None:
    problem, params = start()
    episodes = sets()
    order = torch.tensor([2, 0, 3, 1])
    mixed = episodes._replace(support=Batch(*(v[:, :, order] for v in episodes.support)))
    sees = together(episodes.roles)
    before, after = (answer(params, problem, one, sees) for one in (episodes, mixed))
    torch.testing.assert_close(before, after)


def test_tasks_in_another_order_have_their_answers_in_that_order() -> None:
    problem, params = start()
    episodes = sets("mixed")
    order = torch.randperm(episodes.roles.shape[1], generator=torch.Generator().manual_seed(0))
    halves = (Batch(*(None if v is None else v[:, order] for v in b)) for b in episodes[:2])
    moved = SetEpisode(*halves, episodes.roles[:, order])
    before = answer(params, problem, episodes, together(episodes.roles))
    after = answer(params, problem, moved, together(episodes.roles))
    torch.testing.assert_close(before.mean[:, order], after.mean)


def test_a_task_that_sees_itself_alone_answers_as_in_a_set_of_its_own() -> None:
    problem, params = start()
    episodes = sets()
    apart = answer(params, problem, episodes, alone(episodes.roles))
    for task in range(4):
        one = slice(task, task + 1)
        halves = (Batch(*(None if v is None else v[:, one] for v in b)) for b in episodes[:2])
        single = SetEpisode(*halves, episodes.roles[:, one])
        found = answer(params, problem, single, together(single.roles))
        torch.testing.assert_close(found.mean, apart.mean[:, one])


def test_labels_of_tasks_that_are_not_seen_change_nothing_and_those_that_are_do() -> None:
    problem, params = start()
    episodes = sets()
    y = episodes.support.y.clone()
    y[:, 1:] += 5.0
    other = episodes._replace(support=episodes.support._replace(y=y))
    for seeing, same in ((alone, True), (together, False)):
        sees = seeing(episodes.roles)
        before, after = (answer(params, problem, one, sees).mean[:, 0] for one in (episodes, other))
        assert torch.equal(before, after) is same


def test_a_missing_label_is_absent_whatever_stands_in_its_place() -> None:
    problem, params = start()
    episodes = sets()
    mask = episodes.support.mask
    assert mask is not None
    blank = torch.where(mask, episodes.support.y, torch.nan)
    other = episodes._replace(support=episodes.support._replace(y=blank))
    sees = together(episodes.roles)
    torch.testing.assert_close(
        answer(params, problem, episodes, sees), answer(params, problem, other, sees)
    )


def test_tasks_without_names_are_distinguished_by_who_their_labels_belong_to() -> None:
    problem, params = start(roles=0)
    episodes = sets()._replace(roles=torch.full((2, 4), -1))
    found = answer(params, problem, episodes, together(episodes.roles)).mean
    assert not torch.allclose(found[:, 0], found[:, 1])


def test_the_loss_is_the_negative_log_likelihood_at_beta_0_and_half_the_error_s_gradient_at_1() -> (
    None
):
    mean = torch.tensor([[[0.5, -1.0]]], dtype=torch.float64, requires_grad=True)
    variance = torch.tensor([[[0.3, 2.0]]], dtype=torch.float64)
    query = Batch(mean.detach()[..., None], torch.tensor([[[1.0, 1.5]]], dtype=torch.float64))
    exact = -torch.distributions.Normal(mean, variance.sqrt()).log_prob(query.y).mean()
    constant = 0.5 * torch.log(torch.tensor(2 * torch.pi, dtype=torch.float64))
    found = beta_loss(Gaussian(mean, variance), query, 0.0)
    assert found.item() == pytest.approx((exact - constant).item())
    beta_loss(Gaussian(mean, variance), query, 1.0).backward()
    torch.testing.assert_close(mean.grad, (mean.detach() - query.y) / 2)


def test_it_answers_with_the_average_of_its_weights() -> None:
    learner = replace(SMALL, average=0.5)
    problem, params = start(learner)
    rng = torch.Generator().manual_seed(0)
    moved = {**params, "null": params["null"] + 1.0}
    update = learner.direction(problem, moved, sets(), {"step": 1000}, rng)
    after = average_of({**moved, **update.replace})
    torch.testing.assert_close(after["null"], params["null"] + 0.5)
    assert set(update.direction) == problem.trainable
    assert set(update.replace) == {AVERAGE + name for name in problem.trainable}
    assert update.state == {"step": 1001}


def test_the_average_forgets_the_random_start_within_a_few_steps() -> None:
    _, params = start(SMALL)
    moved = {**params, "null": params["null"] + 1.0}
    for step, kept in ((0, 1 / 10), (8, 9 / 18), (100_000, SMALL.average)):
        after = average_of({**moved, **SMALL.averaged(moved, {"step": step})})
        torch.testing.assert_close(after["null"], params["null"] + (1 - kept))


def test_a_step_of_regressions_reports_its_loss_and_the_squared_error_of_its_answers() -> None:
    learner = replace(SMALL, alone=0.0)
    problem, params = start(learner)
    episodes, rng = sets(), torch.Generator().manual_seed(0)
    metrics = learner.direction(problem, params, episodes, {"step": 0}, rng).metrics
    found = answer(params, problem, episodes, together(episodes.roles))
    error = (found.mean - episodes.query.y).square().mean()
    assert set(metrics) == {"query_loss", "query_mse"}
    torch.testing.assert_close(metrics["query_mse"], error)
    torch.testing.assert_close(
        metrics["query_loss"], beta_loss(found, episodes.query, learner.beta)
    )


def test_a_share_of_the_sets_sees_each_task_alone() -> None:
    roles = torch.zeros(4000, 3, dtype=torch.long)
    sees = replace(SMALL, alone=0.25).masked(roles, torch.Generator().manual_seed(0))
    apart = ~sees[:, 0, 1]
    assert apart.float().mean().item() == pytest.approx(0.25, abs=0.03)
    assert torch.equal(sees[apart], alone(roles)[apart])
    assert bool(sees[~apart].all())


def test_fresh_weights_are_drawn_by_their_inputs_and_what_is_added_in_pairs_begins_at_zero() -> (
    None
):
    made = SetAttention(inputs=1, roles=40, width=64, blocks=2, reads=1, kin=True).init(0)
    norms = {n: v for n, v in made.items() if "norm" in n or ".keys." in n}
    assert all((v == (1.0 if n.endswith("weight") else 0.0)).all() for n, v in norms.items())
    rest = {n: v for n, v in made.items() if n not in norms}
    zeros = {n for n, v in rest.items() if not v.any()}
    assert zeros == {n for n in rest if n.endswith(("bias", "same", "kin"))}
    deviations = {"null": 0.5, "token.role": 0.5, "query.role": 0.5, "self.1.q.weight": 1 / 8}
    deviations |= {"self.1.o.weight": 6**-0.5 / 8, "read.0.down.weight": (6 * 128) ** -0.5}
    for name, wanted in deviations.items():
        close = 0.3 if name == "null" else 0.05  # of 64 numbers
        assert float(made[name].std()) == pytest.approx(wanted, rel=close), name
