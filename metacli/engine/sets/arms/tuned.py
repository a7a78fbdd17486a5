"""What was chosen for every arm on validation sets, and its folder in a run.

`baselines/arms` of a run holds `arms.json` (`Tuned`) and, where the arm is there, the weights of
the pretrained trunk.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from metacli.engine.storage.disk import damaged
from metacli.engine.storage.serial import bytes_to_tensors, json_bytes, tensors_to_bytes
from metacli.engine.storage.writer import read_folder, write_folder
from metacli.errors import BundleError
from metacli.types import Params

ARMS_FOLDER = "arms"
DOCUMENT, WEIGHTS = "arms.json", "weights.safetensors"


class Chosen(BaseModel):
    """The settings of an arm for one number of points, or of examples of a class.

    Args:
        mse, accuracy: on the validation sets, of regressions and of classifications. candidates:
            how many settings were tried.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    points: int = Field(ge=1)
    settings: Mapping[str, float]
    mse: float | None = None
    accuracy: float | None = None
    candidates: int = Field(ge=1)

    @property
    def score(self) -> float:
        """The one of the two that there is."""
        found = self.accuracy if self.mse is None else self.mse
        assert found is not None
        return found


class Choices(BaseModel):
    """`arms.json`: for each arm what was chosen, by number of points, on so many `sets`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    format: int = 1
    sets: int = Field(ge=1)
    arms: Mapping[str, tuple[Chosen, ...]]


@dataclass(frozen=True)
class Tuned:
    """The choices of a run, and the trunk of its arm `pretrained`, {} without."""

    choices: Choices
    trunk: Params

    def settings(self, arm: str, points: int) -> Mapping[str, float]:
        """Those of the nearest number of points; {} for an arm that was not tuned."""
        found = self.choices.arms.get(arm, ())
        return min(found, key=lambda one: abs(one.points - points)).settings if found else {}

    def has(self, arm: str) -> bool:
        return arm in self.choices.arms


def save_tuned(tuned: Tuned, folder: Path) -> None:
    """Write the folder whole. Raises as `write_folder`."""
    files = {DOCUMENT: json_bytes(tuned.choices.model_dump(mode="json", exclude_none=True))}
    if tuned.trunk:
        files[WEIGHTS] = tensors_to_bytes(tuned.trunk)
    write_folder(folder, files, replace=True)


def load_tuned(folder: Path) -> Tuned | None:
    """None where a run has no such folder.

    Raises:
        BundleError: it is damaged.
    """
    if not folder.is_dir():
        return None
    files = read_folder(folder)
    try:
        choices = Choices.model_validate_json(files[DOCUMENT])
    except (KeyError, ValidationError) as error:
        raise damaged(folder / DOCUMENT, f"is not what metacli writes: {error}") from None
    if "pretrained" in choices.arms and WEIGHTS not in files:
        raise BundleError(
            "the weights of the arm `pretrained` are missing",
            code="model.weights",
            where=str(folder),
            hint="train the run again",
        )
    trunk = bytes_to_tensors(files[WEIGHTS], str(folder / WEIGHTS)) if WEIGHTS in files else {}
    return Tuned(choices, trunk)


def tuned_beside(path: Path) -> Tuned | None:
    """What the run of a model has chosen for its arms; None of a model without a run.

    Raises:
        BundleError: it is damaged.
    """
    return load_tuned(path.parent / "baselines" / ARMS_FOLDER) if path.name == "model" else None
