"""The options that commands share, each with one spelling, one type and one help text."""

from __future__ import annotations

from typing import Annotated, Literal

import typer

from metacli.cli import complete, words

COMMON_PANEL = "Same for every command"
COMMON = ("json", "quiet", "verbose", "out", "force", "device", "seed", "dry_run")

Split = Literal["train", "val", "test"]

Json = Annotated[
    bool,
    typer.Option("--json", help="One JSON document on stdout.", rich_help_panel=COMMON_PANEL),
]
Quiet = Annotated[
    bool,
    typer.Option("-q", "--quiet", help="Print one value only.", rich_help_panel=COMMON_PANEL),
]
Verbose = Annotated[
    bool,
    typer.Option(
        "-v", "--verbose", help="Say more; tracebacks of bugs.", rich_help_panel=COMMON_PANEL
    ),
]
Out = Annotated[
    str | None,
    typer.Option(
        "-o", "--out", metavar="PATH", help="Write here; - is stdout.", rich_help_panel=COMMON_PANEL
    ),
]
Force = Annotated[
    bool,
    typer.Option("--force", help="Replace what -o names.", rich_help_panel=COMMON_PANEL),
]
Device = Annotated[
    str,
    typer.Option(
        "--device",
        metavar="DEVICE",
        help="auto, cpu, cuda, cuda:N or mps.",
        callback=words.device,
        autocompletion=complete.devices,
        rich_help_panel=COMMON_PANEL,
    ),
]
Seed = Annotated[
    int | None,
    typer.Option("--seed", metavar="N", min=0, help="Random seed.", rich_help_panel=COMMON_PANEL),
]
DryRun = Annotated[
    bool,
    typer.Option(
        "-n", "--dry-run", help="Check everything, write nothing.", rich_help_panel=COMMON_PANEL
    ),
]

Model = Annotated[
    str,
    typer.Argument(
        metavar="MODEL",
        help="A model or run folder, @last, @model, or a backbone.",
        autocompletion=complete.models,
        show_default=False,
    ),
]
Track = Annotated[
    list[str] | None,
    typer.Option(
        "--track",
        metavar="NAME",
        help="Record it for tensorboard or mlflow, too.",
        autocompletion=complete.trackers,
        show_default=False,
    ),
]
FailUnder = Annotated[
    list[str] | None,
    typer.Option(
        "--fail-under",
        metavar="METRIC=VALUE",
        help="Exit 5 when the metric is below.",
        callback=words.checks,
        show_default=False,
    ),
]
FailOver = Annotated[
    list[str] | None,
    typer.Option(
        "--fail-over",
        metavar="METRIC=VALUE",
        help="Exit 5 when the metric is above.",
        callback=words.checks,
        show_default=False,
    ),
]
Target = Annotated[
    str | None, typer.Option("--target", metavar="COL", help="Of a table: the column to predict.")
]
Targets = Annotated[
    str | None,
    typer.Option("--target", metavar="COL[,COL]", help="Of a table: the columns to predict."),
]
Input = Annotated[
    str | None,
    typer.Option("--input", metavar="COL[,COL]", help="Of a table: the columns to predict from."),
]
Order = Annotated[
    str | None,
    typer.Option(
        "--order", metavar="COL|rows", help="Of a table: hold out the last rows in this order."
    ),
]
SkipBad = Annotated[bool, typer.Option("--skip-bad", help="Skip unreadable files.")]
FollowLinks = Annotated[
    bool, typer.Option("--follow-links", help="Read what links and ../ lead to.")
]
AllowDuplicates = Annotated[
    bool,
    typer.Option("--allow-duplicates", help="Accept an example that is in support and query."),
]
Guard = Annotated[
    bool,
    typer.Option("--guard", help="Of a set: tasks that are better alone are answered alone."),
]
Standalone = Annotated[
    bool, typer.Option("--standalone", help="Put a pretrained encoder into the folder.")
]

Shard = Annotated[
    str | None,
    typer.Option(
        "--shard",
        metavar="I/N",
        help="Part I of N, from 1/N to N/N, into a folder for merge.",
        callback=words.shard,
        show_default=False,
    ),
]
FailIf = Annotated[
    list[str] | None,
    typer.Option(
        "--fail-if",
        metavar="guessing|hurts",
        callback=words.doubts,
        help="Exit 5 when this is said of the model.",
        show_default=False,
    ),
]
Strict = Annotated[
    bool, typer.Option("--strict", help="Exit 5 when anything speaks against the model.")
]
Folds = Annotated[
    int | None,
    typer.Option(
        "--folds", metavar="K", min=0, help="Score by at most K folds, dealt once; 0: do not."
    ),
]
FitInputs = Annotated[
    bool,
    typer.Option(
        "--fit-inputs", help="Invert images, or change their contrast, where it suits the model."
    ),
]
Compare = Annotated[
    bool | None,
    typer.Option(
        "--compare/--no-compare",
        help="Compare with simple models; the default for one task, not for a folder of tasks.",
        show_default=False,
    ),
]
NewOnly = Annotated[
    bool, typer.Option("--new-only", help="Of a folder of tasks: those without a model yet.")
]
