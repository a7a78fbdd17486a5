"""A recipe on other data than its own: what it says of its own data set is left out."""

from __future__ import annotations

from dataclasses import replace

from metacli.data.catalogue.registry import DATASETS
from metacli.data.few_shot.read_class_tasks import TaskSplitOptions
from metacli.data.few_shot.user_images import FolderOptions
from metacli.data.few_shot.user_rows import RowOptions
from metacli.data.multi_task.from_user import UserMultiTaskOptions
from metacli.data.sets.own_files import OwnSets
from metacli.engine.training.options import field_names
from metacli.schema.load import Loaded

USERS = (FolderOptions, RowOptions, TaskSplitOptions, UserMultiTaskOptions, OwnSets)


def on_other_source(loaded: Loaded) -> Loaded:
    """The recipe as `data.source=` on the command line means it: without options of its own data
    set that the other data do not have, as the splits of Omniglot for a folder of drawings."""
    data, before = loaded.recipe.data, loaded.source
    if before not in DATASETS or data.source == before or "data.source" not in loaded.overridden:
        return loaded
    entry = DATASETS.get(data.source)
    of = USERS if entry is None else (entry.options,)
    known = {name for one in of for name in field_names(one)}
    gone = {
        name
        for name in field_names(DATASETS[before].options)
        if name not in known and f"data.{name}" not in loaded.overridden
    }
    options = {name: value for name, value in data.options.items() if name not in gone}
    recipe = loaded.recipe.model_copy(update={"data": data.model_copy(update={"options": options})})
    return replace(loaded, recipe=recipe)
