"""The options of `evaluate`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TypedDict

from metacli.data.tables.choice import NOTHING_SAID, stated
from metacli.data.user.open import Reading
from metacli.engine.events import Reporter, ignore
from metacli.engine.scoring import score_file
from metacli.engine.scoring.checks import Check, parse_checks
from metacli.engine.shards.values import Values
from metacli.errors import UsageProblem

AS_IT_IS = Reading()


class MoreOptions(TypedDict, total=False):
    """Keywords of `evaluate` that do not say what is measured."""

    fail_under: Sequence[str]
    fail_over: Sequence[str]
    target: str | None
    input: str | None
    skip_bad: bool
    allow_duplicates: bool
    follow_links: bool
    order: str | None
    out: str | Path | None
    force: bool
    device: str
    dry_run: bool
    shard: str | None


@dataclass(frozen=True)
class Settings:
    """The same with their defaults.

    Args:
        fail_under: `accuracy=0.9`: the check fails below; `fail_over` above.
        target: of a table, the column to predict, where it is not called as it was.
        input: the columns to predict from, with commas between them.
        skip_bad: leave out unreadable files.
        allow_duplicates: examples that the model knows are counted, too.
        follow_links: read what links, and names that lead out of a folder, lead to.
        order: a column, or `rows`: only the last rows in that order are measured.
        out: the score file.
        force: replace it.
        shard: a part of the episodes, `2/8`; `out` is then a folder for `merge`.
    """

    fail_under: Sequence[str] = ()
    fail_over: Sequence[str] = ()
    target: str | None = None
    input: str | None = None
    skip_bad: bool = False
    allow_duplicates: bool = False
    follow_links: bool = False
    order: str | None = None
    out: str | Path | None = None
    force: bool = False
    device: str = "auto"
    dry_run: bool = False
    shard: str | None = None

    def checks(self) -> list[Check]:
        """Raises UsageProblem."""
        return parse_checks(self.fail_under, self.fail_over)

    def reading(self) -> Reading:
        """How the user's files are to be read."""
        columns = stated(self.target, self.input, follow_links=self.follow_links)
        return Reading(columns, self.skip_bad, self.allow_duplicates)

    def place(self) -> Path | None:
        """The score file that was asked for, which is new, empty or to be replaced. Raises
        BundleError."""
        if self.out is None:
            return None
        path = Path(self.out)
        score_file.require_place(path, force=self.force, dry_run=self.dry_run)
        return path.absolute()


@dataclass(frozen=True)
class EpisodeOptions:
    """Which episodes: what is None is the recipe's, and `expect` asks for those of its `expect`."""

    split: str | None = None
    way: str | int | None = None
    shot: str | int | None = None
    query: int | None = None
    episodes: int = 600
    seed: int | None = None
    expect: bool = False

    def require_episodes(self) -> None:
        """Raises UsageProblem."""
        if self.episodes < 1:
            raise UsageProblem(f"--episodes must be 1 or more, found {self.episodes}")

    def only(self, *allowed: str) -> bool:
        """Whether nothing else was asked for."""
        asked, plain = asdict(self), asdict(EpisodeOptions(episodes=self.episodes))
        return all(value == plain[name] for name, value in asked.items() if name not in allowed)


@dataclass(frozen=True)
class Request:
    """One evaluation, whatever the model.

    Args:
        model: as the user called it.
        data: None: what the model was trained on.
        overrides: fields of the learner.
        reading: how `data` is to be read.
        out: the score file; None: the model's own.
        order: as of `Settings`.
        values: where scores of episodes are from: computed here, or parts of them.
    """

    model: str
    data: str | None = None
    overrides: tuple[str, ...] = ()
    wanted: EpisodeOptions = EpisodeOptions()
    reading: Reading = AS_IT_IS
    out: Path | None = None
    dry_run: bool = False
    report: Reporter = ignore
    order: str | None = None
    values: Values = field(default_factory=Values)

    def __post_init__(self) -> None:
        if self.data is None and self.reading.choice != NOTHING_SAID:
            raise UsageProblem("--target and --input name columns of a table: name the table, too")

    def require_labelled(self, data: str) -> None:
        """Raises UsageProblem for options of episodes, and where no labelled examples are named.

        Args:
            data: what a hint calls them.
        """
        self.require_no_overrides()
        if not self.wanted.only("seed"):
            raise UsageProblem(
                "an adapted model is measured on labelled examples; --split, --way, --shot, "
                "--query and --expect are for episodes"
            )
        if self.data is None:
            raise UsageProblem(
                "an adapted model is measured on labelled examples",
                hint=f"metacli evaluate {self.model} {data}",
            )

    def require_no_order(self) -> None:
        """Raises UsageProblem: only rows that an adapted model is measured on have an order."""
        if self.order is not None:
            raise UsageProblem("--order is for an adapted model on the rows of a table")

    def require_no_overrides(self) -> None:
        """Raises UsageProblem: only a learner on episodes has fields that can be replaced."""
        if self.overrides:
            message = f"{self.overrides[0]}: this model does not adapt when it is measured"
            raise UsageProblem(message)
