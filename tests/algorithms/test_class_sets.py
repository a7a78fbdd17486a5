"""Sets of classifications: every learner against loops in float64, and what all of them promise."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import reference_class_sets as reference
import torch
from torch import Tensor, nn

from metacli.algorithms.meta_multitask.class_sets import accuracies, query_losses
from metacli.algorithms.meta_multitask.class_steps import one_set
from metacli.algorithms.meta_multitask.coupled import Coupled, separate, trunk_cosines
from metacli.algorithms.meta_multitask.manil import MANIL
from metacli.algorithms.meta_multitask.mcavia import MCAVIA
from metacli.algorithms.meta_multitask.mmaml import MMAML
from metacli.algorithms.meta_multitask.mreptile import MReptile, union
from metacli.algorithms.meta_multitask.mtnp import AVERAGE, MTNP
from metacli.algorithms.meta_multitask.protocol import ClassSetLearner, alone, together
from metacli.errors import UsageProblem
from metacli.nn.problem import Problem, make_module
from metacli.nn.set_answers import SetAnswers
from metacli.nn.set_problem import SetProblem
from metacli.types import Batch, Params, SetEpisode

pytestmark = pytest.mark.usefixtures("one_thread")
STEPS = {"inner_lr": 0.05, "inner_steps": 2}
LEARNERS: tuple[ClassSetLearner, ...] = (
    MTNP(width=8, heads=2, blocks=1, reads=1),
    MMAML(**STEPS),
    Coupled(embedding=4, **STEPS),
    MANIL(**STEPS),
    MReptile(**STEPS),
)
DIFFERENTIATED = LEARNERS[:4]
BY_NAME = pytest.mark.parametrize("learner", LEARNERS, ids=lambda one: type(one).__name__)
SHARED = pytest.mark.parametrize("shared", [False, True], ids=["own-labels", "shared-labels"])


def sets(*, mixed: bool = False, ways: int = 2, count: int = 1, tasks: int = 3) -> SetEpisode:
    """Sets of tasks of two examples a class, of which one is missing, and three queries; `mixed`:
    the last task is a regression."""
    rng = torch.Generator().manual_seed(5)
    draw = lambda *shape: torch.randn(*shape, generator=rng, dtype=torch.float64)  # noqa: E731
    y = (
        torch.arange(2 * ways)
        .div(2, rounding_mode="floor")
        .double()
        .expand(count, tasks, -1)
        .clone()
    )
    asked = torch.arange(3).remainder(ways).double().expand(count, tasks, -1).clone()
    number = torch.full((count, tasks), ways)
    if mixed:
        number[:, -1] = 0
        y[:, -1], asked[:, -1] = draw(count, 2 * ways), draw(count, 3)
    mask = torch.ones_like(y, dtype=torch.bool)
    mask[:, 0, 1] = False
    support = Batch(draw(count, tasks, 2 * ways, 3), torch.where(mask, y, torch.nan), mask)
    roles = torch.full((count, tasks), -1)
    return SetEpisode(support, Batch(draw(count, tasks, 3, 3), asked), roles, number)


def start(learner: ClassSetLearner, *, shared: bool = False) -> tuple[SetProblem, Params]:
    backbone = nn.Sequential(nn.Linear(3, 6), nn.ReLU())
    encoder = Problem(make_module(nn.Identity(), backbone), 6, "classification", None)
    network = learner.encoded(encoder, 0, None, shared_labels=shared)
    problem = SetProblem(network, kind="classification", shared_labels=shared)
    rng = torch.Generator().manual_seed(3)
    params = {
        name: value + 0.3 * torch.randn(value.shape, generator=rng, dtype=torch.float64)
        for name, value in problem.init(0, torch.float64).items()
    }
    own, _ = learner.init(problem, params)
    return problem, {**params, **own}


def examples_of(episodes: SetEpisode) -> list[reference.Example]:
    support, _, _, ways = episodes
    assert support.mask is not None
    assert ways is not None
    return [
        reference.Example(support.x[0, t, m], float(support.y[0, t, m]), t)
        for t in range(ways.shape[1])
        for m in range(support.y.shape[2])
        if support.mask[0, t, m]
    ]


@SHARED
@pytest.mark.parametrize("seeing", [together, alone])
@pytest.mark.parametrize("mixed", [False, True], ids=["classes", "mixed"])
def test_mtnp_equals_loops_over_examples_heads_and_classes(
    *, shared: bool, seeing: object, mixed: bool
) -> None:
    learner = LEARNERS[0]
    problem, params = start(learner, shared=shared)
    episodes = sets(mixed=mixed)
    sees = seeing(episodes.roles)  # type: ignore[operator]
    found = learner.respond(problem, params, episodes, sees).logits
    assert episodes.ways is not None
    for t in range(3):
        for q in range(3 if episodes.ways[0, t] else 0):
            wanted = reference.mtnp_logits(
                params,
                examples_of(episodes),
                (episodes.query.x[0, t, q], t),
                episodes.ways[0].tolist(),
                sees[0],
                shared=shared,
                heads=2,
                blocks=1,
                reads=1,
            )
            assert found[0, t, q].tolist() == pytest.approx(wanted, rel=1e-7)


@SHARED
def test_joint_adaptation_equals_a_loop_over_examples_with_one_trunk(*, shared: bool) -> None:
    learner, episodes = LEARNERS[1], sets(mixed=not shared)
    problem, params = start(learner, shared=shared)
    found = learner.respond(problem, params, episodes, together(episodes.roles))
    assert episodes.ways is not None
    ways = episodes.ways[0].tolist()
    phi = reference.joint_inner_loop(params, examples_of(episodes), ways, 0.05, 2, shared=shared)
    for t in range(3):
        for q in range(3):
            x = episodes.query.x[0, t, q]
            wanted = reference.logits_of(phi, x, t, list(range(max(ways[t], 1)))).tolist()
            said = found.logits[0, t, q].tolist() if ways[t] else [float(found.mean[0, t, q])]
            assert said == pytest.approx(wanted, rel=1e-7)


@SHARED
def test_a_coupling_of_1_over_t_is_the_joint_inner_loop(*, shared: bool) -> None:
    coupled, joint, episodes = LEARNERS[2], LEARNERS[1], sets()
    problem, params = start(coupled, shared=shared)
    flat = {k: 0 * v if k.startswith("coupling.") else v for k, v in params.items()}
    sees = together(episodes.roles)
    found = coupled.respond(problem, flat, episodes, sees).logits
    torch.testing.assert_close(found, joint.respond(problem, flat, episodes, sees).logits)
    learned = coupled.respond(problem, params, episodes, sees).logits
    assert not torch.allclose(found, learned, rtol=1e-4)


def test_tasks_are_alike_by_the_cosines_of_their_gradients_in_the_trunk() -> None:
    problem, params = start(LEARNERS[2])
    one = one_set(sets(), 0)
    apart = separate(together(sets().roles)[0], torch.float64)
    found = trunk_cosines(problem.network, params, one, apart)  # type: ignore[arg-type]
    ways = [2, 2, 2]
    phi = reference.joint_inner_loop(params, examples_of(sets()), ways, 0.0, 0, shared=False)
    phi = {name: value.detach().requires_grad_() for name, value in phi.items()}
    trunk = [value for name, value in phi.items() if name.startswith("backbone.")]
    slopes = []
    for task in range(3):
        own = [example for example in examples_of(sets()) if example.task == task]
        loss = reference.task_loss(phi, own, task, ways)
        slopes.append(torch.cat([g.flatten() for g in torch.autograd.grad(loss, trunk)]))
    for t, a in enumerate(slopes):
        for s, b in enumerate(slopes):
            wanted = float(a @ b / a.norm() / b.norm())
            assert float(found[t, s]) == pytest.approx(wanted, rel=1e-7)
    assert 0.01 < float(found[0, 1].abs()) < 0.99


@BY_NAME
@SHARED
def test_tasks_that_see_themselves_alone_are_answered_as_sets_of_one(
    learner: ClassSetLearner, *, shared: bool
) -> None:
    problem, params = start(learner, shared=shared)
    episodes = sets()
    apart = learner.respond(problem, params, episodes, alone(episodes.roles)).logits
    for task in range(3):
        one = part_of(episodes, torch.tensor([task]))
        found = learner.respond(problem, params, one, together(one.roles)).logits
        torch.testing.assert_close(found, apart[:, [task]])


def part_of(episodes: SetEpisode, tasks: Tensor) -> SetEpisode:
    support, query, roles, ways = episodes
    assert support.mask is not None
    assert ways is not None
    chosen = Batch(support.x[:, tasks], support.y[:, tasks], support.mask[:, tasks])
    asked = Batch(query.x[:, tasks], query.y[:, tasks])
    return SetEpisode(chosen, asked, roles[:, tasks], ways[:, tasks])


@BY_NAME
def test_tasks_in_another_order_have_their_answers_in_that_order(learner: ClassSetLearner) -> None:
    problem, params = start(learner)
    episodes, order = sets(mixed=True), torch.tensor([2, 0, 1])
    before = learner.respond(problem, params, episodes, together(episodes.roles))
    moved = part_of(episodes, order)
    after = learner.respond(problem, params, moved, together(moved.roles))
    torch.testing.assert_close(before.logits[:, order], after.logits)
    torch.testing.assert_close(before.mean[:, order], after.mean)


@BY_NAME
@SHARED
def test_classes_have_no_order(learner: ClassSetLearner, *, shared: bool) -> None:
    problem, params = start(learner, shared=shared)
    episodes = sets(ways=3)
    renamed = torch.tensor([2.0, 0.0, 1.0], dtype=torch.float64)
    assert episodes.support.mask is not None
    y = torch.where(episodes.support.mask, episodes.support.y, 0).long()
    other = episodes._replace(support=episodes.support._replace(y=renamed[y]))
    sees = together(episodes.roles)
    before, after = (
        learner.respond(problem, params, one, sees).logits for one in (episodes, other)
    )
    torch.testing.assert_close(before, after[..., [2, 0, 1]])


@BY_NAME
def test_labels_of_other_tasks_matter_jointly_and_not_alone(learner: ClassSetLearner) -> None:
    problem, params = start(learner)
    episodes = sets()
    x = episodes.support.x.clone()
    x[:, 1:] += 1.0
    other = episodes._replace(support=episodes.support._replace(x=x))
    heads_alone = isinstance(learner, MANIL)  # which pass nothing on where labels differ
    for seeing, same in ((alone, True), (together, heads_alone)):
        sees = seeing(episodes.roles)
        before, after = (
            learner.respond(problem, params, one, sees).logits[:, 0] for one in (episodes, other)
        )
        assert torch.allclose(before, after, rtol=1e-6) is same


@BY_NAME
@SHARED
def test_a_class_without_an_example_is_answered_only_where_a_task_with_the_same_labels_shows_it(
    learner: ClassSetLearner, *, shared: bool
) -> None:
    problem, params = start(learner, shared=shared)
    episodes = sets()
    assert episodes.support.mask is not None
    mask = episodes.support.mask.clone()
    mask[:, 0, :2] = False
    hidden = episodes._replace(support=episodes.support._replace(mask=mask))
    found = learner.respond(problem, params, hidden, together(hidden.roles)).logits[0, 0, :, 0]
    assert bool(torch.isfinite(found).all()) is shared
    apart = learner.respond(problem, params, hidden, alone(hidden.roles)).logits[0, 0, :, 0]
    assert apart.tolist() == [-math.inf] * 3


@BY_NAME
@pytest.mark.parametrize("task", [1, 2], ids=["classes", "values"])
def test_a_missing_example_is_as_one_that_is_not_there(learner: ClassSetLearner, task: int) -> None:
    problem, params = start(learner)
    one = part_of(sets(mixed=True), torch.tensor([task]))
    support, sees = one.support, together(one.roles)
    there = torch.tensor([True, False, False, True])
    y = torch.where(there, support.y, torch.nan)
    hidden = one._replace(support=Batch(support.x, y, there.expand_as(y)))
    fewer = one._replace(support=Batch(support.x[:, :, there], support.y[:, :, there]))
    found, wanted = (learner.respond(problem, params, some, sees) for some in (hidden, fewer))
    if task == 1:
        torch.testing.assert_close(found.logits, wanted.logits)
    else:
        torch.testing.assert_close(found.mean, wanted.mean)


@BY_NAME
def test_regressions_alone_are_answered_as_beside_classifications_and_learned_from(
    learner: ClassSetLearner,
) -> None:
    problem, params = start(learner)
    mixed = sets(mixed=True)
    one = part_of(mixed, torch.tensor([2]))
    found = learner.respond(problem, params, one, together(one.roles)).mean
    beside = learner.respond(problem, params, mixed, alone(mixed.roles)).mean
    torch.testing.assert_close(found, beside[:, [2]])
    state = learner.init(problem, params)[1]
    update = learner.direction(problem, params, one, state, torch.Generator().manual_seed(0))
    assert bool(torch.isfinite(update.metrics["query_loss"]))
    assert all(bool(torch.isfinite(value).all()) for value in update.direction.values())


def test_the_loss_of_regressions_is_the_squared_error_beside_that_of_torch_for_the_noise() -> None:
    rng = torch.Generator().manual_seed(0)
    mean, y, scale = torch.randn(3, 1, 2, 5, generator=rng, dtype=torch.float64)
    mean, variance = mean.requires_grad_(), scale.square() + 0.1
    found = SetAnswers(torch.zeros(1, 2, 5, 1, dtype=torch.float64), mean, variance)
    none = torch.zeros(1, 2, dtype=torch.long)
    batch = SetEpisode(Batch(y[..., None], y), Batch(y[..., None], y), none - 1, none)
    loss, error = query_losses(found, batch), (mean - y).square().mean()
    noise = nn.functional.gaussian_nll_loss(mean.detach(), y, variance)
    torch.testing.assert_close(loss, error + noise)
    slope, wanted = (torch.autograd.grad(one, mean)[0] for one in (loss, error))
    torch.testing.assert_close(slope, wanted)  # the noise does not weigh the errors


@SHARED
@pytest.mark.parametrize("mixed", [False, True], ids=["classes", "mixed"])
def test_reptile_moves_to_where_loops_over_the_examples_of_sets_led(
    *, shared: bool, mixed: bool
) -> None:
    if shared and mixed:
        pytest.skip("labels are shared by classifications alone")
    learner, episodes = replace(LEARNERS[4], alone=0.0), sets(mixed=mixed, count=2)  # type: ignore[type-var]
    problem, params = start(learner, shared=shared)
    rng = torch.Generator().manual_seed(0)
    found = learner.direction(problem, params, episodes, {}, rng).direction
    everything = episodes._replace(support=union(episodes))
    led = []
    for at in range(2):
        one = SetEpisode(*(pick_set(part, at) for part in everything))
        assert one.ways is not None
        ways = one.ways[0].tolist()
        phi = reference.joint_inner_loop(params, examples_of(one), ways, 0.05, 2, shared=shared)
        led.append({"backbone.0.weight": phi["backbone.0.weight"], "value.weight": phi["w2.0"]})
    for name in ("backbone.0.weight", *(("value.weight",) if mixed else ())):
        mean = torch.stack([one[name] for one in led]).mean(0)
        torch.testing.assert_close(found[name], (params[name] - mean).detach())
    if not mixed:
        assert bool((found["value.weight"] == 0).all())


def pick_set(part: Batch | Tensor | None, at: int) -> Batch | Tensor | None:
    """Set `at` as a meta-batch of one."""
    if part is None or isinstance(part, Tensor):
        return None if part is None else part[at : at + 1]
    return Batch(*(None if value is None else value[at : at + 1] for value in part))


@pytest.mark.parametrize("learner", DIFFERENTIATED, ids=lambda one: type(one).__name__)
@SHARED
def test_the_direction_is_the_derivative_of_the_query_loss(
    learner: ClassSetLearner, *, shared: bool
) -> None:
    learner = replace(learner, alone=0.0)  # type: ignore[type-var]
    problem, params = start(learner, shared=shared)
    episodes = sets(count=2)
    state = learner.init(problem, params)[1]
    update = learner.direction(problem, params, episodes, state, torch.Generator().manual_seed(0))
    sees = together(episodes.roles)

    def value(name: str, shift: float) -> float:
        changed = params[name].clone()
        changed.view(-1)[0] += shift
        at = {**params, name: changed}
        if AVERAGE + name in at:
            at[AVERAGE + name] = changed
        logits = learner.respond(problem, at, episodes, sees).logits
        y = episodes.query.y.long()
        return float(nn.functional.cross_entropy(logits.flatten(0, 2), y.flatten()))

    names = {
        MTNP: ("backbone.0.weight", "self.0.kin", "class.scale", "class.raw", "query.weight"),
        MMAML: ("backbone.0.weight", "rates.backbone.0.weight", "rates.head.bias"),
        Coupled: ("coupling.q.weight", "coupling.self", "rates.backbone.0.weight"),
        MANIL: ("backbone.0.weight", "rates.head.weight", "rates.head.bias"),
    }[type(learner)]
    for name in names:
        slope = (value(name, 1e-5) - value(name, -1e-5)) / 2e-5
        assert update.direction[name].view(-1)[0].item() == pytest.approx(slope, rel=1e-4, abs=1e-8)
    loss = update.metrics["query_loss"].item()
    assert loss == pytest.approx(value(names[0], 0.0), rel=1e-9)


@BY_NAME
def test_training_on_mixed_sets_lowers_the_loss(learner: ClassSetLearner) -> None:
    problem, params = start(learner)
    episodes, state = sets(mixed=True, count=2), learner.init(problem, params)[1]
    losses = []
    for step in range(12):
        rng = torch.Generator().manual_seed(step)
        update = learner.direction(problem, params, episodes, state, rng)
        params = {**params, **update.replace}
        params |= {k: params[k] - 0.02 * v for k, v in update.direction.items()}
        state = update.state
        losses.append(update.metrics["query_loss"].item())
    assert all(bool(torch.isfinite(value).all()) for value in params.values())
    assert min(losses[-3:]) < losses[0]


def test_first_order_steps_answer_the_same_and_differ_in_the_derivative() -> None:
    second = replace(LEARNERS[1], alone=0.0)  # type: ignore[type-var]
    first = replace(second, first_order=True)
    problem, params = start(second)
    episodes = sets()
    rng = torch.Generator().manual_seed(0)
    updates = [one.direction(problem, params, episodes, {}, rng) for one in (second, first)]
    torch.testing.assert_close(updates[0].metrics, updates[1].metrics)
    slopes = [one.direction["backbone.0.weight"] for one in updates]
    assert not torch.allclose(slopes[0], slopes[1], rtol=1e-3)


def test_a_learned_head_needs_one_number_of_classes() -> None:
    learner = MMAML(head="linear", **STEPS)
    encoder = Problem(make_module(nn.Identity(), nn.Linear(3, 6)), 6, "classification", None)
    with pytest.raises(UsageProblem, match="one number of classes"):
        learner.encoded(encoder, 0, None, shared_labels=False)
    network = learner.encoded(encoder, 0, 2, shared_labels=False)
    problem = SetProblem(network, kind="classification")
    params = {**problem.init(0, torch.float64)}
    params |= learner.init(problem, params)[0]
    episodes = sets()
    found = learner.respond(problem, params, episodes, together(episodes.roles)).logits
    assert found.shape == (1, 3, 3, 2)
    assert bool(torch.isfinite(found).all())


def test_contexts_are_for_columns() -> None:
    encoder = Problem(make_module(nn.Identity(), nn.Linear(3, 6)), 6, "classification", None)
    with pytest.raises(UsageProblem, match="mcavia learns sets of regressions"):
        MCAVIA().encoded(encoder, 0, None, shared_labels=False)


@pytest.mark.parametrize("learner", [MMAML(**STEPS), Coupled(embedding=4, **STEPS)])
def test_a_task_with_fewer_classes_than_others_is_answered_as_by_itself(
    learner: ClassSetLearner,
) -> None:
    problem, params = start(learner)
    support, query, roles, ways = sets(ways=3)
    assert support.mask is not None
    assert ways is not None
    mask, number = support.mask.clone(), ways.clone()
    mask[:, 1, 4:], number[:, 1] = False, 2  # of the second task the third class is no class
    y = torch.where(mask, support.y, torch.nan)
    few = SetEpisode(Batch(support.x, y, mask), query, roles, number)
    apart = learner.respond(problem, params, few, alone(roles)).logits
    one = part_of(few, torch.tensor([1]))
    found = learner.respond(problem, params, one, together(one.roles)).logits
    torch.testing.assert_close(found[..., :2], apart[:, [1], :, :2])


def test_sets_without_classes_have_no_accuracy() -> None:
    episodes, score = sets(), torch.tensor(0.5)
    assert episodes.ways is not None
    assert set(accuracies(episodes, score)) == {"query_accuracy"}
    assert accuracies(episodes._replace(ways=torch.zeros_like(episodes.ways)), score) == {}
