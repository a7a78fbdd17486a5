"""Sets of classifications: joint against separate adaptation, class means and the arms of
`evaluate`, as `benchmarks/protocols/class_sets.md` says: `python benchmarks/class_sets.py fsdd
[ROTATIONS]`, `... clinc150 [clinc150] [clinc150-words]`, or `... omniglot RECIPE...`.

Every training is kept in `$METACLI_RUNS` (default `runs/class-sets`), and one that was stopped is
done again; finished ones are not. Processor seconds are counted, in one thread. Results:
`benchmarks/results/class_sets/`.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from metacli.algorithms.meta_multitask.mreptile import MReptile
from metacli.algorithms.meta_multitask.protocol import ClassSetLearner, alone, together
from metacli.autodiff import gradient
from metacli.data.sets.classes import ClassSets
from metacli.engine.events import Event
from metacli.engine.scoring.intervals import over_episodes, paired_t
from metacli.engine.sets.arms.class_answers import ClassArms
from metacli.engine.sets.arms.class_tuning import ClassTuning
from metacli.engine.sets.arms.names import JOINT, MULTI_TASK, SEPARATE, SINGLE_TASK, TRAINED
from metacli.engine.sets.class_build import ClassSetBuilt, build_class_sets
from metacli.engine.sets.class_model import ClassSetModel
from metacli.engine.sets.class_scoring import class_joined, class_scored
from metacli.engine.sets.class_sources import AskedSets, LabelledSets, class_source
from metacli.engine.training.loop import Snapshot, train
from metacli.nn.encoded_attention import EncodedAttention
from metacli.nn.problem import Problem
from metacli.nn.set_answers import (
    SetAnswers,
    bar_absent,
    class_hits,
    class_losses,
    classes_shown,
    membership_of,
)
from metacli.nn.set_attention import Gaussian
from metacli.nn.set_problem import SetProblem, mean_of_sets
from metacli.nn.trunk_classes import TrunkClasses
from metacli.schema.blocks import Train
from metacli.schema.load import load
from metacli.trees import pick
from metacli.types import Params, SetEpisode, State, Update

ROOT = Path(__file__).resolve().parent
RESULTS = ROOT / "results" / "class_sets"
FOLDER = Path(os.environ.get("METACLI_RUNS", "runs/class-sets"))
RATES, REPTILE = (0.001, 0.003), (0.3, 1.0)
SCRATCH_SETS = 40  # of test, on which arms are measured that are trained for every set
FOLDS, TUNED_ON = tuple(range(1, 16)), (1, 8)
FSDD = """
version: 1
kind: meta-multitask
data: {source: fsdd, size: 28}
sets: {tasks: 2, way: 3, shot: [1, 5], query: 3}
backbone: {name: conv4, width: 32}
algorithm: {name: mtnp, blocks: 2, reads: 1}
train: {steps: 240, meta_batch: 4, lr: 0.003, schedule: cosine, clip: 1.0}
evaluate: {every: 40, episodes: 64, shot: 1}
"""
CLINC = """
version: 1
kind: meta-multitask
data: {source: clinc150}
sets: {tasks: [2, 3], way: 5, shot: 1, query: 5}
backbone: {name: mlp, hidden: [128]}
algorithm: {name: mtnp, blocks: 2, reads: 1}
train: {steps: 600, meta_batch: 8, lr: 0.003, schedule: cosine, clip: 1.0}
evaluate: {every: 60, episodes: 96}
"""
CLINC_WORDS = """
version: 1
kind: meta-multitask
data: {source: clinc150, encoder: tokens}
sets: {tasks: [2, 3], way: 5, shot: 1, query: 5}
backbone: {name: words, encoder: wordllama, rank: 64}
algorithm: {name: mtnp, blocks: 2, reads: 1}
train: {steps: 200, meta_batch: 8, lr: 0.003, schedule: cosine, clip: 1.0}
evaluate: {every: 20, episodes: 96}
"""
DOMAINS = {"clinc150": CLINC, "clinc150-words": CLINC_WORDS}
CLINC_FOLDS = 5
SCRATCH = {"multi-task": MULTI_TASK, "single-task": SINGLE_TASK}


@dataclass(frozen=True)
class ClassMeans:
    """ProtoNet on sets: the nearest class mean of an encoder's features, over the examples of a
    task, and where labels are shared of all tasks that it sees."""

    alone: float = 1 / 3

    def network(self, inputs: int, roles: int) -> EncoderNet:
        raise NotImplementedError("class means are of an encoder")

    def encoded(
        self, encoder: Problem, roles: int, way: int | None, *, shared_labels: bool
    ) -> EncoderNet:
        return EncoderNet(encoder, shared_labels)

    def init(self, problem: SetProblem, params: Params) -> tuple[Params, State]:
        return {}, {}

    def direction(
        self,
        problem: SetProblem,
        params: Params,
        batch: SetEpisode,
        state: State,
        rng: torch.Generator,
    ) -> Update:
        apart = torch.rand(len(batch.roles), generator=rng) < self.alone
        sees = torch.where(apart[:, None, None], alone(batch.roles), together(batch.roles))

        def loss(moved: Params) -> tuple[Tensor, Tensor]:
            found = self.respond(problem, {**params, **moved}, batch, sees)
            assert batch.ways is not None
            value = mean_of_sets(class_losses(found, batch.query, batch.ways), batch.query.mask)
            hits = mean_of_sets(class_hits(found, batch.query), batch.query.mask)
            return value.mean(), torch.stack([value.mean(), hits.mean()])

        slopes, rest = gradient(loss, pick(params, problem.trainable))
        return Update(slopes, state, {"query_loss": rest[0], "query_accuracy": rest[1]})

    def answer(
        self, problem: SetProblem, params: Params, episodes: SetEpisode, sees: Tensor
    ) -> Gaussian:
        raise NotImplementedError("class means are of classifications")

    def variants(self) -> tuple[Mapping[str, float], ...]:
        return ({},)

    def varied(self, settings: Mapping[str, float]) -> ClassMeans:
        return self

    def respond(
        self, problem: SetProblem, params: Params, episodes: SetEpisode, sees: Tensor
    ) -> SetAnswers:
        network = problem.network
        assert isinstance(network, EncoderNet)
        support, query, _, ways = episodes
        assert ways is not None
        embed = lambda x: network.encoder.embed(params, x.flatten(0, 2), together=True)  # noqa: E731
        features = embed(support.x).unflatten(0, support.x.shape[:3])
        asked = embed(query.x).unflatten(0, query.x.shape[:3])
        member = membership_of(support, ways, int(ways.max())).to(features.dtype)
        sums, counts = member.transpose(-1, -2) @ features, member.sum(2)
        if network.shared_labels:
            seen = sees.to(features.dtype)
            sums = torch.einsum("bts,bsnd->btnd", seen, sums)
            counts = seen @ counts
        means = sums / counts.clamp(min=1)[..., None]
        logits = -(asked[:, :, :, None] - means[:, :, None]).square().sum(-1)
        shown = classes_shown(
            support, ways, sees if network.shared_labels else None, logits.shape[-1]
        )
        blank = torch.zeros_like(query.y)
        return SetAnswers(bar_absent(logits, shown), blank, blank + 1)


@dataclass(frozen=True)
class EncoderNet:
    """An encoder alone."""

    encoder: Problem
    shared_labels: bool

    def init(self, seed: int, dtype: torch.dtype = torch.float32) -> Params:
        return pick(self.encoder.init(seed, dtype), self.encoder.trainable)


@dataclass(frozen=True)
class Trained:
    """The best state of a training and what it cost."""

    learner: ClassSetLearner
    problem: SetProblem
    params: Params
    val: float
    seconds: float


def scores(
    learner: ClassSetLearner,
    problem: SetProblem,
    params: Params,
    source: LabelledSets,
    sets: int,
    seeing: Callable[[Tensor], Tensor],
) -> np.ndarray:
    """The accuracy of each set, [E]."""
    parts = []
    for step in range(-(-sets // source.meta_batch)):
        episodes = source.meta_batch_at(step)
        with torch.no_grad():
            found = learner.respond(problem, params, episodes, seeing(episodes.roles))
        parts.append(class_scored(found, episodes))
    return class_joined(parts).accuracy[:sets]


def trained(
    learner: ClassSetLearner,
    problem: SetProblem,
    sources: tuple[LabelledSets, LabelledSets],
    settings: Train,
    every: int,
    sets: int,
    stop_at: int | None = None,
) -> Trained:
    """Train and keep the best state; `stop_at` ends early, for the choice of a rate."""
    started = time.process_time()
    params = problem.init(0)
    own, state = learner.init(problem, params)
    best: list[tuple[float, Params]] = []

    def visit(snapshot: Snapshot) -> None:
        value = float(scores(learner, problem, snapshot.params, sources[1], sets, together).mean())
        if not best or value > best[0][0]:
            best[:] = [(value, {k: v.detach().clone() for k, v in snapshot.params.items()})]

    def ignore(event: Event) -> None:
        """Nobody watches."""

    steps = 0

    def stop() -> bool:
        nonlocal steps
        steps += 1
        return stop_at is not None and steps >= stop_at

    train(
        learner,
        problem,
        sources[0].meta_batch_at,
        settings,
        Snapshot(0, {**params, **own}, state, {}),
        learned=problem.trainable | frozenset(own),
        seed=0,
        every=every,
        visit=visit,
        stop=stop,
        report=ignore,
    )
    return Trained(learner, problem, best[0][1], best[0][0], time.process_time() - started)


def written(name: str, text: str) -> Path:
    path = FOLDER / f"{name}.yaml"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


Arms = dict[str, tuple[ClassSetLearner, SetProblem]]


def arms_of(built: ClassSetBuilt) -> Arms:
    """The learner of the recipe, and class means on the same encoder."""
    network = built.problem.network
    assert isinstance(network, EncodedAttention | TrunkClasses)
    shared = built.problem.shared_labels
    means = SetProblem(
        EncoderNet(network.encoder, shared), kind="classification", shared_labels=shared
    )
    return {"learner": (built.learner, built.problem), "class-means": (ClassMeans(), means)}


def rate_of(built: ClassSetBuilt, arm: str, steps: int) -> dict[float, float]:
    """The validation accuracy of each rate after so many steps."""
    learner, problem = arms_of(built)[arm]
    settings, sets = built.recipe.train, built.recipe.evaluate.episodes
    sources = built.train, built.val
    return {
        rate: trained(
            learner, problem, sources, outer(settings, learner, rate), steps, sets, stop_at=steps
        ).val
        for rate in outer_rates(learner)
    }


def outer_rates(learner: ClassSetLearner) -> tuple[float, ...]:
    """Of Adam; of Reptile the share of the way that it goes."""
    return REPTILE if isinstance(learner, MReptile) else RATES


def outer(settings: Train, learner: ClassSetLearner, rate: float) -> Train:
    """The outer loop of an arm at a rate; class means beside Reptile take Adam's steps."""
    if settings.optimizer == "sgd" and not isinstance(learner, MReptile):
        settings = settings.model_copy(
            update={"optimizer": "adam", "schedule": "cosine", "clip": 1.0}
        )
    return replaced(settings, rate)


def replaced(settings: Train, rate: float) -> Train:
    return settings.model_copy(update={"lr": rate})


def tested(
    made: Trained, sources: dict[str, LabelledSets], sets: int
) -> dict[str, dict[str, np.ndarray]]:
    """The accuracy of each test set: by source, joint and separate."""
    seeing = {"joint": together, "separate": alone}
    return {
        name: {
            how: scores(made.learner, made.problem, made.params, source, sets, sees)
            for how, sees in seeing.items()
        }
        for name, source in sources.items()
    }


def kept(name: str, make: Callable[[], dict[str, object]]) -> dict[str, object]:
    """What was made under that name before, or is made now."""
    path = FOLDER / f"{name}.json"
    if not path.is_file():
        value = make()
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(value))
    found: dict[str, object] = json.loads(path.read_text())
    return found


@dataclass(frozen=True)
class Compared:
    """What the arms of `evaluate` reached.

    Args:
        values: the accuracy of each test set by arm; of arms from scratch the first ones. chosen:
            the settings of each, and their validation accuracy.
    """

    values: dict[str, np.ndarray]
    chosen: dict[str, object]
    seconds: dict[str, float]


def arms_of_evaluate(
    built: ClassSetBuilt, made: Trained, source: LabelledSets, sets: int, tuning: ClassTuning
) -> Compared:
    """The arms that are trained, and joint and separate adaptation with chosen steps."""
    started = time.process_time()
    tuned = tuning.tuned()
    seconds = {"tuning": time.process_time() - started}
    model = ClassSetModel(built.recipe, made.params, {}, built.facts)
    arms = ClassArms(model, tuned)
    values = {}
    for arm in arms.names:
        started, parts = time.process_time(), []
        asked = SCRATCH_SETS if arm in SCRATCH.values() else sets
        for step in range(-(-asked // source.meta_batch)):
            episodes = source.meta_batch_at(step)
            parts.append(class_scored(arms.answer(arm, episodes, 1), episodes))
        values[arm] = class_joined(parts).accuracy[:asked]
        seconds[arm] = time.process_time() - started
    chosen = tuned.choices.model_dump(mode="json", exclude_none=True)["arms"]
    return Compared(values, chosen, seconds)


def tuning_of(
    built: ClassSetBuilt, made: Trained, sets: int, steps: tuple[int, ...]
) -> ClassTuning:
    """On `sets` validation sets, 1-shot; the trunk has half or all of the learner's steps."""

    def validation(shot: int) -> SetEpisode:
        asked = AskedSets(size=shot, seed=2, group=sets)
        return class_source(built.recipe, "val", asked).meta_batch_at(0)

    assert isinstance(built.train, ClassSets)
    whole = built.recipe.train.steps
    return ClassTuning(
        learner=built.learner,
        problem=built.problem,
        params=made.params,
        points=(1,),
        validation=validation,
        training=built.train,
        steps=steps,
        trunk_steps=(whole // 2, whole),
    )


def learned(built: ClassSetBuilt, arm: str, rate: float) -> Trained:
    """One arm trained as the recipe says, at a rate."""
    learner, problem = arms_of(built)[arm]
    recipe = built.recipe
    return trained(
        *(learner, problem, (built.train, built.val), outer(recipe.train, learner, rate)),
        *(recipe.evaluate.every, recipe.evaluate.episodes),
    )


def clinc_built(name: str, fold: int) -> ClassSetBuilt:
    text = DOMAINS[name].replace("source: clinc150", f"source: clinc150, fold: {fold}")
    return build_class_sets(load(str(written(f"{name}-{fold}", text))))


def clinc_fold(name: str, fold: int, rates: dict[str, float]) -> dict[str, object]:
    """All arms of one fold."""
    built = clinc_built(name, fold)
    source = class_source(built.recipe, "test", AskedSets(3, 1, 5, group=10))
    values: dict[str, np.ndarray] = {}
    found: dict[str, object] = {"fold": fold}
    for arm, rate in rates.items():
        made = learned(built, arm, rate)
        for how, each in tested(made, {"1-shot": source}, 200)["1-shot"].items():
            values[f"{arm}/{how}"] = each
        found[arm] = {"val": made.val, "seconds": made.seconds}
        if arm == "learner":
            tuning = tuning_of(built, made, 8, (25, 50, 100, 200))
            more = arms_of_evaluate(built, made, source, 200, tuning)
            values |= {name: one for name, one in more.values.items() if name in TRAINED}
            found |= {"chosen": more.chosen, "seconds": more.seconds}
    joint = values["learner/joint"]
    found["accuracy"] = {name: float(each.mean()) for name, each in values.items()}
    found["joint there"] = {name: float(joint[: len(each)].mean()) for name, each in values.items()}
    return found


def clinc(features: str) -> dict[str, object]:
    """The five folds, and the table over them; `features` is a name of `DOMAINS`."""

    def chosen() -> dict[str, object]:
        built = clinc_built(features, 1)
        steps = built.recipe.train.steps // 5
        return {arm: as_text(rate_of(built, arm, steps)) for arm in arms_of(built)}

    rates = kept(f"{features}-rates", chosen)
    best = {
        arm: max(RATES, key=lambda one: float(str(each[str(one)])))  # type: ignore[index]
        for arm, each in rates.items()
    }
    folds = [
        kept(f"{features}-fold-{fold}", lambda f=fold: clinc_fold(features, f, best))  # type: ignore[misc]
        for fold in range(1, CLINC_FOLDS + 1)
    ]
    names = list(folds[0]["accuracy"])  # type: ignore[call-overload]
    values = {name: np.array([one["accuracy"][name] for one in folds]) for name in names}  # type: ignore[index]
    joint = {name: np.array([one["joint there"][name] for one in folds]) for name in names}  # type: ignore[index]
    return {
        "recipe": DOMAINS[features],
        "rates": rates,
        "arms": {name: estimate(each) for name, each in values.items()},
        "joint minus": {
            name: difference(joint[name] - each)
            for name, each in values.items()
            if name != "learner/joint"
        },
        "folds": folds,
    }


def fsdd_built(fold: int) -> ClassSetBuilt:
    text = FSDD.replace("source: fsdd", f"source: fsdd, fold: {fold}")
    return build_class_sets(load(str(written(f"fsdd-{fold}", text))))


def fsdd_rates() -> dict[str, object]:
    """The rate of each arm, by the mean validation accuracy over two rotations."""
    found: dict[str, object] = {}
    for arm in ("learner", "class-means"):
        each = [rate_of(fsdd_built(fold), arm, 100) for fold in TUNED_ON]
        means = {rate: sum(one[rate] for one in each) / len(each) for rate in RATES}
        found[arm] = {"rate": max(means, key=lambda rate: means[rate]), "val": list(means.values())}
    return found


def fsdd_fold(fold: int, rates: dict[str, float]) -> dict[str, object]:
    """All arms of one rotation."""
    built = fsdd_built(fold)
    recipe = built.recipe
    sources = {
        f"{shot}-shot": class_source(recipe, "test", AskedSets(size=shot, query=5, group=10))
        for shot in (1, 5)
    }
    found: dict[str, object] = {"fold": fold, "test": list(sources["1-shot"].members(0).tasks)}
    for arm, (learner, problem) in arms_of(built).items():
        settings = replaced(recipe.train, rates[arm])
        made = trained(
            learner,
            problem,
            (built.train, built.val),
            settings,
            recipe.evaluate.every,
            recipe.evaluate.episodes,
        )
        test = tested(made, sources, 200)
        means = {
            name: {how: float(values.mean()) for how, values in one.items()}
            for name, one in test.items()
        }
        found[arm] = {"val": made.val, "seconds": made.seconds, "accuracy": means}
    return found


def estimate(values: np.ndarray) -> dict[str, float]:
    return over_episodes(values).as_dict()


def difference(values: np.ndarray) -> dict[str, object]:
    found = paired_t(values)
    return {"delta": found.delta, "delta_ci95": [found.low, found.high]}


def fsdd(rotations: int) -> dict[str, object]:
    """The first rotations, and the table over them."""
    chosen = kept("fsdd-rates", fsdd_rates)
    rates = {arm: float(one["rate"]) for arm, one in chosen.items()}  # type: ignore[index]
    folds = [
        kept(f"fsdd-fold-{fold}", lambda f=fold: fsdd_fold(f, rates)) for fold in FOLDS[:rotations]
    ]  # type: ignore[misc]
    table: dict[str, object] = {}
    for shot in ("1-shot", "5-shot"):
        arms = {
            f"{arm}/{how}": np.array([one[arm]["accuracy"][shot][how] for one in folds])  # type: ignore[index]
            for arm in ("learner", "class-means")
            for how in ("joint", "separate")
        }
        joint = arms["learner/joint"]
        table[shot] = {
            "arms": {name: estimate(values) for name, values in arms.items()},
            "joint minus": {
                name: difference(joint - values)
                for name, values in arms.items()
                if name != "learner/joint"
            },
        }
    return {"recipe": FSDD, "rotations": rotations, "rates": chosen, "table": table, "folds": folds}


def omniglot(name: str) -> dict[str, object]:
    """The arms of a shipped recipe on unseen alphabets."""
    found = {
        arm: kept(f"{name}-{arm}-trained", lambda a=arm: omniglot_arm(name, a))  # type: ignore[misc]
        for arm in ("learner", "class-means")
    }
    values = {
        f"{arm}/{how}": np.array(each)
        for arm, one in found.items()
        for how, each in one.pop("values").items()  # type: ignore[attr-defined]
    }
    more = kept(f"{name}-arms", lambda: omniglot_more(name))
    values |= {one: np.array(each) for one, each in more.pop("values").items()}  # type: ignore[attr-defined]
    found |= {"chosen": more["chosen"], "seconds": more["seconds"]}  # type: ignore[dict-item]
    joint = values["learner/joint"]
    arms = {arm: estimate(each) for arm, each in values.items()}
    minus = {
        arm: difference(joint[: len(each)] - each)
        for arm, each in values.items()
        if arm != "learner/joint"
    }
    return {"recipe": name, "sets": 400, "tasks": 4, **found, "arms": arms, "joint minus": minus}


def omniglot_source(built: ClassSetBuilt) -> LabelledSets:
    query = 4 if built.recipe.data.options["variant"] == "styles" else 5
    return class_source(built.recipe, "test", AskedSets(4, 1, query, group=10))


def omniglot_arm(name: str, arm: str) -> dict[str, object]:
    """The learner or class means, and the accuracy of each test set."""
    built = build_class_sets(load(name))
    steps = built.recipe.train.steps // 5
    rates = kept(f"{name}-{arm}-rates", lambda: as_text(rate_of(built, arm, steps)))
    rate = max(outer_rates(arms_of(built)[arm][0]), key=lambda one: float(str(rates[str(one)])))
    made = learned(built, arm, rate)
    torch.save(made.params, FOLDER / f"{name}-{arm}.pt")
    test = tested(made, {"1-shot": omniglot_source(built)}, 400)["1-shot"]
    return {
        "rates": rates,
        "rate": rate,
        "val": made.val,
        "seconds": made.seconds,
        "values": {how: each.tolist() for how, each in test.items()},
    }


def omniglot_more(name: str) -> dict[str, object]:
    """The arms of `evaluate`, on the learner that was trained."""
    built = build_class_sets(load(name))
    params = torch.load(FOLDER / f"{name}-learner.pt", weights_only=True)
    made = Trained(built.learner, built.problem, params, 0.0, 0.0)
    tuning = tuning_of(built, made, 4, (25, 50, 100))
    more = arms_of_evaluate(built, made, omniglot_source(built), 400, tuning)
    stepped = len(built.learner.variants()) > 1
    values = {
        f"learner/{arm}" if arm in (JOINT, SEPARATE) else arm: each.tolist()
        for arm, each in more.values.items()
        if stepped or arm in TRAINED
    }
    return {"values": values, "chosen": more.chosen, "seconds": more.seconds}


def as_text(rates: dict[float, float]) -> dict[str, object]:
    return {str(rate): value for rate, value in rates.items()}


def main(what: str, names: list[str]) -> None:
    torch.set_num_threads(1)
    RESULTS.mkdir(parents=True, exist_ok=True)
    rotations = int(names[0]) if what == "fsdd" and names else len(FOLDS)
    whole: dict[str, dict[str, Callable[[], dict[str, object]]]] = {
        "fsdd": {"fsdd": lambda: fsdd(rotations)},
        "clinc150": {n: (lambda n=n: clinc(n)) for n in names or DOMAINS},  # type: ignore[misc]
        "omniglot": {n: (lambda n=n: omniglot(n)) for n in names},  # type: ignore[misc]
    }
    made = whole[what]
    for name, make in made.items():
        (RESULTS / f"{name}.json").write_text(json.dumps(make(), indent=1) + "\n")


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2:])
