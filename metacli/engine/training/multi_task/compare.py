"""What a multi-task run is compared with: the same network for each task by itself, simple models
of the same rows, and the guard that follows. Validation rows only."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from metacli.engine.events import Notice, Progress
from metacli.engine.models import folder as model_folder
from metacli.engine.models.model import MultiTaskModel
from metacli.engine.models.multi_task_networks import single_recipe, trained_problem
from metacli.engine.results.base import Json
from metacli.engine.results.train import Comparison
from metacli.engine.scoring.multi_task_baselines import outside_predictions
from metacli.engine.scoring.multi_task_params import (
    final_params,
    predictions,
    validated,
)
from metacli.engine.scoring.multi_task_tables import estimate_of, mean_delta, table_of
from metacli.engine.training.multi_task.build import MultiTaskBuilt
from metacli.engine.training.multi_task.candidates import names_of_others, others
from metacli.engine.training.multi_task.error_sizes import residual_spread
from metacli.engine.training.multi_task.guard import FOLDS, Decision, Guarded, decide
from metacli.engine.training.multi_task.single_task import (
    SINGLE,
    TRAININGS,
    Candidate,
    alone_method,
    repetitions,
    train_best,
)
from metacli.engine.training.provenance import provenance
from metacli.engine.training.signals import Control
from metacli.engine.training.workspace import Workspace
from metacli.errors import BundleError
from metacli.nn.selected import AveragedProblem, ChosenProblem, repeated
from metacli.types import Params

Predicted = list[np.ndarray]


def compare_with_others(
    built: MultiTaskBuilt,
    best: Params,
    workspace: Workspace,
    data: Mapping[str, Json],
    steps: int,
    control: Control,
) -> Comparison | None:
    """What `tasks.json` says; None when a signal came. With `guard`, the model that is shipped
    answers for each task with the network that was chosen for it.

    Args:
        best: parameters as they were validated best.
        data: what its models say of their data.
        steps: the budget of the single-task baseline, that of the run.
    """
    single = single_task(built, workspace, data, steps, control)
    if single is None:
        return None
    metric, y = built.table.metric, built.rows.numbers("val")[1]
    together = predictions(built.problem, best, built.rows, "val")
    apart = answers_of(single, built)
    baselines = {SINGLE: estimate_of(metric, y, apart)}
    simple = simple_predictions(built, control)
    if simple is None:
        return None
    baselines |= {name: estimate_of(metric, y, one) for name, one in simple.items()}
    guard = None
    if built.recipe.guard:
        guard = guarded(built, steps, workspace, control)
        if guard is None:
            return None
        baselines["unguarded"] = estimate_of(metric, y, together)
        shared = shared_network(built, guard.network, best, workspace, data, steps, control)
        if shared is None:
            return None
        together = chosen(guard.decisions, answers_of(shared, built), apart)
        ship_guarded(built, workspace, guard.decisions, shared, single)
    tasks = table_of(metric, built.table.tasks, y, together, apart)
    for row, decision in zip(tasks, [] if guard is None else guard.decisions, strict=False):
        row["guard"] = {**decision.as_dict(), "network": guard.name if guard else None}
    mean = mean_delta(tasks)
    guarded_score = {f"val_{metric}": estimate_of(metric, y, together)}
    return Comparison(
        tasks=tuple(tasks),
        baselines=baselines,
        metrics=None if guard is None else guarded_score,
        mean_delta=mean.mean_delta,
        mean_delta_ci95=mean.mean_delta_ci95,
        mean_delta_over=mean.mean_delta_over,
    )


def answers_of(validated_model: MultiTaskModel, built: MultiTaskBuilt) -> Predicted:
    """For the validation rows."""
    return predictions(validated_model.problem(), validated_model.params, built.rows, "val")


def simple_predictions(built: MultiTaskBuilt, control: Control) -> dict[str, Predicted] | None:
    """Those of every simple model that suits the data, for validation rows; None when a signal
    came."""

    def tick(name: str) -> None:
        control.report(Progress(f"baseline {name}", 0, None))

    found: dict[str, Predicted] = {}
    for name, predicted in outside_predictions(built.rows, ("train",), "val", tick):
        found[name] = predicted
        if control.stopped:
            return None
    return found


def chosen(
    decisions: Sequence[Decision], together: Sequence[np.ndarray], apart: Sequence[np.ndarray]
) -> Predicted:
    """For each task the predictions of the network that answers for it."""
    each = zip(decisions, together, apart, strict=True)
    return [shared if one.shares else own for one, shared, own in each]


def together_candidate(built: MultiTaskBuilt) -> Candidate:
    """The run's own network."""
    return Candidate("together", built.problem, built.method, built.recipe)


def alone_candidate(built: MultiTaskBuilt) -> Candidate:
    """The same network for each task by itself."""
    recipe = single_recipe(built.recipe)
    problem = trained_problem(recipe, built.inputs, built.heads)
    return Candidate("alone", problem, alone_method(problem), recipe)


def work_of_guard(built: MultiTaskBuilt) -> str:
    """What a guard trains beside the run, in words."""
    names = ["together", *names_of_others(built), "alone"]
    times = len(repetitions(alone_candidate(built), TRAININGS))
    often = "twice" if times > 1 else "once"
    total = FOLDS * times * len(names)
    networks = " and ".join([", ".join(names[:-1]), names[-1]]).replace("-", " ")
    return f"guard=true trains {networks} {often} in each of {FOLDS} folds: {total} more trainings"


def guarded(
    built: MultiTaskBuilt, steps: int, workspace: Workspace, control: Control
) -> Guarded | None:
    """Which tasks share, and by which network; None when a signal came."""
    together, alone = together_candidate(built), alone_candidate(built)
    return decide(
        *(together, alone, built.rows, steps, workspace.device, control),
        others=lambda rows: others(built, rows),
    )


def shared_network(
    built: MultiTaskBuilt,
    place: int,
    own: Params,
    workspace: Workspace,
    data: Mapping[str, Json],
    steps: int,
    control: Control,
) -> MultiTaskModel | None:
    """Trains the network that tasks share on all training rows, as often as it is used, and puts it
    in the place of the run's model. As it was validated; None when a signal came.

    Args:
        place: of it among those that the guard compared; 0 is the run's own.
        own: that one's parameters, as they were validated best.
    """
    taken = (together_candidate(built), *others(built, built.rows))[place]
    shipped = model_folder.load_multi_task(workspace.model)
    facts = shipped.provenance
    known = [] if place else [(own, steps)]
    made = trained(built, taken, known, steps, workspace, control, f"guard: {taken.name}")
    if made is None:
        return None
    if len(made) == len(known):  # what is solved is shipped already
        return replace(shipped, params=own)
    if place:
        facts = {**provenance(workspace, taken.recipe, data, steps), "best_step": made[0][1]}
    saved, params = model_of(built, taken, made, facts)
    model_folder.save(replace(saved, scores=shipped.scores), workspace.model, replace=True)
    return replace(saved, params=params)


def trained(
    built: MultiTaskBuilt,
    candidate: Candidate,
    known: Sequence[tuple[Params, int]],
    steps: int,
    workspace: Workspace,
    control: Control,
    label: str,
) -> list[tuple[Params, int]] | None:
    """The trainings of one network, each as `train_best` gives it; None when a signal came.

    Args:
        known: the first ones.
    """
    found = list(known)
    for one in repetitions(candidate, trainings_of(built))[len(known) :]:
        made = train_best(one, built.rows, steps, workspace.device, control, label)
        if made is None:
            return None
        found.append(made)
    return found


def trainings_of(built: MultiTaskBuilt) -> int:
    """How often each network is trained: what the guard compares is a mean."""
    return TRAININGS if built.recipe.guard else 1


def model_of(
    built: MultiTaskBuilt,
    candidate: Candidate,
    made: Sequence[tuple[Params, int]],
    facts: Mapping[str, Json],
) -> tuple[MultiTaskModel, Params]:
    """The model of all trainings of a network as it is shipped, and its parameters as they were
    validated."""
    problem = repeated(candidate.problem, len(made))
    params = [one for one, _ in made]
    if isinstance(problem, AveragedProblem):
        found = final = problem.joined(params)
    else:
        found, final = params[0], final_params(problem, params[0], built.rows)
    saved = built.model(candidate.recipe, final, facts)
    return replace(saved, heads=replace(saved.heads, trainings=len(made))), found


def ship_guarded(
    built: MultiTaskBuilt,
    workspace: Workspace,
    decisions: Sequence[Decision],
    shared: MultiTaskModel,
    single: MultiTaskModel,
) -> None:
    """Replace the run's model by one that holds both networks.

    Args:
        shared, single: as they were validated, which tells the size of errors.
    """
    together = model_folder.load_multi_task(workspace.model)
    alone = model_folder.load_multi_task(workspace.baselines / SINGLE)
    guard = tuple("together" if one.shares else "alone" for one in decisions)
    heads = replace(together.heads, guard=guard, trainings=TRAININGS)
    made = replace(together, heads=heads)
    problem = made.problem()
    assert isinstance(problem, ChosenProblem)
    spread = residual_spread(problem, problem.joined(shared.params, single.params), built.rows)
    made = replace(made, heads=replace(made.heads, spread=spread))
    joined = problem.joined(together.params, alone.params)
    model_folder.save(replace(made, params=joined), workspace.model, replace=True)


def single_task(
    built: MultiTaskBuilt,
    workspace: Workspace,
    data: Mapping[str, Json],
    steps: int,
    control: Control,
) -> MultiTaskModel | None:
    """The single-task model, trained or read back, as it was validated; None when a signal came."""
    folder, alone = workspace.baselines / SINGLE, alone_candidate(built)
    count = len(repetitions(alone, trainings_of(built)))
    try:
        old = model_folder.load_multi_task(folder) if folder.is_dir() else None
        found = old and (old.provenance.get("steps"), old.heads.trainings)
        if old is not None and found == (steps, count):
            return validated(old, built.rows)
    except BundleError as error:
        control.report(Notice(f"trained again: {error.message}", "run.baseline_damaged"))
    made = trained(built, alone, [], steps, workspace, control, f"baseline {SINGLE}")
    if made is None:
        return None
    facts = {**provenance(workspace, built.recipe, data, steps), "best_step": made[0][1]}
    saved, params = model_of(built, alone, made, facts)
    model_folder.save(saved, folder, replace=True)
    return replace(saved, params=params)
