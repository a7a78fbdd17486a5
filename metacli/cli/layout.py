"""How help pages look and how wrong words are answered: plain text, on and off a terminal."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import typer
from typer.core import TyperCommand, TyperGroup

from metacli.errors import EXIT_MEANINGS, UsageProblem


class Page(TyperCommand):
    """A command whose options are listed in the sections named by `rich_help_panel`."""

    def collect_usage_pieces(self, ctx: Any) -> list[str]:
        arguments = (p for p in self.get_params(ctx) if p.param_type_name == "argument")
        return [*(str(p.metavar) for p in arguments), "[OPTIONS]"]

    def format_options(self, ctx: Any, formatter: Any) -> None:
        sections: dict[str, list[tuple[str, str]]] = {}
        for param in self.get_params(ctx):
            record = param.get_help_record(ctx)
            if record is not None:
                kind = "Options"
                if param.param_type_name == "argument":
                    kind, record = "Arguments", (str(param.metavar), record[1])
                panel = getattr(param, "rich_help_panel", None)
                if param.name == "help":
                    panel = "Same for every command"
                sections.setdefault(panel if isinstance(panel, str) else kind, []).append(record)
        for title, records in sections.items():
            with formatter.section(title):
                formatter.write_dl(records)


class Pages(TyperGroup):
    """The front page: commands by group, then the exit codes."""

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        groups: dict[str, list[tuple[str, str]]] = {}
        for name, command in self.commands.items():
            panel = str(getattr(command, "rich_help_panel", None) or "Commands")
            groups.setdefault(panel, []).append((name, command.get_short_help_str(100)))
        for title, rows in groups.items():
            with formatter.section(title):
                formatter.write_dl(rows)

    def format_epilog(self, ctx: Any, formatter: Any) -> None:
        with formatter.section("Exit codes"):
            formatter.write_dl([(str(int(code)), what) for code, what in EXIT_MEANINGS.items()])

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        name = args[0]
        if self.get_command(ctx, name) is None and not ctx.resilient_parsing:
            near = difflib.get_close_matches(name, self.commands, n=1)
            hint = f"did you mean {near[0]}?" if near else "metacli --help lists the commands"
            raise UsageProblem(f"no command {name!r}", where="command line", hint=hint)
        return super().resolve_command(ctx, args)


def usage_problem(
    error: typer.TyperException, root: Pages, words: Sequence[str] = ()
) -> UsageProblem:
    """What Typer found wrong with the words of a command line, with the nearest right ones."""
    context = getattr(error, "ctx", None)
    path = context.command_path if context is not None else "metacli"
    option = getattr(error, "option_name", None)
    if option is not None and "such option" in error.format_message():
        near = list(getattr(error, "possibilities", None) or [])
        return _unknown_option(option, near, path, root, setting(option, words))
    message = error.format_message().strip()
    message = (message[:1].lower() + message[1:].rstrip(".")).replace("Value error, ", "")
    return UsageProblem(message, where=path, hint=f"{path} --help")


def _unknown_option(
    option: str, near: list[str], path: str, root: Pages, meant: str | None
) -> UsageProblem:
    message = f"no option {option}"
    if path == "metacli" and option in _options_of_commands(root):
        hint = f"options go after the command: metacli COMMAND {option}"
    elif meant is not None and path.split()[-1] in TAKES_SETTINGS:
        hint = f"settings are KEY=VALUE: {meant}"
    elif near:
        hint = f"did you mean {near[0]}?"
    else:
        hint = f"{path} --help"
    return UsageProblem(message, where=path, hint=hint)


TAKES_SETTINGS = ("meta-train", "multitask", "evaluate", "adapt")


def setting(option: str, words: Sequence[str]) -> str | None:
    """`train.lr=0.1` for `--lr 0.1`: the key of a recipe that ends in an option's name."""
    from metacli.schema.recipe import valid_keys  # pydantic is not needed before

    name, equals, value = option.lstrip("-").replace("-", "_").partition("=")
    keys = [key for key in valid_keys() if name and key in (name, f"train.{name}")]
    keys += [key for key in valid_keys() if "." in key and key.split(".")[1] == name]
    if not keys:
        return None
    after = dict(pairwise(words)) | {
        word.partition("=")[0]: word.partition("=")[2] for word in words if "=" in word
    }
    return f"{keys[0]}={value if equals else after.get(option, 'VALUE')}"


def _options_of_commands(root: Pages) -> set[str]:
    return {word for command in root.commands.values() for p in command.params for word in p.opts}
