"""One battery for every few-shot learner of the table: a new line is covered without a line here.

What each case is: an entry of the table, a kind of task that it takes, and a normalisation.
"""

from __future__ import annotations

import ast
import dataclasses
import inspect
import itertools
import json
import textwrap
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch
import toys

import metacli.algorithms
from metacli.algorithms import ALGORITHMS, names
from metacli.algorithms.meta.gradient_learner import DescentLearner, GradientLearner
from metacli.algorithms.meta.maml import MAML
from metacli.engine.events import ignore
from metacli.engine.models import folder as models
from metacli.engine.models.inputs import InputSpec
from metacli.engine.models.model import AdaptedModel, FewShotModel
from metacli.engine.models.networks import make_problem, restore_learner
from metacli.engine.training import loop
from metacli.engine.training.options import make_learner
from metacli.engine.training.problems import Problems
from metacli.nn.problem import Problem
from metacli.schema.blocks import Named, Train
from metacli.schema.few_shot import FewShotRecipe
from metacli.schema.load import Loaded
from metacli.types import Batch, Episode, Params, State, Update

pytestmark = pytest.mark.usefixtures("one_thread")
WAY = 3
# Files beside the algorithms that hold no algorithm.
HELPERS = {
    "entry.py",
    "__init__.py",
    "meta/__init__.py",
    "meta/episodic.py",
    "meta/gradient_learner.py",
    "meta/inner.py",
    "meta/minibatches.py",
    "meta_multitask/__init__.py",
    "meta_multitask/base.py",
    "meta_multitask/noise.py",
    "meta_multitask/one_trunk.py",
    "meta_multitask/class_sets.py",
    "meta_multitask/class_steps.py",
    "meta_multitask/protocol.py",
    "meta_multitask/steps.py",
    "multitask/__init__.py",
    "multitask/meta.py",
    "multitask/method.py",
    "multitask/balancing.py",
    "multitask/relatedness.py",
    "multitask/surgery/__init__.py",
    "multitask/surgery/gram.py",
    "multitask/weighting/__init__.py",
    "checks.py",
    "learner.py",
    "transfer/__init__.py",
    "transfer/descent.py",
    "transfer/leep.py",
    "transfer/logme.py",
    "transfer/transfer.py",
}
# Fields with which a learner gets somewhere in ten steps of a toy, where its defaults do not.
FIELDS: dict[str, dict[str, Any]] = {
    "reptile": {"inner_lr": 0.01},
}
STEPS = {"relationnet": 60, "maml-adam": 60, "tables-prior": 60}
RATES = {"relationnet": 0.01, "tables-prior": 0.003}  # larger ones saturate sigmoids, attention


@dataclass(frozen=True)
class Case:
    """One learner on one kind of task."""

    name: str
    kind: str
    norm: str

    def __str__(self) -> str:
        return f"{self.name}-{self.kind}-{self.norm}"

    @property
    def recipe(self) -> FewShotRecipe:
        picture = self.kind == "classification"
        conv4 = {"name": "conv4", "width": 8, "norm": self.norm}
        return FewShotRecipe.model_validate(
            {
                "kind": "meta",
                "data": {"source": "glyphs" if picture else "sinusoid"},
                "episodes": {"way": WAY if picture else 1, "shot": 2, "query": 2},
                "backbone": conv4 if picture else {"name": "mlp", "hidden": [8, 8]},
                "algorithm": {
                    "name": self.name,
                    **ALGORITHMS[self.name].preset,
                    **FIELDS.get(self.name, {}),
                },
                "train": {"steps": 10, "chunk": 1},
            }
        )

    @property
    def inputs(self) -> InputSpec:
        if self.kind == "regression":
            return InputSpec("numbers", (1,))
        return InputSpec("image", (1, toys.SIDE, toys.SIDE), invert=True)

    @property
    def learner(self) -> Any:
        return restore_learner(self.recipe)

    @property
    def problem(self) -> Problem:
        way = self.recipe.episodes.way
        assert isinstance(way, int)
        return make_problem(self.recipe, self.learner, self.inputs, way)

    def start(self, dtype: torch.dtype = torch.float64) -> tuple[Any, Problem, Params, State]:
        """Learner, problem, θ with the learner's own numbers, and its memory."""
        learner, problem = self.learner, self.problem
        params = toys.shaken(problem, dtype=dtype)
        own, state = learner.init(problem, params)
        return learner, problem, {**params, **own}, state

    def episodes(self, tasks: int = 2, *, seed: int = 0, dtype: Any = torch.float64) -> Episode:
        if self.kind == "classification":
            return toys.pictures(tasks, WAY, seed=seed)
        return toys.each_tensor(lambda v: v.to(dtype), toys.waves(tasks, seed=seed))


def cases() -> list[Case]:
    found = []
    for name in names("meta"):
        learner = ALGORITHMS[name].learner()
        for kind in learner.kinds:
            norms = ["group", "batch"] if kind == "classification" else ["none"]
            if kind == "classification" and learner.running_statistics:
                norms.append("running")
            found += [Case(name, kind, norm) for norm in norms]
    return found


CASES = cases()
every_case = pytest.mark.parametrize(
    "case",
    [
        # Group norm has no statistics, as no norm has none: batch norm is where learners differ.
        pytest.param(case, marks=[pytest.mark.slow] if case.norm == "group" else [], id=str(case))
        for case in CASES
    ],
)


def direction(
    case: Case, episodes: Episode, dtype: torch.dtype = torch.float64, **cut: Any
) -> Update:
    learner, problem, params, state = case.start(dtype)
    cut_problem = dataclasses.replace(problem, **cut)
    return learner.direction(cut_problem, params, episodes, state, toys.rng(7))


def test_the_table_is_not_empty_and_every_entry_has_a_case() -> None:
    assert {case.name for case in CASES} == set(names("meta"))
    assert len(CASES) > 4


def test_every_algorithm_file_is_in_the_table() -> None:
    root = Path(metacli.algorithms.__file__).parent
    files = {path.relative_to(root).as_posix() for path in root.rglob("*.py")}
    assert files >= HELPERS  # a helper that is gone is taken off the list
    listed = {entry.module.replace(".", "/") + ".py" for entry in ALGORITHMS.values()}
    assert files - HELPERS == listed


@pytest.mark.parametrize("name", list(ALGORITHMS))
def test_a_preset_names_fields_of_its_class_and_summary_is_a_line(name: str) -> None:
    entry = ALGORITHMS[name]
    fields = {field.name for field in dataclasses.fields(entry.load())}
    assert set(entry.preset) <= fields
    assert entry.module.startswith(f"{entry.family.replace('-', '_')}.")
    assert entry.summary
    assert "\n" not in entry.summary


@pytest.mark.parametrize("name", names("meta"))
def test_a_resolved_algorithm_block_is_read_back_as_the_same_learner(name: str) -> None:
    problems = Problems(Loaded(CASES[0].recipe, "battery", None, "", "battery"))
    learner = make_learner(Named(name=name), problems)
    options = json.loads(json.dumps(dataclasses.asdict(learner)))
    assert make_learner(Named(name=name, **options), problems) == learner
    assert problems.found == []


@every_case
def test_direction_has_the_names_and_shapes_of_what_is_learned(case: Case) -> None:
    learner, problem, params, state = case.start()
    own, _ = learner.init(problem, params)
    update = learner.direction(problem, params, case.episodes(), state, toys.rng())
    learned = problem.trainable | frozenset(own)
    assert set(update.direction) <= learned <= {*update.direction, *update.replace}
    assert problem.trainable <= set(update.direction)
    assert all(v.shape == params[n].shape for n, v in update.direction.items())
    assert all(update.replace[n].shape == params[n].shape for n in update.replace)
    assert not set(update.replace) & set(update.direction)
    assert all(value.shape == () for value in update.metrics.values())


@every_case
def test_direction_is_finite_and_detached(case: Case) -> None:
    update = direction(case, case.episodes())
    tensors = [*update.direction.values(), *update.replace.values(), *update.metrics.values()]
    assert all(bool(torch.isfinite(value).all()) for value in tensors)
    assert not any(value.requires_grad for value in tensors)
    assert any(bool((value != 0).any()) for value in update.direction.values())


@every_case
def test_direction_leaves_its_inputs_as_they_were(case: Case) -> None:
    learner, problem, params, state = case.start()
    episodes = case.episodes()
    before = toys.copied((params, episodes.support, episodes.query, state))
    module = toys.copied(dict(problem.module.state_dict()))
    learner.direction(problem, params, episodes, state, toys.rng())
    toys.assert_bits(params, before[0])
    for now, then in zip(episodes, before[1:3], strict=True):
        assert torch.equal(now.x, then.x)
        assert torch.equal(now.y, then.y)
    assert state == before[3]
    assert not any(value.requires_grad or value.grad is not None for value in params.values())
    toys.assert_bits(dict(problem.module.state_dict()), module)


@every_case
def test_the_same_seed_gives_the_same_bits(case: Case) -> None:
    torch.manual_seed(1)
    first = direction(case, case.episodes())
    torch.manual_seed(2)  # nothing may draw from the global stream
    second = direction(case, case.episodes())
    toys.assert_bits(second.direction, first.direction)
    toys.assert_bits(second.metrics, first.metrics)


@pytest.mark.slow
@every_case
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
def test_dtype_is_kept(case: Case, dtype: torch.dtype) -> None:
    episodes = case.episodes(dtype=dtype)
    update = direction(case, episodes, dtype)
    assert {v.dtype for v in (*update.direction.values(), *update.replace.values())} == {dtype}
    learner, problem, params, state = case.start(dtype)
    support, query = toys.task(episodes)
    adapted = learner.adapt(problem, params, support, state)
    assert {value.dtype for value in adapted.values()} == {dtype}
    assert learner.predict(problem, adapted, query.x).dtype == dtype


@every_case
def test_chunk_does_not_matter(case: Case) -> None:
    episodes = case.episodes(3)
    one = direction(case, episodes)
    for chunk in (2, 8):
        other = direction(case, episodes, chunk=chunk)
        toys.assert_same(other.direction, one.direction)
        toys.assert_same(other.metrics, one.metrics)
        toys.assert_same(other.replace, one.replace)


def score(case: Case, learner: Any, snapshot: loop.Snapshot, episodes: Episode) -> float:
    """The loss of what would be deployed, on the queries of the tasks it is trained on."""
    problem, losses = case.problem, []
    for index in range(len(episodes.query.y)):
        support, query = toys.task(episodes, index)
        adapted = learner.adapt(problem, snapshot.params, support, snapshot.state)
        losses.append(problem.loss(learner.predict(problem, adapted, query.x), query))
    return float(torch.stack(losses).mean())


@every_case
@pytest.mark.slow
def test_the_loss_of_a_toy_falls_in_a_few_steps(case: Case) -> None:
    learner, problem, params, state = case.start()
    own, _ = learner.init(problem, params)
    episodes = case.episodes(2)
    steps = STEPS.get(case.name, 10)
    steps = max(
        steps, 30 if case.norm == "running" else 10
    )  # those statistics follow a tenth at a time
    begin = loop.Snapshot(0, params, state, {})
    end = loop.train(
        learner,
        problem,
        lambda step: episodes,
        Train(steps=steps, meta_batch=2, lr=RATES.get(case.name, 0.03)),
        begin,
        learned=problem.trainable | frozenset(own),
        seed=0,
        every=1000,
        visit=lambda snapshot: None,
        stop=lambda: False,
        report=ignore,
    )
    assert score(case, learner, end, episodes) < 0.8 * score(case, learner, begin, episodes)


def adapted_on(case: Case) -> tuple[Any, Problem, Params, Batch]:
    """A learner that has adapted to one task, and that task's query."""
    learner, problem, params, state = case.start()
    support, query = toys.task(case.episodes(1))
    return learner, problem, learner.adapt(problem, params, support, state), query


@every_case
def test_predict_answers_row_by_row_in_any_order_and_batch_size(case: Case) -> None:
    learner, problem, adapted, query = adapted_on(case)
    whole = learner.predict(problem, adapted, query.x)
    assert len(whole) == len(query.x) >= 6
    order = torch.tensor([3, 1, 5, 0, 4, 2])
    cuts = {
        "one by one": [learner.predict(problem, adapted, query.x[i : i + 1]) for i in range(6)],
        "in threes": [learner.predict(problem, adapted, query.x[i : i + 3]) for i in (0, 3)],
        "reversed": [learner.predict(problem, adapted, query.x.flip(0)).flip(0)],
        "shuffled": [learner.predict(problem, adapted, query.x[order])[order.argsort()]],
    }
    for rows in cuts.values():
        torch.testing.assert_close(torch.cat(rows), whole, rtol=0, atol=1e-10)


@every_case
def test_adapt_and_predict_leave_their_inputs_as_they_were(case: Case) -> None:
    learner, problem, params, state = case.start()
    support, query = toys.task(case.episodes(1))
    before = toys.copied((params, support, query, state))
    adapted = learner.adapt(problem, params, support, state)
    kept = toys.copied(adapted)
    learner.predict(problem, adapted, query.x)
    toys.assert_bits(params, before[0])
    toys.assert_bits(adapted, kept)
    for now, then in zip((support, query), before[1:3], strict=True):
        assert torch.equal(now.x, then.x)
        assert torch.equal(now.y, then.y)
    assert state == before[3]


@every_case
def test_adapt_is_deterministic_and_the_same_without_recording_gradients(case: Case) -> None:
    learner, problem, params, state = case.start()
    support = toys.task(case.episodes(1)).support
    first = learner.adapt(problem, params, support, state)
    with torch.no_grad():
        second = learner.adapt(problem, params, support, state)
    toys.assert_bits(second, first)
    assert not any(value.requires_grad for value in first.values())


@every_case
def test_adaptation_takes_from_the_support_alone_and_uses_it(case: Case) -> None:
    learner, problem, params, state = case.start()
    (one, query), (other, _) = (toys.task(case.episodes(1, seed=seed)) for seed in (0, 1))
    found = [
        learner.predict(problem, learner.adapt(problem, params, support, state), query.x)
        for support in (one, other)
    ]
    assert float((found[0] - found[1]).abs().max()) > 1e-6
    assert found[0].shape == (len(query.x), WAY if case.kind == "classification" else 1)


@every_case
def test_path_ends_where_adapt_does(case: Case) -> None:
    learner, problem, params, state = case.start()
    if not learner.has_path:
        assert not any(field.name == "inner_steps" for field in dataclasses.fields(learner))
        return
    support = toys.task(case.episodes(1)).support
    path = learner.path(problem, params, support, state)
    assert len(path) == learner.inner_steps + 1
    toys.assert_bits(path[-1], learner.adapt(problem, params, support, state))


@pytest.mark.parametrize(
    "case",
    [case for case in CASES if case.learner.any_way and case.kind == "classification"],
    ids=str,
)
def test_a_learner_of_any_way_adapts_to_other_numbers_of_classes(case: Case) -> None:
    learner, problem, params, state = case.start()
    for way, shot in itertools.product((2, 5), (1, 3)):
        support, query = toys.task(toys.pictures(1, way, shot))
        adapted = learner.adapt(problem, params, support, state)
        assert learner.predict(problem, adapted, query.x).shape == (len(query.x), way)


@every_case
def test_a_saved_learner_is_opened_again(case: Case, tmp_path: Path) -> None:
    _, _, params, state = case.start(torch.float32)
    way = WAY if case.kind == "classification" else 1
    made = FewShotModel(case.recipe, params, state, case.inputs, case.kind, way)
    models.save(made, tmp_path / "model")
    back = models.load(tmp_path / "model")
    toys.assert_bits(back.params, params)


@every_case
def test_a_saved_model_predicts_the_same_bits(case: Case, tmp_path: Path) -> None:
    learner, problem, adapted, query = adapted_on(case)
    _, _, _, state = case.start()
    classes = ("ant", "bee", "cow") if case.kind == "classification" else None
    made = AdaptedModel(
        recipe=case.recipe,
        params=adapted,
        state=state,
        inputs=case.inputs,
        kind=case.kind,
        way=WAY if classes else 1,
        classes=classes,
        scores={"accuracy": 0.5},
        provenance={"seed": 3},
    )
    models.save(made, tmp_path / "model")
    back = models.load(tmp_path / "model")
    assert dataclasses.replace(back, params={}) == dataclasses.replace(made, params={})
    toys.assert_bits(back.params, adapted)
    again = back.learner().predict(back.problem(), back.params, query.x)
    assert torch.equal(again, learner.predict(problem, adapted, query.x))


GRADIENT_LEARNERS = sorted(
    {
        cls
        for cls in (ALGORITHMS[name].load() for name in names("meta"))
        if issubclass(cls, GradientLearner)
    },
    key=lambda cls: cls.__name__,
)


@pytest.mark.parametrize("cls", GRADIENT_LEARNERS, ids=lambda cls: cls.__name__)
def test_a_gradient_learner_is_its_equations(cls: type) -> None:
    """Nothing that the base does is done again, and what is no equation is five lines at most."""
    tree = ast.parse(textwrap.dedent(inspect.getsource(cls))).body[0]
    assert isinstance(tree, ast.ClassDef)
    written = {one.name: one for one in tree.body if isinstance(one, ast.FunctionDef)}
    bases = {GradientLearner, DescentLearner} & set(cls.__mro__)
    equations = {"rule"} if DescentLearner in bases else {"inner", "direction"}
    assert equations <= set(written)
    done = {name for base in bases for name, one in vars(base).items() if callable(one)}
    warm_up = {"direction"} if cls is MAML else set()
    assert not (done - equations - warm_up) & set(written)
    assert GradientLearner.__abstractmethods__ == {"inner", "direction"}
    assert DescentLearner.__abstractmethods__ == {"rule"}
    if "direction" in equations and "query_update" in ast.unparse(written["direction"]):
        body = written["direction"]
        assert body.end_lineno is not None
        assert body.end_lineno - body.lineno + 1 <= 5
