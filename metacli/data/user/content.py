"""What the door found at a path: listed once, and decoded when a model's input is known."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from metacli.data.images import ImageSpec
from metacli.data.tables.choice import Choice
from metacli.data.user.joined import joined
from metacli.data.user.listing import Listing, Survey, not_a_task
from metacli.data.user.loading import Report, Task, load_listing, say_nothing
from metacli.data.user.problems import downgrade, raise_problems
from metacli.data.user.row_loading import RowSpec, load_rows, require_same_kind


@dataclass(frozen=True)
class Content:
    """
    Args:
        choice: what the user states about the columns of tables.
        listing: with every problem in its findings.
        survey: lists other paths, and this one again where a model says what its columns are.
    """

    path: Path
    choice: Choice
    listing: Listing
    survey: Survey

    def checked(self, *, skip_bad: bool = False) -> Listing:
        """The listing without problems.

        Args:
            skip_bad: links, pipes and devices become warnings.

        Raises:
            DataError: all problems are in its findings.
        """
        findings = self.listing.findings
        findings = downgrade(findings) if skip_bad else findings
        raise_problems(self.path, findings)
        return replace(self.listing, findings=findings)

    @property
    def tasks(self) -> tuple[Path, ...]:
        """The tasks in a folder of tasks, each a folder or table of its own, those that cannot be
        read last, so that whoever takes them in turn says why; () of anything else."""
        if self.listing.what != "tasks":
            return ()
        listed = tuple(one.path for one in self.listing.children if one.path != self.path)
        return (*listed, *self.listing.broken)

    def load(
        self,
        spec: ImageSpec | RowSpec,
        *,
        onto: Sequence[tuple[Path, Choice]] = (),
        skip_bad: bool = False,
        allow_duplicates: bool = False,
        one_class: bool = False,
        report: Report = say_nothing,
    ) -> Task:
        """The task, decoded; arguments and errors are those of `open.load_task`."""
        given = (*onto, (self.path, self.choice))
        parts = [self.listed(*one, spec) for one in given]
        for one, (_, choice) in zip(parts, given, strict=True):
            if one.what != "task":
                raise not_a_task(one)
            require_same_kind(one, spec, choice)
        listing = joined(parts)
        if one_class:
            enough = [one for one in listing.findings if one.code != "data.too_few_classes"]
            listing = replace(listing, findings=tuple(enough))
        if isinstance(spec, RowSpec):
            return load_rows(listing, spec, skip_bad=skip_bad, allow_duplicates=allow_duplicates)
        return load_listing(
            listing, spec, skip_bad=skip_bad, allow_duplicates=allow_duplicates, report=report
        )

    def listed(self, path: Path, choice: Choice, spec: ImageSpec | RowSpec) -> Listing:
        """A task as the model reads it, which knows what the columns were called."""
        if isinstance(spec, RowSpec):
            choice = choice.completed(spec)
        known = (path, choice) == (self.path, self.choice)
        return self.listing if known else self.survey(path, choice)
