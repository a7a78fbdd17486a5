"""What the blocks of a recipe of kind meta do not allow together, or with its data."""

from __future__ import annotations

from metacli.algorithms.learner import Learner
from metacli.data.tables.encoding import Encoding
from metacli.engine.models.inputs import InputSpec
from metacli.engine.models.networks import statistics_of
from metacli.engine.training.few_shot.execution import check_execution
from metacli.engine.training.few_shot.sources import Kind, has_class_tasks, has_generated_tables
from metacli.engine.training.problems import Problems
from metacli.errors import RecipeError
from metacli.nn.backbones.cells import Cells
from metacli.nn.backbones.table import Backbone, FromFile
from metacli.schema.few_shot import FewShotRecipe


def check_fit(
    recipe: FewShotRecipe,
    learner: Learner,
    backbone: Backbone,
    inputs: InputSpec,
    kind: Kind,
    problems: Problems,
) -> None:
    """What each block allows by itself but not together."""
    if kind not in learner.kinds:
        kinds = " and ".join(learner.kinds)
        message = f"{recipe.algorithm.name} is for {kinds}, {recipe.data.source} is {kind}"
        problems.add("algorithm.name", message)
    if learner.shared_labels and kind == "classification" and not inputs.labels:
        message = f"{recipe.algorithm.name} needs labels that mean the same in every task; "
        message += f"{recipe.data.source} has other classes in each"
        problems.add("algorithm.name", message, "protonet, r2d2 or maml make a head of each task")
    check_episodes(recipe, inputs, problems)
    check_backbone(recipe.backbone.name, backbone, inputs, problems)
    if inputs.kind in backbone.takes:  # others it cannot be made for
        check_prefixes(learner, backbone, inputs, problems)
    if kind == "classification" and not learner.any_way:
        check_way(recipe, problems)
    check_statistics(recipe, learner, backbone, problems)
    if not recipe.episodes.balanced and not learner.takes_padding:
        message = f"{recipe.algorithm.name} reads supports of one size"
        problems.add("episodes.balanced", message, "episodes.balanced=true")
    check_execution(recipe, learner, problems)


def check_episodes(recipe: FewShotRecipe, inputs: InputSpec, problems: Problems) -> None:
    """What is for pools of classes, or for tasks, alone."""
    episodes, tasks = recipe.episodes, has_class_tasks(recipe)
    if has_generated_tables(recipe):  # `generated_tables.run` knows what they are like
        return
    if episodes.per == "task" and not tasks:
        message = "episodes.per: task is for classification tasks; these data are not"
        problems.add("episodes.per", message, "leave episodes.per out")
    if tasks and not episodes.balanced:
        message = "classes of one task are drawn with one number of examples"
        problems.add("episodes.balanced", message, "episodes.per=task draws rows of all classes")
    given = drawn_instead(recipe, inputs)
    for name, value in (("shift", episodes.shift), ("warp", episodes.warp)):
        if value and given:
            message = f"episodes.{name} is for images of classes; episodes here are of {given}"
            problems.add(f"episodes.{name}", message, f"leave episodes.{name} out")
    if inputs.labels and episodes.way != len(inputs.labels):
        message = f"every task has {len(inputs.labels)} labels, episodes.way is {episodes.way}"
        problems.add("episodes.way", message, f"episodes.way={len(inputs.labels)}")


def drawn_instead(recipe: FewShotRecipe, inputs: InputSpec) -> str | None:
    """What episodes hold in the place of a class's images; None where they hold these."""
    if has_class_tasks(recipe):
        return "classification tasks"
    if inputs.kind != "image":
        return "texts" if inputs.kind == "text" else "rows of numbers"
    return "a frozen network's features" if recipe.backbone.name == "frozen" else None


def check_way(recipe: FewShotRecipe, problems: Problems) -> None:
    """A head of fixed way has as many rows as episodes have classes, in training and validation."""
    way, validated = recipe.episodes.way, recipe.evaluate.way
    hint = "algorithm.head=proto or algorithm.head=shared adapts to any number of classes"
    if not isinstance(way, int):
        message = f"{recipe.algorithm.name} has a head of fixed way, episodes.way is a range"
        problems.add("episodes.way", message, hint)
    elif validated is not None and validated != way:
        message = (
            f"{recipe.algorithm.name} has a head of {way} classes, evaluate.way is {validated}"
        )
        problems.add("evaluate.way", message, f"evaluate.way={way}; {hint}")


def check_backbone(name: str, backbone: Backbone, inputs: InputSpec, problems: Problems) -> None:
    """Whether it reads these inputs, and can begin from its weights."""
    if inputs.kind not in backbone.takes:
        problems.add("backbone.name", f"backbone {name} does not take {inputs.kind}")
    elif (name == "words") != ((inputs.reader or {}).get("name") == "tokens"):
        message = f"data.encoder tokens and backbone words are for each other, not for {name}"
        problems.add("backbone.name", message, "data.encoder=tokens backbone.name=words")
    elif isinstance(backbone, Cells) and is_wide(inputs):
        message = "backbone cells reads numbers, dates and categories, and there are texts or "
        message += "molecules among the columns"
        problems.add("backbone.name", message, "data.input=COLUMNS without them, or backbone mlp")
    elif backbone.build(inputs.shape)[1] == 0:
        size = "x".join(map(str, inputs.shape[1:]))
        hint = "data.size=28, or backbone.downsample=stride of conv4"
        problems.add("backbone.name", f"backbone {name} leaves nothing of images of {size}", hint)
    if isinstance(backbone, FromFile):
        try:
            backbone.check()
        except RecipeError as error:
            message = f"{error.message}: {error.where}"
            problems.add("backbone.weights", message, error.hint, code=error.code)


def is_wide(inputs: InputSpec) -> bool:
    """Whether there are columns that became many numbers each."""
    encoder = inputs.encoder
    return isinstance(encoder, Encoding) and bool(encoder.wide)


def check_prefixes(
    learner: Learner, backbone: Backbone, inputs: InputSpec, problems: Problems
) -> None:
    """Prefixes of an inner loop that name no parameter: it would silently adapt less or nothing."""
    names = [f"backbone.{name}" for name, _ in backbone.build(inputs.shape)[0].named_parameters()]
    names += ["head.weight", "head.bias"]
    layers = sorted({name.rpartition(".")[0] for name in names})
    hint = f"names begin with {', '.join(layers[:4])}, ..."
    for prefix in learner.adapts:
        if not any(name.startswith(prefix) for name in names):
            message = f"no parameter begins with {prefix!r}"
            problems.add("algorithm.adapts", message, hint, code="recipe.invalid")


def check_statistics(
    recipe: FewShotRecipe, learner: Learner, backbone: Backbone, problems: Problems
) -> None:
    """Normalisation that the learner or the episodes would spoil."""
    statistics = statistics_of(backbone)
    if statistics == "running" and not learner.running_statistics:
        name = recipe.algorithm.name
        message = f"{name} keeps no running statistics: its weights change in every task"
        problems.add("backbone.norm", message, "backbone.norm=batch takes them from the support")
    if statistics != "none" and not recipe.episodes.balanced:
        message = "padding would enter the batch statistics of unbalanced episodes"
        problems.add("backbone.norm", message, "backbone.norm=group")
