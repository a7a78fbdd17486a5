"""What a model takes in: recorded in `model.json`, so that a user's file is read exactly as the
training data were."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Literal

from metacli.data.catalogue.registry import DATASETS
from metacli.data.few_shot.class_tasks import ClassTasks
from metacli.data.few_shot.pools import Pool
from metacli.data.few_shot.regression import RegressionTasks
from metacli.data.image_changes import Change
from metacli.data.images import ImageSpec
from metacli.data.plain import Record
from metacli.data.tables.coded import Encoder, encoder_of, is_text
from metacli.data.tables.encoding import Encoding, Target
from metacli.data.user.row_loading import RowSpec
from metacli.engine.models.document import InputPart
from metacli.engine.models.parts import NO_COLUMNS, Columns
from metacli.engine.results.base import Json
from metacli.schema.recipe import Recipe


@dataclass(frozen=True)
class InputSpec:
    """One example.

    Args:
        kind: `image` (uint8 pixels as in the file), `text` or `numbers` (float32).
        shape: [C, H, W] of an image, or the shape of the numbers.
        invert: the network sees dark strokes on light paper as high values.
        reader: how texts or cells of a table become the numbers; None for images, and for
            numbers that no user's file holds.
        target: of a regression on tables: name, mean, scale and unit.
        labels: names of the classes in the order of a fixed head, where they are the same in every
            task that the model was trained on; () where classes are new in every task.
        shorter, changes: as `ImageSpec`'s.
    """

    kind: Literal["image", "numbers", "text"]
    shape: tuple[int, ...]
    invert: bool = False
    reader: Record | None = None
    target: Target | None = None
    shorter: int | None = None
    changes: tuple[Change, ...] = ()
    labels: tuple[str, ...] = ()

    def image(self) -> ImageSpec:
        channels, height, width = self.shape
        return ImageSpec(channels, height, width, self.shorter, self.changes)

    def wanted(self, columns: Columns = NO_COLUMNS) -> ImageSpec | RowSpec:
        """What is to be read of a user's files.

        Args:
            columns: what they were called when the model was adapted.
        """
        encoder = self.encoder
        if encoder is None:
            return self.image()
        return RowSpec(
            encoder,
            "text" if self.kind == "text" else "table",
            "regression" if self.regresses else "classification",
            encoder.names if isinstance(encoder, Encoding) else None,
            columns.target or (None if self.target is None else self.target.name),
            columns.input,
        )

    @cached_property
    def encoder(self) -> Encoder | None:
        """What makes numbers of a user's texts or cells; None for images."""
        return None if self.reader is None else encoder_of(self.reader)

    @property
    def regresses(self) -> bool:
        """Whether its tasks are regressions."""
        return self.target is not None or (self.kind == "numbers" and self.reader is None)

    @property
    def unscaled(self) -> Target:
        """From the network's values to the user's numbers."""
        return Target("y") if self.target is None else self.target

    def as_dict(self) -> dict[str, Json]:
        plain: dict[str, Json] = {
            "kind": self.kind,
            "shape": list(self.shape),
            "invert": self.invert,
        }
        if self.reader is not None:
            plain["reader"] = dict(self.reader)
        if self.target is not None:
            plain["target"] = self.target.as_dict()
        if self.shorter is not None:
            plain["shorter"] = self.shorter
        if self.changes:
            plain["changes"] = list(self.changes)
        if self.labels:
            plain["labels"] = list(self.labels)
        return plain

    @classmethod
    def of(cls, part: InputPart) -> InputSpec:
        found = part.target
        target = None if found is None else Target(found.name, found.mean, found.scale, found.unit)
        return cls(
            *(part.kind, part.shape, part.invert, part.reader, target),
            *(part.shorter, part.changes, part.labels),
        )


def input_of_pool(pool: Pool, recipe: Recipe) -> InputSpec:
    """Rows of a pool. Of images, strokes on paper are inverted, as the data set or the recipe's
    `data.invert` says."""
    if pool.encoder is not None:
        kind: Literal["text", "numbers"] = "text" if is_text(pool.coded.rows) else "numbers"
        return InputSpec(kind, pool.example_shape, reader=pool.encoder.as_dict())
    return InputSpec("image", pool.example_shape, is_inverted(recipe))


def is_inverted(recipe: Recipe) -> bool:
    """Whether images are dark strokes on light paper, as the data set or the recipe says."""
    entry = DATASETS.get(recipe.data.source)
    return bool(recipe.data.options.get("invert", entry.ink if entry else False))


def input_of_class_tasks(tasks: ClassTasks, recipe: Recipe) -> InputSpec:
    """Rows of tasks with classes."""
    labels, shape = tasks.shared or (), tasks.example_shape
    if tasks.encoder is None:
        return InputSpec("image", shape, is_inverted(recipe), labels=labels)
    kind: Literal["text", "numbers"] = "numbers" if isinstance(tasks.encoder, Encoding) else "text"
    return InputSpec(kind, shape, reader=tasks.encoder.as_dict(), labels=labels)


def input_of_tasks(tasks: RegressionTasks) -> InputSpec:
    """Rows of tasks that are regressions."""
    return InputSpec(
        "numbers",
        (tasks.encoding.width,),
        reader=tasks.encoding.as_dict(),
        target=tasks.target,
    )
