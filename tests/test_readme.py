"""README and documentation cannot rot: their commands are run, their tables are those of the
results files, their exit codes are real."""

from __future__ import annotations

import contextlib
import importlib
import io
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from metacli.cli.app import COMMANDS, main
from metacli.errors import EXIT_MEANINGS

ROOT = Path(__file__).resolve().parents[1]
DOCS = ROOT / "docs"
README = (ROOT / "README.md").read_text(encoding="utf-8")
TEXTS = (DOCS / "tutorials" / "texts.md").read_text(encoding="utf-8")
TABLES = (DOCS / "tutorials" / "tables.md").read_text(encoding="utf-8")
RELATED = (DOCS / "tutorials" / "related-tasks.md").read_text(encoding="utf-8")
TRANSFER = (DOCS / "tutorials" / "transfer.md").read_text(encoding="utf-8")
PHONE = (DOCS / "tutorials" / "phone.md").read_text(encoding="utf-8")
FAST = ["train.steps=20", "evaluate.every=20", "evaluate.episodes=5", "backbone.width=8"]


def block(language: str, page: str = README) -> str:
    found = re.search(rf"```{language}\n(.*?)```", page, re.DOTALL)
    assert found, f"no {language} block"
    return found[1]


def tour() -> list[list[str]]:
    lines = [shlex.split(line, comments=True) for line in block("sh").splitlines() if line.strip()]
    assert all(words[0] == "metacli" for words in lines)
    return [words[1:] for words in lines]


def test_the_tour_shows_every_command_that_there_is_but_those_shown_below():
    below = {
        "fetch",
        "push",
        "serve",
        "compare",
        "tune",
        "merge",
    }  # sockets, several runs, an extra
    assert {words[0] for words in tour()} == set(COMMANDS) - below
    rest = README.partition(block("sh"))[2]
    assert below <= set(re.findall(r"^metacli (\S+)", rest, re.MULTILINE))


def test_the_comparison_of_recipes_works(tmp_path, monkeypatch, cache):
    monkeypatch.chdir(tmp_path)
    (line,) = re.findall(r"^metacli (compare .*?) +#.*$", README, re.MULTILINE)
    with contextlib.redirect_stdout(io.StringIO()) as out:
        for recipe in re.findall(r"runs/(\S+)/\*", line):
            small = ["train.meta_batch=1", "episodes.way=3", "episodes.shot=1", "episodes.query=2"]
            assert main(["meta-train", recipe, *FAST, "train.steps=1", *small]) == 0
            words = ["--way", "3", "--query", "2", "--episodes", "10"]
            assert main(["evaluate", "@last", *words]) == 0
        out.truncate(0)
        words = [[str(p) for p in Path().glob(word)] or [word] for word in shlex.split(line)]
        assert main([word for expanded in words for word in expanded]) == 0
    assert re.search(r"10 episodes .* test, 3-way 1-shot, inductive", out.getvalue())
    assert re.search(r"(better|no clear difference|worse)$", out.getvalue(), re.MULTILINE)


def test_every_command_of_the_tour_works(tmp_path, monkeypatch, cache):
    monkeypatch.chdir(tmp_path)
    for words in tour():
        extra = FAST if words[0] == "meta-train" else []
        if words[:2] == ["evaluate", "@last"]:
            extra = ["--episodes", "20"]
        with contextlib.redirect_stdout(io.StringIO()) as out:
            assert main([*words, *extra]) == 0, words
        assert out.getvalue().strip(), words
    assert (tmp_path / "mine" / "model.json").is_file()
    assert (tmp_path / "mine.pt2").stat().st_size > 1000


@pytest.mark.slow
def test_the_tour_in_python_works(tmp_path, monkeypatch, cache):
    import metacli

    monkeypatch.chdir(tmp_path)
    whole, small = metacli.meta_train, metacli.evaluate
    monkeypatch.setattr(metacli, "meta_train", lambda name: whole(name, FAST), raising=False)
    monkeypatch.setattr(metacli, "evaluate", lambda run: small(run, episodes=20), raising=False)
    code = block("python")
    assert len([line for line in code.splitlines() if line.strip()]) <= 10
    with contextlib.redirect_stdout(io.StringIO()) as out:
        exec(compile(code, "README.md", "exec"), {})
    score, adapted, row = out.getvalue().splitlines()
    assert 0.2 < float(score) <= 1
    assert adapted.split()[1] in ("helped", "no_difference", "hurt", "too_few_to_say")
    assert row.split()[0].endswith(".png")
    assert (tmp_path / "mine.pt2").is_file()


WALK = {"inspect", "meta-train", "adapt", "predict", "evaluate", "export"}


def rows_of(language: str, page: str) -> list[list[str]]:
    lines = [shlex.split(line, comments=True) for line in block(language, page).splitlines()]
    assert all(words[0] == "metacli" for words in lines)
    return [words[1:] for words in lines]


def run_all(commands: list[list[str]], fast: list[str]) -> None:
    for words in commands:
        extra = fast if words[0] == "meta-train" else []
        if words[:2] == ["evaluate", "@last"]:
            extra = ["--episodes", "4"]
        with contextlib.redirect_stdout(io.StringIO()) as out:
            assert main([*words, *extra]) == 0, words
        assert out.getvalue().strip(), words


@pytest.mark.slow
def test_the_walk_through_of_texts_works(tmp_path, monkeypatch, cache):
    monkeypatch.chdir(tmp_path)
    topics = [
        "bread",
        "rain",
        "train",
        "jazz",
        "garden",
        "money",
        "winter",
        "doctor",
        "paint",
        "river",
    ]
    asked = ("tell me about", "what of", "I like", "more", "where is the", "about my")
    for name, of, some in (
        ("requests.csv", topics, asked),
        ("my_requests.csv", ["cheese", "football"], asked),
        ("labelled_requests.csv", ["cheese", "football"], ("so much",)),
    ):
        rows = [f"{words} {one} {one}s,{one}" for one in of for words in some]
        Path(name).write_text("\n".join(["text,label", *rows]) + "\n")
    Path("new_requests.csv").write_text("text\nany cheese\n")
    commands = rows_of("texts", TEXTS)
    assert {words[0] for words in commands} >= {
        "inspect",
        "meta-train",
        "adapt",
        "predict",
        "export",
    }
    small = ["data.features=128", "data.way=2", "episodes.way=2", "episodes.shot=2"]
    small += ["episodes.query=2", "evaluate.query=2"]
    run_all(commands, ["train.steps=2", "evaluate.every=2", "evaluate.episodes=2", *small])
    assert (tmp_path / "mine.pt2").is_file()


@pytest.mark.slow
def test_the_walk_through_of_tables_works(tmp_path, monkeypatch, cache):
    monkeypatch.chdir(tmp_path)
    Path("towns").mkdir()
    files = [f"towns/{n}.csv" for n in range(7)] + ["new_town.csv", "sold.csv", "houses.csv"]
    for number, name in enumerate(files):
        sizes = [20 + (7 * i * (number + 3)) % 60 for i in range(14)]
        rows = [f"{n},{'flat' if n % 3 else 'house'},{2.5 * n + number}" for n in sizes]
        Path(name).write_text("\n".join(["size,kind,y", *rows]) + "\n")
    commands = rows_of("tables", TABLES)
    assert {words[0] for words in commands} >= {
        "inspect",
        "meta-train",
        "adapt",
        "predict",
        "export",
    }
    run_all(commands, ["train.steps=2", "evaluate.every=2", "evaluate.episodes=2"])
    assert (tmp_path / "town.pt2").is_file()


def test_the_exit_codes_are_those_of_the_program():
    section = (DOCS / "reference" / "exit-codes.md").read_text(encoding="utf-8")
    shown = dict(re.findall(r"^\| (\d+) \| (.+?) \|$", section, re.MULTILINE))
    assert {int(code): text for code, text in shown.items()} == {
        int(code): text for code, text in EXIT_MEANINGS.items()
    }


@pytest.mark.parametrize(
    "maker", ["run", "tasks_table", "transfer_table", "balancing_table", "intents", "families"]
)
def test_a_table_of_results_is_made_from_its_results_files(maker, monkeypatch):
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))
    benchmarks = importlib.import_module(maker)
    text = benchmarks.PAGE.read_text(encoding="utf-8")
    shown = text.partition(benchmarks.BEGIN)[2].partition(benchmarks.END)[0].strip()
    assert list(benchmarks.RESULTS.glob("*.json")), "no results"
    assert shown == benchmarks.table()


PAGES = ["README.md", "CHANGELOG.md", "CONTRIBUTING.md", "metacli/README.md"]
PAGES += sorted(path.relative_to(ROOT).as_posix() for path in DOCS.rglob("*.md"))


def test_the_first_page_is_short_and_every_page_of_the_documentation_is_found():
    assert len(README.splitlines()) <= 150
    assert len(PAGES) > 40
    assert README.count("\n| ") <= 13  # ten results at most


@pytest.mark.parametrize("name", PAGES)
def test_links_lead_somewhere(name):
    text = (ROOT / name).read_text(encoding="utf-8")
    links = re.findall(r"\]\((?!http)([^)#]+)", text)
    for link in links:
        assert ((ROOT / name).parent / link).exists(), link


def test_no_file_names_a_package_index_or_a_path_of_a_machine():
    files = subprocess.run(
        ["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=False
    ).stdout.split()
    if not files:
        pytest.skip("not a git checkout")
    words = ("index" + "-url", "find" + "-links", "/" + "work/", "/" + "root/")
    for name in files:
        path = ROOT / name
        if path.suffix in (".py", ".md", ".toml", ".yaml", ".sh", ".json", ""):
            text = path.read_text(encoding="utf-8", errors="replace")
            assert not [word for word in words if word in text], name


@pytest.mark.slow
def test_the_exported_files_run_without_metacli_as_shown(tmp_path, monkeypatch, cache):
    monkeypatch.chdir(tmp_path)
    small = ["train.steps=2", "evaluate.every=2", "backbone.width=4", "train.meta_batch=1"]
    with contextlib.redirect_stdout(io.StringIO()):
        assert main(["meta-train", "glyphs-5w1s-protonet", *FAST, *small]) == 0
        assert main(["sample", "glyphs", "my_classes", "--way", "5", "--shot", "5"]) == 0
        assert main(["adapt", "@last", "my_classes", "-o", "mine"]) == 0
    next(Path("my_classes/query").rglob("*.png")).rename("image.png")
    lines = re.search(r"```\n(.*?)```", PHONE, re.DOTALL)[1].splitlines()
    for program, *words in (shlex.split(line, comments=True) for line in lines):
        if program == "metacli":
            with contextlib.redirect_stdout(io.StringIO()):
                assert main(words) == 0, words
            continue
        done = subprocess.run([sys.executable, *words], capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        assert done.stdout.startswith("image.png\t")
    assert sum(line.startswith("python") for line in lines) == 2


@pytest.mark.slow
def test_the_walk_through_of_transfer_works(tmp_path, monkeypatch, cache):
    monkeypatch.chdir(tmp_path)
    shown = re.search(r"```\n(.*?)```", TRANSFER, re.DOTALL)
    assert shown
    lines = [shlex.split(line, comments=True)[1:] for line in shown[1].splitlines()]
    assert [words[0] for words in lines].count("adapt") == 2
    for words in lines:
        short = ["train.steps=2", "train.meta_batch=1", "episodes.way=3"]
        extra = {"meta-train": [*FAST, *short], "adapt": []}.get(words[0], [])
        extra += ["lr=1e-3", "steps=2"] if "lp-ft" in words else []
        with contextlib.redirect_stdout(io.StringIO()) as out:
            assert main([*words, *extra]) == 0, words
        assert out.getvalue().strip(), words
    assert (tmp_path / "tuned.onnx").is_file()
    for name in ("tuned", "best"):
        assert (tmp_path / name / "model.json").is_file()


def test_the_walk_from_a_table_of_tasks_to_one_file_works(tmp_path, monkeypatch, cache):
    monkeypatch.chdir(tmp_path)
    rows = [f"{10 + n % 7},s{n % 3},{n % 7 + 5 * (n % 3) + n % 2 / 2}" for n in range(60)]
    Path("pupils.csv").write_text("\n".join(["age,school,score", *rows]) + "\n")
    Path("new_pupils.csv").write_text("age,school\n12,s0\n12,s2\n")
    later = ["12.5,s0,31.0", "9.5,s2,20.0", "10.5,s2,24.0"]
    Path("later_pupils.csv").write_text("\n".join(["age,school,score", *later]) + "\n")
    shown = re.search(r"```\n(metacli multitask pupils.*?)```", RELATED, re.DOTALL)
    assert shown
    commands = [shlex.split(line, comments=True)[1:] for line in shown[1].splitlines()]
    assert [words[0] for words in commands] == [
        "multitask",
        "evaluate",
        "evaluate",
        "predict",
        "export",
    ]
    for words in commands:
        with contextlib.redirect_stdout(io.StringIO()) as out:
            assert main(words) == 0, words
        if words[0] == "predict":
            answers = [line.split(",") for line in out.getvalue().splitlines()[1:]]
            assert [one[1] for one in answers] == ["s0", "s2"]
            assert float(answers[1][2]) > float(answers[0][2]) + 5
    assert (tmp_path / "schools.pt2").stat().st_size > 1000


def test_every_task_and_every_reading_is_shown_as_the_results_files_have_them(monkeypatch):
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))
    made = importlib.import_module("tasks_table")
    shown = made.DETAILS.read_text(encoding="utf-8").partition(made.BEGIN)[2]
    assert shown.partition(made.END)[0].strip() == made.details()
