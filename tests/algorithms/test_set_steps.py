"""The learners of sets that adapt by gradient steps, against loops in float64 and against each
other."""

from __future__ import annotations

from dataclasses import replace

import pytest
import reference_sets
import torch
from torch import Tensor

from metacli.algorithms.meta_multitask.base import StepLearner, noise_loss
from metacli.algorithms.meta_multitask.coupled import Coupled
from metacli.algorithms.meta_multitask.manil import MANIL
from metacli.algorithms.meta_multitask.mcavia import MCAVIA
from metacli.algorithms.meta_multitask.mmaml import MMAML
from metacli.algorithms.meta_multitask.mreptile import MReptile, union
from metacli.algorithms.meta_multitask.one_trunk import OneTrunk
from metacli.algorithms.meta_multitask.protocol import alone, together
from metacli.algorithms.meta_multitask.steps import uniform
from metacli.data.sets.functions import Functions
from metacli.nn.set_attention import Gaussian
from metacli.nn.set_problem import SetProblem, mean_of_sets
from metacli.nn.trunk_heads import HEAD
from metacli.types import Batch, Params, SetEpisode

pytestmark = pytest.mark.usefixtures("one_thread")
SIZE = {"hidden": (6, 5), "frequencies": 1, "inner_lr": 0.03, "inner_steps": 3}
SHARING = (MMAML(**SIZE), MANIL(**SIZE), MCAVIA(context=2, **SIZE))
LEARNERS = (MMAML(**SIZE), Coupled(embedding=4, **SIZE), *SHARING[1:], MReptile(**SIZE))
DIFFERENTIATED = LEARNERS[:4]
BY_NAME = pytest.mark.parametrize("learner", LEARNERS, ids=lambda one: type(one).__name__)


def sets(variant: str = "independent", count: int = 2) -> SetEpisode:
    made = Functions(variant, 5, 3, seed=("test", 2), meta_batch=count).meta_batch_at(0)
    halves = (Batch(b.x.double(), b.y.double(), b.mask) for b in made[:2])
    support, query = halves
    return SetEpisode(support, query, made.roles)


def start(learner: StepLearner) -> tuple[SetProblem, Params]:
    problem = SetProblem(learner.network(1, 8))
    params = problem.init(0, torch.float64)
    own, _ = learner.init(problem, params)
    rng = torch.Generator().manual_seed(1)
    shaken = {
        name: value + 0.1 * torch.randn(value.shape, generator=rng, dtype=torch.float64)
        for name, value in {**params, **own}.items()
        if not name.startswith("rates")
    }
    return problem, {**own, **shaken}


def moved(learner: StepLearner, coupling: Tensor, episodes: SetEpisode) -> Params:
    problem, params = start(learner)
    network = learner.of(problem)
    copies = network.copies(params, episodes.roles)
    return learner.moving(problem, params, copies, episodes.support, coupling)


def labels_of(episodes: SetEpisode, at: int) -> reference_sets.Labels:
    """The known support labels of every task of one set."""
    support, tasks = episodes.support, range(episodes.roles.shape[1])
    mask = torch.ones_like(support.y, dtype=torch.bool) if support.mask is None else support.mask
    return [
        [
            (x, float(y))
            for x, y, known in zip(support.x[at, t], support.y[at, t], mask[at, t], strict=True)
            if known
        ]
        for t in tasks
    ]


MOVES = {"MMAML": ("",), "MANIL": ("trunk.1.", "head."), "MCAVIA": ("context.",)}


@pytest.mark.parametrize("learner", SHARING, ids=lambda one: type(one).__name__)
def test_joint_adaptation_equals_a_loop_over_labels_with_one_trunk(learner: StepLearner) -> None:
    episodes = sets("mixed")
    problem, params = start(learner)
    found = learner.answer(problem, params, episodes, together(episodes.roles)).mean
    tasks = episodes.roles.shape[1]
    for at in range(2):
        begin = {name: params[name] for name in learner.of(problem).names}
        if learner.context:
            begin["context.set"] = torch.zeros(learner.context, dtype=torch.float64)
            begin["context.task"] = torch.zeros(tasks, learner.context, dtype=torch.float64)
        roles = episodes.roles[at].tolist()
        phi = reference_sets.shared_inner_loop(
            *(begin, labels_of(episodes, at), roles, learner.inner_lr, 3, 1, 20.0),
            MOVES[type(learner).__name__],
        )
        asked = [[(x, 0.0)] for x in episodes.query.x[at, :, 0]]
        values = reference_sets.mean_losses(phi, asked, roles, 1, 20.0)
        expected = torch.stack(values).sqrt()
        torch.testing.assert_close(found[at, :, 0].abs(), expected, rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize("learner", SHARING, ids=lambda one: type(one).__name__)
def test_one_copy_of_the_trunk_answers_as_a_copy_for_each_task_would(learner: OneTrunk) -> None:
    problem, params = start(learner)
    episodes = sets("mixed", 3)
    sees = torch.stack([together(episodes.roles)[0], alone(episodes.roles)[0]])[[1, 0, 1]]
    found = learner.means(problem, params, episodes, sees)
    phi = learner.adapted(problem, params, episodes, sees, "partly")
    torch.testing.assert_close(found, learner.of(problem).forward(phi, episodes.query.x))
    assert not torch.allclose(
        found, learner.means(problem, params, episodes, together(episodes.roles)), rtol=1e-3
    )


@pytest.mark.parametrize("learner", SHARING, ids=lambda one: type(one).__name__)
def test_what_is_fitted_to_the_sets_answers_as_the_learner_does(learner: OneTrunk) -> None:
    problem, params = start(learner)
    episodes = sets()
    sees = together(episodes.roles)
    phi = learner.fitted(problem, params, episodes, sees)
    found = learner.of(problem).forward(phi, episodes.query.x)
    torch.testing.assert_close(found, learner.means(problem, params, episodes, sees))


def test_reptile_moves_to_where_a_loop_over_sets_led() -> None:
    learner = MReptile(alone=0.5, **SIZE)
    problem, params = start(learner)
    episodes, rng = sets(count=4), torch.Generator().manual_seed(0)
    sees = learner.masked(episodes.roles, torch.Generator().manual_seed(0))
    apart = (sees == alone(episodes.roles)).flatten(1).all(1).tolist()
    assert set(apart) == {True, False}
    found = learner.direction(problem, params, episodes, {}, rng).direction
    theta = {name: params[name] for name in learner.of(problem).names}
    everything = SetEpisode(union(episodes), *episodes[1:])
    trunk, heads, roles = [], [], episodes.roles[0].tolist()
    for at in range(4):
        labels = labels_of(everything, at)
        groups = [[t] for t in range(4)] if apart[at] else [list(range(4))]
        parts = [
            reference_sets.shared_inner_loop(
                *(theta, [labels[t] for t in group], [roles[t] for t in group]),
                *(0.03, 3, 1, 20.0),
            )
            for group in groups
        ]
        trunk.append(torch.stack([one["trunk.1.weight"] for one in parts]).mean(0))
        chosen = parts if apart[at] else 4 * parts
        heads.append(torch.stack([one["head.weight"][t] for t, one in enumerate(chosen)]))
    expected = theta["trunk.1.weight"] - torch.stack(trunk).mean(0)
    torch.testing.assert_close(found["trunk.1.weight"], expected)
    moved = found["head.weight"]
    torch.testing.assert_close(moved[:4], theta["head.weight"][:4] - torch.stack(heads).mean(0))
    assert bool((moved[4:] == 0).all())  # roles that no task has


def test_the_noise_loss_is_that_of_torch_over_known_queries_and_leaves_the_means_alone() -> None:
    draw = torch.Generator().manual_seed(0)
    mean, y, log = (torch.randn(2, 3, 4, generator=draw, dtype=torch.float64) for _ in range(3))
    mean.requires_grad_()
    log.requires_grad_()
    mask = torch.rand(2, 3, 4, generator=draw) < 0.7
    found = noise_loss(Gaussian(mean, log.exp()), Batch(torch.zeros(2, 3, 4, 1), y, mask))
    each = torch.nn.functional.gaussian_nll_loss(mean, y, log.exp(), reduction="none")
    known = [each[at][mask[at]].mean() for at in range(2)]
    torch.testing.assert_close(found, torch.stack(known).mean())
    (slope,) = torch.autograd.grad(found, log, retain_graph=True)
    (wanted,) = torch.autograd.grad(torch.stack(known).mean(), log)
    torch.testing.assert_close(slope, wanted)
    assert torch.autograd.grad(found, mean, allow_unused=True) == (None,)


def test_reptile_moves_the_noise_by_a_tenth_of_the_gradient_of_its_loss() -> None:
    learner = MReptile(alone=0.0, **SIZE)
    problem, params = start(learner)
    episodes, rng = sets(), torch.Generator().manual_seed(0)
    update = learner.direction(problem, params, episodes, {}, rng)
    sees = together(episodes.roles)

    def value(name: str, at: int, shift: float) -> float:
        changed = params[name].clone()
        changed.view(-1)[at] += shift
        found = learner.answer(problem, {**params, name: changed}, episodes, sees)
        return float(noise_loss(found, episodes.query))

    for name in ("noise", "noise.counts"):
        for at in range(2):
            slope = (value(name, at, 1e-5) - value(name, at, -1e-5)) / 2e-5
            assert abs(slope) > 1e-3
            found = float(update.direction[name].view(-1)[at])
            assert found == pytest.approx(0.1 * slope, rel=1e-6)


@BY_NAME
def test_tasks_that_see_themselves_alone_are_adapted_as_sets_of_one(learner: StepLearner) -> None:
    problem, params = start(learner)
    episodes = sets()
    apart = learner.answer(problem, params, episodes, alone(episodes.roles)).mean
    for task in range(4):
        one = slice(task, task + 1)
        support, query = (
            Batch(*(None if v is None else v[:, one] for v in b)) for b in episodes[:2]
        )
        single = SetEpisode(support, query, episodes.roles[:, one])
        found = learner.answer(problem, params, single, together(single.roles)).mean
        torch.testing.assert_close(found, apart[:, one])


def test_a_coupling_of_1_over_t_is_full_sharing_and_the_identity_is_none() -> None:
    episodes = sets()
    same = moved(LEARNERS[0], torch.full((2, 4, 4), 0.25, dtype=torch.float64), episodes)
    apart = moved(LEARNERS[0], torch.eye(4, dtype=torch.float64).expand(2, 4, 4), episodes)
    for name, value in same.items():
        if name not in HEAD:
            torch.testing.assert_close(value, value[:, :1].expand_as(value))
            assert not torch.allclose(apart[name], apart[name][:, :1].expand_as(value))
    problem, params = start(LEARNERS[0])
    for sees, phi in ((together, same), (alone, apart)):
        found = LEARNERS[0].answer(problem, params, episodes, sees(episodes.roles)).mean
        torch.testing.assert_close(LEARNERS[0].of(problem).forward(phi, episodes.query.x), found)


def test_a_learned_coupling_is_a_distribution_over_the_tasks_that_are_seen() -> None:
    learner, episodes = LEARNERS[1], sets("mixed")
    problem, params = start(learner)
    copies = learner.of(problem).copies(params, episodes.roles)
    tasks = episodes.roles.shape[1]
    sees = together(episodes.roles)
    sees[:, 0, 1:] = sees[:, 1:, 0] = False
    found = learner.coupling(problem, params, copies, episodes, sees)
    torch.testing.assert_close(found.sum(-1), torch.ones(2, tasks, dtype=torch.float64))
    assert bool((found[:, 0, 0] == 1).all())
    assert bool(((found > 0) == sees).all())
    assert found[:, 1:, 1:].std() > 1e-3


def test_a_task_is_embedded_with_the_row_of_its_role_and_without_one_where_it_has_none() -> None:
    learner = LEARNERS[1]
    problem, params = start(learner)
    network = learner.of(problem)
    episodes = sets()._replace(roles=torch.tensor([[-1, 0, 3, 3]] * 2))
    found = learner.embedded(network, params, episodes)
    table, bias = params["coupling.role"], params["coupling.in.bias"]
    plain = {**params, "coupling.role": 0 * table}
    for at, role in enumerate([-1, 0, 3, 3]):
        own = bias if role < 0 else bias + table[role]
        wanted = learner.embedded(network, {**plain, "coupling.in.bias": own}, episodes)
        torch.testing.assert_close(found[:, at], wanted[:, at])


def test_tasks_of_which_none_has_a_role_are_embedded_without_one() -> None:
    learner, episodes = LEARNERS[1], sets()
    problem, params = start(learner)
    unnamed = episodes._replace(roles=torch.full((2, 4), -1))
    wanted = learner.embedded(learner.of(problem), params, unnamed)
    nameless = SetProblem(learner.network(1, 0))
    found = learner.embedded(learner.of(nameless), params, episodes)
    torch.testing.assert_close(found, wanted)
    fresh = nameless.init(0, torch.float64)
    fresh |= learner.init(nameless, fresh)[0]
    answer = learner.answer(nameless, fresh, episodes, together(episodes.roles))
    assert bool(torch.isfinite(answer.mean).all())


def test_a_task_without_labels_is_embedded_as_nothing() -> None:
    learner, episodes = LEARNERS[1], sets()
    problem, params = start(learner)
    assert episodes.support.mask is not None
    mask = episodes.support.mask.clone()
    mask[:, 1] = False
    episodes = episodes._replace(support=episodes.support._replace(mask=mask))
    found = learner.embedded(learner.of(problem), params, episodes)
    assert not found[:, 1].any()
    assert bool(found[:, [0, 2, 3]].abs().sum(-1).gt(0).all())


def test_the_rows_of_roles_begin_with_a_deviation_of_a_half() -> None:
    learner = replace(LEARNERS[1], embedding=64)
    problem = SetProblem(learner.network(1, 8))
    table = learner.init(problem, problem.init(0, torch.float64))[0]["coupling.role"]
    assert table.shape == (8, 128)
    assert table.std().item() == pytest.approx(0.5, rel=0.1)


def test_the_coupling_is_uniform_where_its_parameters_are_zero() -> None:
    learner, episodes = LEARNERS[1], sets()
    problem, params = start(learner)
    params = {k: 0 * v if k.startswith("coupling.") else v for k, v in params.items()}
    copies = learner.of(problem).copies(params, episodes.roles)
    sees = together(episodes.roles)
    found = learner.coupling(problem, params, copies, episodes, sees)
    torch.testing.assert_close(found, uniform(sees, torch.float64))


@BY_NAME
def test_tasks_in_another_order_have_their_answers_in_that_order(learner: StepLearner) -> None:
    problem, params = start(learner)
    episodes = sets("mixed")
    order = torch.randperm(episodes.roles.shape[1], generator=torch.Generator().manual_seed(0))
    support, query = (Batch(*(None if v is None else v[:, order] for v in b)) for b in episodes[:2])
    other = SetEpisode(support, query, episodes.roles[:, order])
    sees = together(episodes.roles)
    before, after = (learner.answer(problem, params, one, sees).mean for one in (episodes, other))
    torch.testing.assert_close(before[:, order], after)


@BY_NAME
def test_a_missing_label_is_absent_whatever_stands_in_its_place(learner: StepLearner) -> None:
    problem, params = start(learner)
    episodes = sets()
    mask = episodes.support.mask
    assert mask is not None
    blank = episodes.support._replace(y=torch.where(mask, episodes.support.y, torch.nan))
    other, sees = episodes._replace(support=blank), together(episodes.roles)
    before, after = (learner.answer(problem, params, one, sees).mean for one in (episodes, other))
    torch.testing.assert_close(before, after)


@pytest.mark.parametrize("learner", DIFFERENTIATED, ids=lambda one: type(one).__name__)
def test_the_direction_is_the_derivative_through_the_inner_steps(learner: StepLearner) -> None:
    learner = replace(learner, alone=0.0)
    problem, params = start(learner)
    episodes, rng = sets(), torch.Generator().manual_seed(0)
    update = learner.direction(problem, params, episodes, {}, rng)

    def value(name: str, shift: float) -> float:
        changed = params[name].clone()
        changed.view(-1)[0] += shift
        at = {**params, name: changed}
        found = learner.answer(problem, at, episodes, together(episodes.roles))
        return float(problem.error(found.mean, episodes.query).mean())

    # A constant of θ, g_t, is in the coupling: only what does not move it can be compared.
    of_trunk = () if isinstance(learner, Coupled) else ("trunk.0.weight", "head.weight")
    of_coupling = ("coupling.q.weight", "coupling.in.bias") if isinstance(learner, Coupled) else ()
    rates = [f"rates.{name}" for name in learner.moved(problem)[-2:]]
    for name in (*of_trunk, *of_coupling, *rates):
        slope = (value(name, 1e-5) - value(name, -1e-5)) / 2e-5
        assert update.direction[name].view(-1)[0].item() == pytest.approx(slope, rel=1e-4, abs=1e-8)
    first = replace(learner, first_order=True).direction(problem, params, episodes, {}, rng)
    assert not torch.allclose(
        first.direction["trunk.0.weight"], update.direction["trunk.0.weight"], rtol=1e-3
    )
    torch.testing.assert_close(first.metrics, update.metrics)


@BY_NAME
def test_the_noise_is_a_line_in_the_logarithms_of_the_numbers_of_labels(
    learner: StepLearner,
) -> None:
    problem, params = start(learner)
    episodes = sets()
    mask = episodes.support.mask
    assert mask is not None
    found = learner.answer(problem, params, episodes, alone(episodes.roles)).variance
    own = mask.sum(-1).double().log1p()
    slopes, noise = params["noise.counts"], params["noise"][episodes.roles]
    torch.testing.assert_close(found[..., 0].log(), noise + (slopes[0] + slopes[1]) * own)
    joint = learner.answer(problem, params, episodes, together(episodes.roles)).variance
    seen = mask.sum((1, 2)).double().log1p()[:, None]
    torch.testing.assert_close(joint[..., 0].log(), noise + slopes[0] * own + slopes[1] * seen)


def test_a_set_in_which_nothing_counts_has_a_mean_of_nothing() -> None:
    values = torch.arange(12.0).view(2, 2, 3)
    mask = torch.tensor([[[True, False, True], [False, False, True]], [[False] * 3] * 2])
    assert mean_of_sets(values, mask).tolist() == pytest.approx([(0 + 2 + 5) / 3, 0.0])
