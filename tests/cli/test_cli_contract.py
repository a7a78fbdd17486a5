"""What holds for every command. The list is the app's own, so a new command cannot escape it."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import cli_stubs
import pytest
import typer

from metacli import errors
from metacli.cli.app import app, main
from metacli.cli.options import COMMON
from metacli.engine.events import Note, Notice

ROOT = typer.main.get_command(app)
NAMES = sorted(ROOT.commands)
COMMON_WORDS = [
    *(["--json"], ["-q"], ["--quiet"], ["-v"], ["--verbose"], ["-o", "out"], ["--out", "out"]),
    *(["--force"], ["--device", "cpu"], ["--device", "cuda:1"], ["--seed", "3"]),
    *(["-n"], ["--dry-run"]),
]


def kinds(base: type[errors.MetacliError] = errors.MetacliError) -> Iterator[Any]:
    for kind in base.__subclasses__():
        yield kind
        yield from kinds(kind)


KINDS = sorted(kinds(), key=lambda kind: kind.__name__)


def raised(kind: type[errors.MetacliError], **details: Any) -> errors.MetacliError:
    extra = {"number": 15} if kind is errors.Interrupted else {}
    return kind("what was wrong", **extra, **details)


def words_of(command: str, *more: str) -> list[str]:
    arguments = cli_stubs.ARGUMENTS[command]
    if command == "sample" and more[:1] in (("-o",), ("--out",)):
        arguments = arguments[:1]  # DIR and -o are the same thing there
    return [command, *arguments, *more]


def test_every_command_has_stub_words_and_a_stub_result() -> None:
    assert set(NAMES) == set(cli_stubs.ARGUMENTS) == set(cli_stubs.RESULTS)


@pytest.mark.parametrize("option", COMMON_WORDS, ids=" ".join)
@pytest.mark.parametrize("command", NAMES)
def test_common_options_are_accepted_after_the_command(
    command: str, option: list[str], stub: Callable[..., Any]
) -> None:
    stub()
    assert main(words_of(command, *option)) == 0


@pytest.mark.parametrize("command", NAMES)
def test_every_command_lists_all_common_options(command: str) -> None:
    have = {param.name for param in ROOT.commands[command].params}
    assert set(COMMON) <= have


@pytest.mark.parametrize("flag", ["-h", "--help"])
@pytest.mark.parametrize("command", NAMES)
def test_help_opens_with_two_worked_examples(
    command: str, flag: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([command, flag]) == 0
    out, err = capsys.readouterr()
    top = [line.strip() for line in out.split("Options:")[0].split("Arguments:")[0].splitlines()]
    examples = [line for line in top[1:] if line.startswith(f"metacli {command}")]
    assert top[0].startswith(f"Usage: metacli {command}")
    assert len(examples) >= 2
    assert err == ""
    assert "│" not in out


@pytest.mark.parametrize("command", NAMES)
def test_examples_of_the_help_page_parse(
    command: str, stub: Callable[..., Any], capsys: pytest.CaptureFixture[str]
) -> None:
    stub()
    main([command, "--help"])
    page = capsys.readouterr().out
    examples = re.findall(rf"^    metacli ({command}.*)$", page, flags=re.MULTILINE)
    assert len(examples) >= 2
    assert [main(example.split()) for example in examples] == [0] * len(examples)


@pytest.mark.parametrize("command", NAMES)
def test_an_unknown_option_exits_2_with_empty_stdout_and_a_suggestion(
    command: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(words_of(command, "--jsno")) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert "no option --jsno" in err
    assert "did you mean --json?" in err


@pytest.mark.parametrize("command", NAMES)
def test_an_option_before_the_command_is_explained(
    command: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["--device", "cpu", command]) == 2
    assert "options go after the command" in capsys.readouterr().err


@pytest.mark.parametrize("command", NAMES)
def test_json_is_one_document_with_the_result_of_the_engine(
    command: str, stub: Callable[..., Any], capsys: pytest.CaptureFixture[str]
) -> None:
    stub()
    assert main(words_of(command, "--json")) == 0
    out, err = capsys.readouterr()
    document = json.loads(out)
    assert out.count("\n") == 1
    assert err == ""
    assert list(document) == [
        *("schema", "metacli", "command", "ok", "seconds", "warnings", "result")
    ]
    assert (document["schema"], document["command"], document["ok"]) == (1, command, True)
    assert document["result"] == cli_stubs.RESULTS[command]


@pytest.mark.parametrize("command", NAMES)
def test_the_text_for_people_fits_in_a_file(
    command: str, stub: Callable[..., Any], capsys: pytest.CaptureFixture[str]
) -> None:
    stub()
    assert main(words_of(command)) == 0
    out, err = capsys.readouterr()
    assert out.endswith("\n")
    assert "\x1b" not in out + err
    assert not set(out) & set("│┃─━╭╮╰╯┌┐└┘")
    # predict prints rows and nothing else; after serve there is nothing to do
    assert command in ("predict", "serve") or "next: " in out


@pytest.mark.parametrize("command", NAMES)
def test_quiet_prints_one_value_and_a_list_one_name_a_line(
    command: str, stub: Callable[..., Any], capsys: pytest.CaptureFixture[str]
) -> None:
    stub()
    assert main(words_of(command, "-q")) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == (2 if command == "recipes" else 1)
    assert all(" " not in line for line in lines) or command != "recipes"


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
@pytest.mark.parametrize("command", NAMES)
def test_every_error_ends_with_its_exit_code_and_one_document(
    command: str,
    kind: type[errors.MetacliError],
    stub: Callable[..., Any],
    capsys: pytest.CaptureFixture[str],
) -> None:
    error = raised(kind, where="my.yaml:7", hint="try this")
    stub(command, error)
    assert main(words_of(command, "--json")) == error.exit_code
    out, err = capsys.readouterr()
    assert err == "error: what was wrong - my.yaml:7\nhint: try this\n"
    if kind is errors.UsageProblem:
        assert out == ""
        return
    document = json.loads(out)
    assert document["ok"] is False
    assert document["exit"] == error.exit_code
    assert document["error"] == {
        "code": error.code,
        "message": "what was wrong",
        "where": "my.yaml:7",
        "hint": "try this",
    }
    assert "result" not in document


@pytest.mark.parametrize("command", NAMES)
def test_a_failed_document_keeps_the_result(
    command: str, stub: Callable[..., Any], capsys: pytest.CaptureFixture[str]
) -> None:
    result = {"rows": []} if command == "predict" else {"mean": 0.5}
    stub(command, errors.CheckFailed("below", result=result))
    assert main(words_of(command, "--json")) == 5
    assert json.loads(capsys.readouterr().out)["result"] == result


@pytest.mark.parametrize("command", sorted(set(NAMES) - {"predict"}))
def test_a_failed_check_shows_the_result_first(
    command: str, stub: Callable[..., Any], capsys: pytest.CaptureFixture[str]
) -> None:
    stub()
    main(words_of(command))
    page = capsys.readouterr().out
    stub(command, errors.CheckFailed("below", result=cli_stubs.RESULTS[command]))
    assert main(words_of(command)) == 5
    out, err = capsys.readouterr()
    assert out == page
    assert err == "error: below\n"


@pytest.mark.parametrize("command", NAMES)
def test_a_dry_run_says_so_and_names_no_next_command(
    command: str, stub: Callable[..., Any], capsys: pytest.CaptureFixture[str]
) -> None:
    stub()
    assert main(words_of(command, "-n", "--json")) == 0
    assert json.loads(capsys.readouterr().out)["result"]["dry_run"] is True
    if command in ("predict", "doctor", "inspect", "recipes"):
        return  # these write nothing in any case
    assert main(words_of(command, "-n")) == 0
    out = capsys.readouterr().out
    assert out.startswith("dry run: nothing was written\n")
    assert "next: " not in out


@pytest.mark.parametrize("command", NAMES)
def test_an_unexpected_exception_is_a_bug_with_a_log_and_no_traceback(
    command: str, stub: Callable[..., Any], capsys: pytest.CaptureFixture[str]
) -> None:
    stub(command, ZeroDivisionError("by zero"))
    assert main(words_of(command, "--json")) == 1
    out, err = capsys.readouterr()
    error = json.loads(out)["error"]
    log = Path(error["where"])
    assert error["code"] == "bug"
    assert error["message"] == "this is a bug in metacli: ZeroDivisionError: by zero"
    assert "Traceback" not in err
    assert "Traceback" in log.read_text()
    log.unlink()


def test_the_traceback_of_a_bug_is_shown_with_v(
    stub: Callable[..., Any], capsys: pytest.CaptureFixture[str]
) -> None:
    stub("inspect", ZeroDivisionError("by zero"))
    assert main(["inspect", "x", "-v"]) == 1
    err = capsys.readouterr().err
    assert "Traceback" in err
    Path(err.split(" - ")[-1].splitlines()[0]).unlink()


@pytest.mark.parametrize("command", NAMES)
def test_ctrl_c_exits_130_without_a_traceback(
    command: str, stub: Callable[..., Any], capsys: pytest.CaptureFixture[str]
) -> None:
    stub(command, KeyboardInterrupt())
    assert main(words_of(command, "--json")) == 130
    out, err = capsys.readouterr()
    assert json.loads(out)["exit"] == 130
    assert "Traceback" not in err


@pytest.mark.parametrize("command", NAMES)
def test_what_the_engine_prints_goes_to_stderr(
    command: str, stub: Callable[..., Any], capsys: pytest.CaptureFixture[str]
) -> None:
    def noisy(*args: Any, **options: Any) -> dict[str, Any]:
        print("a third party says hello")  # noqa: T201
        return cli_stubs.RESULTS[command]

    stub(command, noisy)
    assert main(words_of(command, "--json")) == 0
    out, err = capsys.readouterr()
    assert json.loads(out)["ok"] is True
    assert "a third party says hello" in err


WITH_REPORT = sorted(set(NAMES) - {"recipes"})


@pytest.mark.parametrize("command", WITH_REPORT)
def test_notices_are_warnings_of_the_document_and_lines_on_stderr(
    command: str, stub: Callable[..., Any], capsys: pytest.CaptureFixture[str]
) -> None:
    def worried(*args: Any, report: Callable[[Any], None], **options: Any) -> dict[str, Any]:
        report(Note("pool is data: training protonet", "recipe.chosen"))
        report(Notice("the newest state was damaged", code="state.damaged"))
        return cli_stubs.RESULTS[command]

    stub(command, worried)
    assert main(words_of(command, "--json")) == 0
    out, err = capsys.readouterr()
    expected = [{"code": "state.damaged", "message": "the newest state was damaged"}]
    assert json.loads(out)["warnings"] == expected
    chosen = "note: pool is data: training protonet\n"
    assert err == f"{chosen}warning: the newest state was damaged\n"


def test_the_front_page_groups_the_commands_and_ends_with_the_exit_codes(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main(["--help"]) == 0
    out = capsys.readouterr().out
    places = [out.index(f"\n{title}:\n") for title in ("Start", "Learn", "Use", "Share")]
    assert places == sorted(places)
    codes = re.findall(r"^  (\d+) +\S", out.split("Exit codes:")[1], flags=re.MULTILINE)
    assert codes == [str(int(code)) for code in errors.EXIT_MEANINGS]


def test_no_command_shows_the_front_page_on_stderr_and_exits_2(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main([]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert "meta-train" in err


def test_a_mistyped_command_is_answered_with_the_nearest(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main(["metatrain"]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert "did you mean meta-train?" in err


def test_version_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    import metacli

    assert main(["--version"]) == 0
    assert capsys.readouterr().out == f"metacli {metacli.__version__}\n"
