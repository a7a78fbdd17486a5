"""Training divided over ranks: the same directions, scores and ends as one process has."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import toys
from threads_team import on_ranks, team_of

from metacli.algorithms.meta.maml import MAML
from metacli.algorithms.meta.maml_plus_plus import MAMLPlusPlus
from metacli.algorithms.meta.pretrain import Pretrain
from metacli.algorithms.meta.protonet import ProtoNet
from metacli.algorithms.meta.r2d2 import R2D2
from metacli.algorithms.meta.reptile import Reptile
from metacli.algorithms.multitask.balancing import Surgery, Weighting
from metacli.algorithms.multitask.meta import MetaWeighted
from metacli.algorithms.multitask.method import MultiTask
from metacli.algorithms.multitask.surgery.mgda import MGDA
from metacli.algorithms.multitask.surgery.pcgrad import PCGrad
from metacli.algorithms.multitask.weighting.auto_lambda import AutoLambda
from metacli.algorithms.multitask.weighting.equal import Equal
from metacli.algorithms.multitask.weighting.gradnorm import GradNorm
from metacli.algorithms.multitask.weighting.uncertainty import Uncertainty
from metacli.autodiff import slice_tasks
from metacli.engine.evaluate import evaluate
from metacli.engine.events import ignore
from metacli.engine.models.opening import open_model
from metacli.engine.ranks.launched import Launch, launched, require_divided
from metacli.engine.ranks.scores import TeamValues
from metacli.engine.ranks.team import PeerLost, Team, joined
from metacli.engine.results.evaluate import EpisodeEvaluation
from metacli.engine.scoring.episode_evaluate import evaluate_episodes
from metacli.engine.scoring.request import EpisodeOptions, Request
from metacli.engine.training.dropping import StepDropped
from metacli.engine.training.few_shot.divided import DividedTasks, require_divisible
from metacli.errors import EnvironmentProblem, UsageProblem
from metacli.nn.multi_task import RowShare, TaskProblem
from metacli.nn.sharing import SHARING
from metacli.types import Batch, Episode, Update

pytestmark = pytest.mark.usefixtures("workplace")
TASKS = 5  # no multiple of the ranks
LEARNERS = {
    "maml": MAML(inner_lr=0.1, inner_steps=2),
    "fomaml": MAML(inner_lr=0.1, inner_steps=2, first_order=True, head="proto"),
    "maml-plus-plus": MAMLPlusPlus(inner_steps=2),
    "reptile": Reptile(inner_steps=2),
    "protonet": ProtoNet(),
    "r2d2": R2D2(),
}


def same(found: Update, wanted: Update, atol: float = 1e-12) -> None:
    for one, other in zip(found[:1] + found[2:], wanted[:1] + wanted[2:], strict=True):
        toys.assert_same(one, other, atol=atol)
    assert found.state.keys() == wanted.state.keys()
    for key, value in wanted.state.items():
        assert found.state[key] == pytest.approx(value, rel=1e-12, abs=atol)


# Few-shot


@pytest.mark.parametrize(("chunk", "ranks"), [(1, 3), (4, 2)])
@pytest.mark.parametrize("name", LEARNERS)
def test_the_direction_of_all_ranks_is_that_of_one_process(
    name: str, chunk: int, ranks: int
) -> None:
    learner, episodes = LEARNERS[name], toys.pictures(TASKS)
    way = learner.head_size(3)
    problem = toys.conv_problem(way, width=8, chunk=chunk)
    params = toys.shaken(problem)
    own, state = learner.init(problem, params)
    params |= own
    step = lambda learner, part: learner.direction(problem, params, part, state, toys.rng())  # noqa: E731

    def work(team: Team) -> Update:
        return step(DividedTasks(learner, team, TASKS), slice_tasks(episodes, *team.share(TASKS)))

    first, *others = on_ranks(work, ranks)
    same(first, step(learner, episodes))
    for other in others:  # not only close: the ranks would drift apart
        toys.assert_bits(other.direction, first.direction)
    toys.assert_bits(on_ranks(work, ranks)[0].direction, first.direction)


def test_what_no_division_gives_the_same_result_for_is_refused() -> None:
    plain, running = toys.conv_problem(3), toys.conv_problem(None, norm="running")
    with pytest.raises(UsageProblem, match="one step on all examples"):
        require_divisible(Pretrain(), plain, 4, 2)
    with pytest.raises(UsageProblem, match="running statistics"):
        require_divisible(ProtoNet(), running, 4, 2)
    with pytest.raises(UsageProblem, match="meta_batch=1: too few tasks") as caught:
        require_divisible(ProtoNet(), plain, 1, 2)
    assert caught.value.hint == "train.meta_batch=2 or more"
    require_divisible(ProtoNet(), plain, 2, 2)


# Multi-task


def rows(*, masked: bool, seed: int = 0) -> Batch:
    """[T, M, D] with a task of three rows, a classification among regressions."""
    rng = toys.rng(seed)
    x = torch.randn(3, 7, 4, generator=rng, dtype=torch.float64)
    y = torch.randn(3, 7, generator=rng, dtype=torch.float64)
    y[1] = (y[1] > 0).double()
    mask = torch.arange(7) < torch.tensor([[7], [3], [6]])
    return Batch(x, y, mask if masked else None)


METHODS: dict[str, tuple[str, Weighting, Surgery | None]] = {
    "hard-uncertainty": ("hard", Uncertainty(), None),
    "hard-gradnorm": ("hard", GradNorm(), None),
    "mmoe-pcgrad": ("mmoe", Equal(), PCGrad()),
    "hard-mgda": ("hard", Equal(), MGDA()),
    "ple": ("ple", Equal(), None),
    "auto-lambda": ("hard", AutoLambda(), None),
}


@pytest.mark.parametrize("masked", [True, False])
@pytest.mark.parametrize("name", METHODS)
def test_losses_of_divided_rows_give_the_direction_of_whole_ones(name: str, masked: bool) -> None:
    sharing, weighting, surgery = METHODS[name]
    problem = TaskProblem(SHARING[sharing]()(), (4, 6), (False, True, False))
    method: Any = MultiTask(weighting=weighting, surgery=surgery)
    batch: Any = rows(masked=masked)
    if isinstance(weighting, AutoLambda):
        method, batch = (
            MetaWeighted(weighting=weighting),
            Episode(batch, rows(masked=masked, seed=1)),
        )
    params = {key: value.double() for key, value in problem.init(0).items()}
    own, state = method.init(problem, params)
    params |= {key: value.double() for key, value in own.items()}

    def step(problem: TaskProblem) -> Update:
        return method.direction(problem, params, batch, state, toys.rng())

    def work(team: Team) -> Update:
        share = RowShare(team.rank, team.size, team.add)
        return step(TaskProblem(problem.sharing, problem.sizes, problem.binary, share=share))

    first, other = on_ranks(work)
    same(first, step(problem))
    toys.assert_bits(other.direction, first.direction)
    assert other.state == first.state


def test_every_row_is_in_one_share() -> None:
    batch = rows(masked=True)
    parts = [RowShare(rank, 3, torch.clone).of(batch) for rank in range(3)]
    assert sum(part.y.shape[1] for part in parts) == 7
    counts = torch.stack([part.mask.sum(1) for part in parts if part.mask is not None]).sum(0)
    assert counts.tolist() == [7, 3, 6]
    assert parts[1].x[0, 0].tolist() == batch.x[0, 1].tolist()


# What ranks tell each other


@pytest.mark.parametrize(("total", "unit"), [(5, 1), (2, 1), (120, 50), (30, 50), (1, 1)])
def test_shares_are_whole_units_and_cover_everything_once(total: int, unit: int) -> None:
    shares = [Team(rank, 3).share(total, unit) for rank in range(3)]
    assert [at for first, last in shares for at in range(first, last)] == list(range(total))
    assert all(first % unit == 0 for first, last in shares if first < last)


def test_scores_of_all_ranks_are_joined_in_order() -> None:
    square = lambda first, last: np.arange(first, last) ** 2.0  # noqa: E731
    found = on_ranks(lambda team: team.collected(square, 120, 50), 3)
    assert all((one == np.arange(120) ** 2.0).all() for one in found)
    assert (Team().collected(square, 4) == np.array([0, 1, 4, 9])).all()


def test_one_rank_that_is_stopped_stops_the_scores_of_all() -> None:
    def work(team: Team) -> str:
        def compute(first: int, last: int) -> np.ndarray:
            if not team.leads:
                raise StepDropped
            return np.zeros(last - first)

        try:
            team.collected(compute, 4)
        except PeerLost:
            return "lost"
        except StepDropped:
            return "stopped"
        return "done"

    assert on_ranks(work) == ["stopped", "stopped"]


def test_a_signal_of_one_rank_is_heard_by_all() -> None:
    def work(team: Team) -> tuple[bool, bool, int | None]:
        before = team.agree(None, over=False)
        return before, team.agree(15 if team.rank == 1 else None, over=False), team.heard

    assert on_ranks(work) == [(False, True, 15)] * 2
    assert Team().agree(15, over=False)
    assert not Team().agree(None, over=False)


def test_rank_0_says_what_all_of_them_use() -> None:
    assert on_ranks(lambda team: team.of_first(team.rank + 0.25)) == [0.25, 0.25]
    assert on_ranks(lambda team: team.bytes_of_first(b"run" * (2 - team.rank))) == [b"runrun"] * 2


def test_a_rank_that_leaves_is_missed_unless_it_may_end() -> None:
    def work(team: Team, excused: bool) -> tuple[bool, bool]:
        team.excused = lambda: excused
        if team.rank == 1:
            team.leave()
        ended = team.agree(None, over=False)
        return ended, team.lost

    assert on_ranks(lambda team: work(team, False))[0] == (True, True)
    assert on_ranks(lambda team: work(team, True))[0] == (True, False)


def test_a_failed_step_leaves_the_team() -> None:
    first, second = team_of(2)

    class Fails(ProtoNet):
        def direction(self, *given: Any) -> Update:
            raise ValueError("bad")

    problem = toys.conv_problem(None)
    with pytest.raises(ValueError, match="bad"):
        DividedTasks(Fails(), first, 2).direction(problem, {}, toys.pictures(1), {}, toys.rng())
    with pytest.raises(PeerLost):
        second.add(torch.zeros(2))
    assert second.lost


def test_an_evaluation_by_ranks_has_every_score_of_one_process(finished: Path) -> None:
    asked = {"episodes": 7, "way": 3, "query": 2, "device": "cpu"}
    whole = evaluate(finished, out="whole.jsonl", **asked)
    opened = open_model(str(finished), torch.device("cpu"), ignore)
    wanted = EpisodeOptions(way=3, query=2, episodes=7)

    def work(team: Team) -> EpisodeEvaluation:
        out = Path(f"rank-{team.rank}.jsonl").absolute()
        request = Request(str(finished), wanted=wanted, out=out, values=TeamValues(team))
        return evaluate_episodes(opened, request)  # type: ignore[arg-type]

    # Fresh parameters are drawn from torch's global generator, which threads share and processes do
    # not: what an untrained model scores is left out.
    def kept(found: EpisodeEvaluation) -> dict[str, Any]:
        pixels = found["baselines"]["pixels"]  # type: ignore[index]
        return {**found.as_dict(), "scores": None, "baselines": pixels}

    for result in on_ranks(work):
        assert kept(result) == kept(whole)  # type: ignore[arg-type]


# How they are started


def test_the_rank_is_read_from_the_variables_of_torchrun(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("RANK", "WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT", "LOCAL_RANK"):
        monkeypatch.delenv(name, raising=False)
    assert launched() == Launch(0, 1, 0)
    for name, value in (("RANK", "3"), ("WORLD_SIZE", "4"), ("LOCAL_RANK", "1")):
        monkeypatch.setenv(name, value)
    assert launched() == Launch()  # somebody else's variables
    monkeypatch.setenv("MASTER_ADDR", "localhost")
    monkeypatch.setenv("MASTER_PORT", "1")
    assert launched() == Launch(3, 4, 1)
    monkeypatch.setenv("RANK", "4")
    with pytest.raises(UsageProblem, match="4 of WORLD_SIZE 4"):
        launched()
    monkeypatch.setenv("RANK", "first")
    with pytest.raises(UsageProblem, match="wanted numbers"):
        launched()


def test_a_command_that_is_not_divided_is_refused() -> None:
    with pytest.raises(UsageProblem, match="predict is not divided"):
        require_divided("predict", Launch(0, 2))
    require_divided("predict", Launch())
    require_divided("meta-train", Launch(1, 2))


def test_a_program_with_a_process_group_of_its_own_is_told_so(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(torch.distributed, "is_initialized", lambda: True)
    with pytest.raises(EnvironmentProblem, match="initialised already"), joined(Launch(0, 2)):
        pass
    with joined(Launch()) as team:  # alone there is nothing to join
        assert (team.rank, team.size) == (0, 1)
