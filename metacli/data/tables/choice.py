"""What a recipe, a command, a task.yaml or a model states about the columns of a table."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal, Protocol

from metacli.data.plain import Plain, Record
from metacli.errors import DataError

TaskType = Literal["classification", "regression"]
TYPES: tuple[TaskType, ...] = ("classification", "regression")


class Wanted(Protocol):
    """The rows that a model wants, and what their columns were called."""

    @property
    def kind(self) -> Literal["table", "text"]: ...
    @property
    def type(self) -> TaskType: ...
    @property
    def inputs(self) -> tuple[str, ...] | None: ...
    @property
    def target(self) -> str | None: ...
    @property
    def input(self) -> str | None: ...


@dataclass(frozen=True)
class Choice:
    """What the user, or a task.yaml, states about a table; None where nothing is stated.

    Args:
        inputs: columns to predict from.
        task: a column that names the task of each row.
        unit: of a target that is a number, for the answers.
        usual_inputs: the columns that a model takes; read where nothing is stated.
        usual_target: and `usual_input`: what they were called before; used where nothing is stated
            and the table has them.
        whole: what the model reads; None where no model is there yet.
        follow_links: links, and names that lead out of the task's folder, are followed.
    """

    target: str | None = None
    inputs: tuple[str, ...] | None = None
    type: TaskType | None = None
    task: str | None = None
    unit: str | None = None
    usual_inputs: tuple[str, ...] | None = None
    usual_target: str | None = None
    usual_input: str | None = None
    whole: Literal["table", "text"] | None = None
    follow_links: bool = False

    def completed(self, model: Wanted) -> Choice:
        """With what a model wants: its type always, its columns where nothing is stated."""
        return replace(
            self,
            type=model.type,
            usual_inputs=model.inputs,
            usual_target=model.target,
            usual_input=model.input,
            whole=model.kind,
        )

    def words(self) -> list[str]:
        """The options that state the columns, for a command to type."""
        target = [] if self.target is None else ["--target", self.target]
        inputs = [] if self.inputs is None else ["--input", ",".join(self.inputs)]
        return target + inputs


NOTHING_SAID = Choice()


def stated(target: str | None, inputs: str | None, *, follow_links: bool = False) -> Choice:
    """What `--target`, `--input` (names between commas) and `--follow-links` state."""
    return Choice(target or None, names_in(inputs), follow_links=follow_links)


def choice_of(options: Record) -> Choice:
    """What a recipe's `data`, or a task.yaml, says of columns.

    Raises:
        DataError: a type that is neither classification nor regression.
    """
    target, kind, task, unit = (
        _word(options.get(key)) for key in ("target", "type", "task", "unit")
    )
    return Choice(target, names_in(options.get("input")), type_in(kind), task, unit)


def names_in(value: Plain) -> tuple[str, ...] | None:
    """Names of columns: a list, or words between commas; None for nothing."""
    if isinstance(value, str):
        found = value.split(",")
    elif isinstance(value, Sequence):
        found = [one for one in value if isinstance(one, str)]
    else:
        return None
    names = tuple(one.strip() for one in found if one.strip())
    return names or None


def type_in(word: str | None) -> TaskType | None:
    """Raises DataError: neither classification nor regression."""
    if word is None:
        return None
    for one in TYPES:
        if word == one:
            return one
    raise DataError(
        f"type is {word!r}; wanted {' or '.join(TYPES)}", code="data.option_value", where="type"
    )


def _word(value: Plain) -> str | None:
    return value if isinstance(value, str) and value else None
