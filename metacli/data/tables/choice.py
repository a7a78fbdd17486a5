"""What is said of the columns of a table: by a recipe, a command, a task.yaml or a model."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal

TaskType = Literal["classification", "regression"]


@dataclass(frozen=True)
class Choice:
    """What the user, or a task.yaml, says of a table; None where nothing is said.

    Args:
        inputs: columns to predict from.
        task: a column that names the task of each row.
        unit: of a target that is a number, for the answers.
        usual_target: and `usual_input`: what they were called before; used where nothing is said
            and the table has them.
        whole: what the model reads; None where no model is there yet.
    """

    target: str | None = None
    inputs: tuple[str, ...] | None = None
    type: TaskType | None = None
    task: str | None = None
    unit: str | None = None
    usual_target: str | None = None
    usual_input: str | None = None
    whole: Literal["table", "text"] | None = None

    def completed(self, model: Any) -> Choice:
        """With what a model wants: its type always, its columns where nothing is said."""
        return replace(
            self,
            inputs=self.inputs or model.inputs,
            type=model.type,
            usual_target=model.target,
            usual_input=model.input,
            whole=model.kind,
        )


NOTHING_SAID = Choice()


COLUMNS = ("target", "input", "type", "task")


def choice_of(options: Mapping[str, Any]) -> Choice:
    """What a recipe's `data` says of columns."""
    said = {key: options[key] for key in COLUMNS if options.get(key)}
    inputs = said.get("input")
    names = inputs.split(",") if isinstance(inputs, str) else inputs
    return Choice(
        target=said.get("target"),
        inputs=None if names is None else tuple(one.strip() for one in names),
        type=said.get("type"),
        task=said.get("task"),
    )
